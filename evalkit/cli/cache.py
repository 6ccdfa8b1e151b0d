"""`evalkit cache`: look into the cache of answers, check it, and clean it."""

from __future__ import annotations

import json as json_text
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path

from evalkit import cache as store
from evalkit.cache.places import Places
from evalkit.cli.bars import progress_on_stderr
from evalkit.cli.place import workspace_of
from evalkit.cli.run_flags import AskFlags
from evalkit.cli.words import columns, key_values, page_width, print_json, quantity, size
from evalkit.errors import UsageError, nearest
from evalkit.registry import build_model, build_task
from evalkit.runner import RunSettings, ask
from evalkit.types import Json
from evalkit.workspace import default_cache_dir


@contextmanager
def _opened(directory: Path | None) -> Iterator[store.Cache]:
    """Yield the cache in `directory`, which must exist already: looking does not make one."""
    directory = directory or default_cache_dir()
    places = Places(directory)
    if not places.index.exists() and not places.journals.is_dir():
        raise UsageError(f"there is no cache in {directory}; a run makes one, and --cache DIR names another")
    with store.Cache(directory) as opened:
        yield opened


def ls(*, cache: Path | None = None, json: bool = False) -> int:
    """Say what the cache holds: how many answers of which model to which task, and since when.

    Args:
        cache: Folder of the cache; `evalkit doctor` says where it is.
        json: Print JSON on standard output, and nothing else there.
    """
    with _opened(cache) as opened:
        summaries = opened.summaries()
        directory = opened.directory
    if json:
        print_json({"cache": str(directory), "stored": [dict(asdict(summary)) for summary in summaries]}, sys.stdout)
        return 0
    rows = [("task", "answers", "first", "last used", "model")]
    rows += [
        (s.task, f"{s.entries:,}", _day(s.created), _day(s.used), f"{s.model[:12]} {_shown(dict(s.identity))}")
        for s in summaries
    ]
    print(f"cache {directory}: {quantity(sum(s.entries for s in summaries), 'answer')}")
    if summaries:
        print(columns(rows, page_width(), indent="  "))
    return 0


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _shown(identity: dict[str, Json]) -> str:
    """Return what tells a model from others, digests cut short."""
    return " ".join(f"{name}={str(value)[:16]}" for name, value in identity.items())


def verify(*, set_aside: bool = False, cache: Path | None = None, json: bool = False) -> int:
    """Read everything in the cache and name what is damaged, with the mend. The exit code is 1 where something is.

    Args:
        set_aside: Put damaged pictures aside, so that the next run makes them again; `rebuild` mends the rest.
        cache: Folder of the cache; `evalkit doctor` says where it is.
        json: Print JSON on standard output, and nothing else there.
    """
    with progress_on_stderr() as progress, _opened(cache) as opened:
        damages = store.verify(opened, progress)
        dropped = store.set_aside(opened, damages) if set_aside else 0
    harmful = [damage for damage in damages if not damage.harmless]
    if json:
        print_json({"damages": [dict(asdict(damage)) for damage in damages], "set_aside": dropped}, sys.stdout)
    else:
        for damage in damages:
            print(f"{damage.kind} {damage.what}: {damage.why}\n  -> {damage.mend}")
        print(_verdict(len(harmful), len(damages) - len(harmful), dropped))
    mended = {"picture"} if set_aside else set()
    return int(any(damage.kind not in mended for damage in harmful))


def _verdict(harmful: int, harmless: int, dropped: int) -> str:
    if not harmful and not harmless:
        return "nothing is damaged"
    aside = f", {quantity(dropped, 'answer')} put aside" if dropped else ""
    return f"{harmful} damaged, {harmless} harmless{aside}"


def gc(*, dry_run: bool = False, older_than: float | None = None, cache: Path | None = None, json: bool = False) -> int:
    """Delete what nothing refers to: pictures without an answer, leftovers of runs that were killed.

    Args:
        dry_run: Only say what would go.
        older_than: Delete answers too that were not used for so many days.
        cache: Folder of the cache; `evalkit doctor` says where it is.
        json: Print JSON on standard output, and nothing else there.
    """
    with _opened(cache) as opened:
        report = store.gc(opened, dry_run=dry_run, older_than_days=older_than)
    if json:
        print_json({**asdict(report), "dry_run": dry_run}, sys.stdout)
        return 0
    gone = ", ".join(
        quantity(count, noun)
        for count, noun in (
            (report.generations, "answer"),
            (report.pictures, "picture"),
            (report.leftovers, "leftover file"),
        )
    )
    print(f"{'would delete' if dry_run else 'deleted'} {gone}: {size(report.bytes)}")
    return 0


