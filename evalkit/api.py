"""The whole of evalkit from Python: `evalkit.run`, `evalkit.load`, and what they return.

>>> import evalkit, tempfile
>>> at = tempfile.mkdtemp()
>>> found = evalkit.run("blocksworld_vqa", model="oracle", limit=4, cache=at, output=at)
>>> found.coverage.answered
4
>>> found.value("vqa_accuracy")
100.0
>>> found.samples[["id", "prompt", "answer", "vqa_accuracy"]].shape
(4, 4)
>>> evalkit.load(found.folder) == found
True
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.blobs import Blobs
from evalkit.cache.places import Places
from evalkit.cli.bars import progress_on_stderr
from evalkit.cli.place import chosen_device
from evalkit.cli.words import number
from evalkit.errors import UsageError, nearest
from evalkit.interfaces import Model
from evalkit.json_values import a_text, an_object
from evalkit.notebooks import NotebookProgress, in_a_notebook
from evalkit.progress import Progress
from evalkit.registry import build_model, build_task, default_model
from evalkit.results import Run, SampleRecord, read_run, read_samples
from evalkit.types import Estimate, Json, Unavailable
from evalkit.workspace import Workspace, default_cache_dir, offline_by_environment

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.runner import RunSettings


@dataclass(frozen=True, slots=True)
class KeptRun(Run):
    """A run with the folder that it is kept in. Shown by a notebook as a table of its estimates."""

    folder: Path

    def value(self, name: str) -> float:
        """Return the estimate of that name.

        Raises:
            UsageError: the run has none of that name, or could not make it; the message says why.
        """
        estimate = self.estimates.get(name)
        if estimate is None:
            raise UsageError(f"{self.task} has no estimate {name!r}{nearest(name, self.estimates)}")
        if isinstance(estimate, Unavailable):
            raise UsageError(f"{name} is not available: {estimate.reason}")
        return estimate.value

    @property
    def samples(self) -> pd.DataFrame:
        """Every sample, in the task's order, read from the run's folder.

        Columns: `id`, `cluster`, `prompt` and `reference` (their words), `answer` (words, or the path of a picture),
        `failure` and `failure_message` (empty where there is an answer), `from_cache`, `seconds`, `seed`, then one for
        each stratum and each score by its own name (a score that a sample has not is NaN).

        Raises:
            DataError: the folder is gone or damaged.
        """
        import pandas as pd

        blobs = Blobs(Places(Path(str(self.provenance["cache"]))).blobs)
        return pd.DataFrame([_row(record, blobs) for record in read_samples(self.folder)])

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it; nothing that a task or model says is taken for markup."""
        covered = self.coverage
        head = f"<b>{escape(self.task)}</b> model <b>{escape(self.model)}</b> data {escape(self.data)}"
        titles = "".join(f"<th>{title}</th>" for title in ("estimate", "value", "interval", "n", "unit", "better"))
        rows = "".join(_html_row(name, estimate) for name, estimate in self.estimates.items())
        asked = f"{covered.answered:,} of {covered.asked:,} samples answered ({covered.from_cache:,} from the cache)"
        notes = [asked, *(f"stamp: {stamp}" for stamp in self.stamps), f"kept in {self.folder}"]
        listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
        return f"<div>{head}<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table><ul>{listed}</ul></div>"


def run(
    task: str,
    *,
    model: str | Model | None = None,
    limit: int | None = None,
    seed: int = 0,
    gen: Mapping[str, object] | None = None,
    metrics: Sequence[str] | None = None,
    protocol: str | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
    task_options: Mapping[str, object] | None = None,
    model_options: Mapping[str, object] | None = None,
    batch: int | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    output: str | Path = "runs",
    offline: bool | None = None,
    isolate: bool = False,
    progress: Progress | None = None,
) -> KeptRun:
    """Put a task to a model, as `evalkit run` does, and return what was found.

    `model` is what `-m` takes, or a model itself (`evalkit.interfaces.Model`); all else is as the flags of that name.
    What was answered once is not asked again. Progress is shown where a person looks on, unless it is given.

    Raises:
        UsageError: an unknown name or setting, or a model that cannot do the task's job.
        EvalkitError: data, weights or cache are missing or damaged, or too few samples were answered to score.
    """
    if not isinstance(model, (str, type(None))) and (model_options or isolate):
        raise UsageError("model_options and isolate are for a model that is named by a text; build yours with them")
    from evalkit.runner import RunSettings

    wanted = None if metrics is None else tuple(metrics)
    settings = RunSettings(seed, limit, _texts(gen), wanted, batch, protocol, _texts(task_options))
    with _shown(progress) as shown:
        place = _workspace(cache, data, data_dir, device, batch, offline, shown)
        return _measured(
            task, place, settings, Path(output), lambda w: _model(model, w, _texts(model_options), isolate)
        )


