"""`evalkit verify`: a task's golden values, run again, and its published anchors."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from evalkit.cli.bars import progress_on_stderr
from evalkit.cli.words import columns, number, print_json
from evalkit.errors import UsageError
from evalkit.registry import build_model, build_task, task_spec
from evalkit.types import Estimate, Json, Unavailable
from evalkit.workspace import Workspace, default_cache_dir

if TYPE_CHECKING:
    from evalkit.anchors import Anchor
    from evalkit.progress import Progress

Found: TypeAlias = Estimate | Unavailable | None


@dataclass(frozen=True, slots=True)
class Checked:
    """An anchor and what was found now; nothing where it is not evalkit's to run."""

    anchor: Anchor
    found: Found

    @property
    def verdict(self) -> str:
        """`holds`, `differs`, or why nothing was found."""
        if not self.anchor.model:
            return "published, not run: its model is not evalkit's"
        if not isinstance(self.found, Estimate):
            return "not available" if self.found is None else self.found.reason
        return "holds" if abs(self.found.value - self.anchor.value) <= self.anchor.tolerance else "differs"


def verify(task: str, /, *, cache: Path | None = None, offline: bool = False, json: bool = False) -> int:
    """Run a task's golden values again, and name its published anchors. Exit codes: 0 all hold, 1 one does not.

    Args:
        task: Name of a task. Answers that are stored are not asked again: give a new --cache to ask all of them.
        cache: Folder of answers, features and weights that all runs share; `evalkit doctor` says where.
        offline: Do not touch the network.
        json: Print JSON on standard output, and nothing else there.
    """
    spec, out = task_spec(task), sys.stdout
    if not spec.anchors:
        raise UsageError(f"{spec.name} has no golden values and no anchors; its spec's `anchors` name them")
    with progress_on_stderr() as progress, redirect_stdout(sys.stderr):
        workspace = Workspace(cache=cache or default_cache_dir(), offline=offline, progress=progress)
        checked = [one for anchors in _alike(spec.anchors) for one in _checked(spec.name, anchors, workspace, progress)]
    if json:
        print_json({"task": spec.name, "anchors": [_document(one) for one in checked]}, out)
    else:
        print(_table(checked), file=out)
    return 1 if any(one.anchor.model and one.verdict != "holds" for one in checked) else 0


def _alike(anchors: Sequence[Anchor]) -> list[list[Anchor]]:
    """Return the anchors in groups that one run serves."""
    groups: dict[tuple[object, ...], list[Anchor]] = {}
    for one in anchors:
        groups.setdefault((one.model, one.options, one.protocol, one.data), []).append(one)
    return list(groups.values())


def _checked(task: str, anchors: Sequence[Anchor], workspace: Workspace, progress: Progress) -> list[Checked]:
    first = anchors[0]
    found: Mapping[str, Found] = {}
    if first.model:
        progress.say(f"{task}: {', '.join(one.metric for one in anchors)} of {first.model}")
        found = _run(task, first, tuple(one.metric for one in anchors), workspace)
    return [Checked(one, found.get(one.metric)) for one in anchors]


def _run(task: str, anchor: Anchor, metrics: tuple[str, ...], workspace: Workspace) -> Mapping[str, Found]:
    from dataclasses import replace

    from evalkit.cache import Cache
    from evalkit.runner import RunSettings, run

    built = build_task(task, replace(workspace, data=anchor.data), anchor.protocol, dict(anchor.options))
    model = build_model(anchor.model, built.workspace, {})
    settings = RunSettings(metrics=metrics, protocol=anchor.protocol, options=dict(anchor.options))
    with tempfile.TemporaryDirectory() as scratch, Cache(built.workspace.cache) as cache:
        return run(built, model, cache, settings, Path(scratch))[0].estimates


def _table(checked: Sequence[Checked]) -> str:
    head = ("number", "model", "expected", "found", "", "source")
    rows = [
        (
            one.anchor.metric,
            one.anchor.model or "-",
            number(one.anchor.value) + (f" ± {one.anchor.tolerance:g}" if one.anchor.tolerance else ""),
            number(one.found.value) if isinstance(one.found, Estimate) else "-",
            one.verdict,
            one.anchor.source,
        )
        for one in checked
    ]
    return columns([head, *rows], None)


def _document(one: Checked) -> Json:
    return {
        "metric": one.anchor.metric,
        "model": one.anchor.model or None,
        "expected": one.anchor.value,
        "tolerance": one.anchor.tolerance,
        "found": one.found.value if isinstance(one.found, Estimate) else None,
        "verdict": one.verdict,
        "source": one.anchor.source,
    }