def why(task: str, model: str, sample: str, /, *, flags: AskFlags | None = None, json: bool = False) -> int:
    """Say why a sample was not answered from the cache, field by field, given the flags of its run.

    Args:
        task: Name of the task.
        model: The model, as in `evalkit run -m`.
        sample: Id of the sample, as in samples.jsonl of a run.
        flags: See `AskFlags`.
        json: Print JSON on standard output, and nothing else there.
    """
    flags = flags or AskFlags()
    out = sys.stdout
    with progress_on_stderr() as progress, redirect_stdout(sys.stderr):
        workspace = workspace_of(flags, progress)
        built = build_task(task, workspace, flags.protocol, key_values("-t", flags.task_options))
        asked = build_model(model, built.workspace, key_values("-a", flags.model_options))
        settings = RunSettings(seed=flags.seed, gen=key_values("--gen", flags.gen))
        requests = {item.sample.id: item.request for item in ask(built, asked, settings)}
        if sample not in requests:
            raise UsageError(f"{built.name} has no sample {sample!r}{nearest(sample, requests) if requests else ''}")
        with _opened(workspace.cache) as opened:
            miss = store.why(opened, asked.identity, requests[sample])
    if json:
        print_json(_miss_json(miss), out)
    else:
        print(_miss_text(miss, sample), file=out)
    return 0


def _miss_json(miss: store.Miss) -> dict[str, Json]:
    """Return a miss as JSON; a difference lacks the side that has no such field."""
    differences: list[Json] = []
    for difference in miss.differences:
        sides = {"field": difference.field, "asked": difference.asked, "stored": difference.stored}
        differences.append({name: value for name, value in sides.items() if not isinstance(value, store.Absent)})
    return {"key": miss.key, "answered": miss.answered, "nearest": miss.nearest, "differences": differences}


def _side(value: object) -> str:
    """Return a side of a difference as text: JSON, or that the side has no such field."""
    return str(value) if isinstance(value, store.Absent) else json_text.dumps(value, ensure_ascii=False)


def _miss_text(miss: store.Miss, sample: str) -> str:
    if miss.answered:
        return f"{sample} is answered from the cache (key {miss.key})"
    if miss.nearest is None:
        return f"nothing is stored for sample {sample}, whatever the model and settings (key {miss.key})"
    rows = [(d.field, f"asked {_side(d.asked)}, stored {_side(d.stored)}") for d in miss.differences]
    title = f"{sample} is not in the cache; the nearest stored answer ({miss.nearest[:12]}) differs in"
    return f"{title}\n{columns(rows, page_width(), indent='  ')}"


def export(
    directory: Path,
    /,
    *,
    task: str | None = None,
    model: str | None = None,
    run: Path | None = None,
    cache: Path | None = None,
    json: bool = False,
) -> int:
    """Write stored answers to a folder of pictures with manifests, which `-m images:FOLDER` answers with again.

    Args:
        directory: Folder to write; it must be empty or new.
        task: Only answers to this task, by its versioned name (`coco_fid@1`).
        model: Only answers of this model, by its fingerprint or the beginning of it, as `evalkit cache ls` shows it.
        run: Only the answers of the run that this folder holds.
        cache: Folder of the cache; `evalkit doctor` says where it is.
        json: Print JSON on standard output, and nothing else there.
    """
    from evalkit.results import read_samples

    keys = None if run is None else [record.key for record in read_samples(run) if record.failure is None]
    with progress_on_stderr() as progress, _opened(cache) as opened:
        folders = store.export(opened, directory, keys=keys, task=task, model=model, progress=progress)
    if json:
        written: list[Json] = [
            {"folder": str(f.directory), "task": f.task, "model": f.model, "answers": f.entries} for f in folders
        ]
        print_json({"folders": written}, sys.stdout)
    else:
        print("\n".join(f"{f.directory}: {quantity(f.entries, 'answer')}" for f in folders))
    return 0


def rebuild(*, set_aside: bool = False, cache: Path | None = None, json: bool = False) -> int:
    """Make the index anew from what is stored.

    Args:
        set_aside: Move journals with damaged lines away and keep their sound lines.
        cache: Folder of the cache; `evalkit doctor` says where it is.
        json: Print JSON on standard output, and nothing else there.
    """
    with progress_on_stderr() as progress:
        report = store.rebuild(cache or default_cache_dir(), set_aside=set_aside, progress=progress)
    moved = [str(path) for path in report.set_aside]
    if json:
        print_json({**asdict(report), "set_aside": list(moved)}, sys.stdout)
        return 0
    print(
        f"{quantity(report.generations, 'answer')} in the new index, from {quantity(report.journals, 'journal')} and "
        f"{report.salvaged} that only the old index held; {report.damaged_lines} damaged lines"
    )
    print("".join(f"put aside {path}\n" for path in moved), end="")
    return 0
