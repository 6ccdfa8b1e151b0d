"""`evalkit import`: score answers made elsewhere, and say which samples have none and which answers no sample."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.cli.bars import Lines
from evalkit.cli.place import workspace_of
from evalkit.cli.run import run
from evalkit.cli.run_flags import RunFlags
from evalkit.cli.words import key_values, print_json
from evalkit.errors import DataError, UsageError
from evalkit.registry import build_model, build_task, task_spec
from evalkit.types import Json

if TYPE_CHECKING:
    from evalkit.models.sample_ids import Matched

SHOWN = 5
"""Ids that are shown of those that match nothing; `--json` has all."""


def importing(task: str, source: str, /, *, flags: RunFlags | None = None) -> int:
    """Score answers made elsewhere, and say which samples have none and which answers no sample.

    Args:
        task: Name of the task, as `evalkit ls tasks` lists it.
        source: A .jsonl, .csv, .json (COCO or VQA results) or .parquet file, a dataset's folder or hf:REPO@REVISION,
            or a folder of pictures. `-a name=NAME` says what tables call it.
        flags: See `RunFlags`.
    """
    flags = flags or RunFlags()
    if flags.model is not None:
        raise UsageError("the answers are the model; leave out -m, and name it with -a name=NAME")
    named = replace(flags, model=_model_of(source))
    count, found = _matched(task, named)
    for line in _lines(count, found):
        print(line, file=sys.stderr)
    if len(found.missing) == count:
        raise DataError(
            f"no sample of {task} is answered: its ids read {_some(found.missing)}, those of {source} read "
            f"{_some(found.extra)}; see -a by= and -a id_column="
        )
    if not flags.json:
        return run(task, flags=named)
    with redirect_stdout(io.StringIO()) as written:
        code = run(task, flags=named)
    document: dict[str, Json] = json.loads(written.getvalue())
    print_json({"missing": list(found.missing), "extra": list(found.extra), **document}, sys.stdout)
    return code


def _model_of(source: str) -> str:
    """Return `source` as `-m` has it: a folder that holds pictures or a manifest, or else a file of answers."""
    from evalkit.models.folder import MANIFEST, SUFFIXES

    folder = Path(source)
    if source.startswith(("images:", "answers:")):
        return source
    holds = folder.is_dir() and any(p.suffix.lower() in SUFFIXES or p.name == MANIFEST for p in folder.rglob("*"))
    return f"images:{source}" if holds else f"answers:{source}"


def _matched(task: str, flags: RunFlags) -> tuple[int, Matched]:
    """Return how many samples will be asked, and which of them and of the answers find each other."""
    from evalkit.models.answers import Answers
    from evalkit.models.folder import Folder

    workspace = workspace_of(flags, Lines())
    built = build_task(task_spec(task).name, workspace, flags.protocol, key_values("-t", flags.task_options))
    model = build_model(flags.model or "", workspace, key_values("-a", flags.model_options))
    ids = [sample.id for sample in built.samples()[: flags.limit]]
    if not isinstance(model, (Answers, Folder)):
        raise UsageError(f"{model.name} holds no answers made elsewhere; use `evalkit run -m`")
    return len(ids), model.matched(ids)


def _lines(count: int, found: Matched) -> list[str]:
    lines = [f"{count - len(found.missing):,} of {count:,} samples are answered"]
    if found.missing:
        lines.append(f"{len(found.missing):,} samples have no answer: {_some(found.missing)}")
    if found.extra:
        lines.append(f"{len(found.extra):,} answers have no sample: {_some(found.extra)}")
    return lines


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