def _workspace(
    cache: str | Path | None,
    data: str | None,
    data_dir: str | Path | None,
    device: str,
    batch: int | None,
    offline: bool | None,
    progress: Progress,
) -> Workspace:
    return Workspace(
        cache=Path(cache) if cache is not None else default_cache_dir(),
        data=data,
        data_dir=None if data_dir is None else Path(data_dir),
        offline=offline_by_environment() if offline is None else offline,
        device=chosen_device(device),
        batch=batch,
        progress=progress,
    )


def _measured(
    task: str, workspace: Workspace, settings: RunSettings, output: Path, model_for: Callable[[Workspace], Model]
) -> KeptRun:
    from evalkit.cache import Cache
    from evalkit.runner import run as run_task

    built = build_task(task, workspace, settings.protocol, settings.options)
    with Cache(built.workspace.cache) as store:
        found, folder = run_task(built, model_for(built.workspace), store, settings, output)
    return _kept(found, folder)


def load(folder: str | Path) -> KeptRun:
    """Return the run that is kept in `folder`.

    Raises:
        DataError: there is none, it is damaged, or a newer evalkit wrote it.
    """
    return _kept(read_run(Path(folder)), Path(folder))


def _kept(found: Run, folder: Path) -> KeptRun:
    return KeptRun(**{f.name: getattr(found, f.name) for f in fields(Run)}, folder=folder)


def _texts(values: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (values or {}).items()}


def _model(model: str | Model | None, workspace: Workspace, options: Mapping[str, str], isolate: bool) -> Model:
    if not isinstance(model, (str, type(None))):
        return model
    text = model or default_model()
    if not isolate:
        return build_model(text, workspace, options)
    from evalkit.isolation import IsolatedModel

    return IsolatedModel(text, workspace, options)


@contextmanager
def _shown(progress: Progress | None) -> Iterator[Progress]:
    if progress is not None:
        yield progress
    elif in_a_notebook():
        yield NotebookProgress()
    else:
        with progress_on_stderr() as lines:
            yield lines


def _row(record: SampleRecord, blobs: Blobs) -> dict[str, object]:
    kind, message = record.failure or ("", "")
    answer = (
        None if record.answer_parts is None else _words(record.answer_parts) or _picture(record.answer_parts, blobs)
    )
    return {
        "id": record.id,
        "cluster": record.cluster,
        "prompt": _words(record.parts),
        "reference": "\n".join(_word(part) for part in record.references if _word(part)),
        "answer": answer,
        "failure": kind,
        "failure_message": message,
        "from_cache": record.from_cache,
        "seconds": record.seconds,
        "seed": record.seed,
        **record.strata,
        **record.scores,
    }


def _words(parts: Sequence[Json]) -> str:
    return " ".join(word for word in map(_word, parts) if word)


def _word(part: Json) -> str:
    return str(an_object(part).get("text", ""))


def _picture(parts: Sequence[Json], blobs: Blobs) -> str:
    """Return the path of the first picture of an answer; empty where it has none, as an answer of no words has."""
    for part in parts:
        noun = an_object(part)
        image = an_object(noun["image"]) if "image" in noun else noun
        if "digest" in image:
            return os.fspath(blobs.path(a_text(image["digest"])))
    return ""


def _html_row(name: str, estimate: Estimate | Unavailable) -> str:
    if isinstance(estimate, Unavailable):
        return f'<tr><td>{escape(name)}</td><td colspan="5">not available: {escape(estimate.reason)}</td></tr>'
    interval = estimate.interval
    shown = "" if interval is None else f"{number(interval.low)} to {number(interval.high)} ({interval.level:.0%})"
    better = {True: "higher", False: "lower", None: ""}[estimate.higher_is_better]
    cells = (name, number(estimate.value), shown, f"{estimate.n:,}", estimate.unit, better)
    warned = "".join(f"<br><small>{escape(warning)}</small>" for warning in estimate.warnings)
    first, *others = (escape(cell) for cell in cells)
    return f"<tr><td>{first}{warned}</td>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"
