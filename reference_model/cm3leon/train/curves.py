"""The curves of a training: every stage's losses by step, drawn from its log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cm3leon.train.loop import LOG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE = ("step", "steps_per_second", "norm", "loss")
"""What stands in a line beside the parts of the loss."""
_POINTS = 400


def losses(folder: Path) -> tuple[list[int], dict[str, list[float]]]:
    """Return the steps of a stage's log, and each part of its loss at them; the whole loss where it has no parts.

    Raises:
        ValueError: there is no log.
    """
    path = folder / LOG
    if not path.exists():
        raise ValueError(f"{path} is missing; run the stage {folder.name!r} first")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = [name for name in lines[-1] if name not in _SIDE] or ["loss"]
    return [line["step"] for line in lines], {name: [line.get(name, float("nan")) for line in lines] for name in names}


def draw(folders: Sequence[Path], path: Path) -> None:
    """Write the curves of stages, a panel each, as an SVG.

    Raises:
        ValueError: a stage has no log.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(folders), 3.2), layout="constrained")
    panels = figure.subplots(1, len(folders), squeeze=False)[0]
    for panel, folder in zip(panels, folders, strict=True):
        _fill(panel, folder.name, *losses(folder))
    figure.savefig(path, format="svg", metadata={"Date": None})


def _fill(panel: Axes, name: str, steps: Sequence[int], parts: Mapping[str, Sequence[float]]) -> None:
    every = max(1, len(steps) // _POINTS)
    for part, values in parts.items():
        panel.plot(steps[::every], values[::every], label=part, linewidth=1)
    panel.set_title(name)
    panel.set_xlabel("step")
    panel.set_yscale("log")
    panel.legend(fontsize="small", frameon=False)
