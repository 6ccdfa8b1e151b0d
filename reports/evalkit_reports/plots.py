"""Plots of a page: each estimate with its intervals, and curves over n with the line fitted to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evalkit.types import Estimate
from evalkit_reports import numbers
from evalkit_reports.breakdowns import Breakdown
from evalkit_reports.measures import LoadedRun, Measure
from evalkit_reports.svg import FAINT, INK, MARKERS, SERIES, inline_svg
from evalkit_reports.wording import label

WIDTH_INCHES = 4.4
POINTS = 9.5
"""Size of a plot's text."""

MOST_STRATA = 20
"""Strata that one plot shows."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's curve, and the points of the line that was fitted to it; empty where the run holds none."""

    loaded: LoadedRun
    points: Points
    fit: Points = ()


def dot_plot(measure: Measure, runs: Sequence[LoadedRun], prefix: str) -> Markup:
    """Return a plot of the measure's numbers, one line a run, each with its interval; colours are those of `runs`."""
    found = [(loaded, estimate) for loaded, estimate in measure.numbers if math.isfinite(estimate.value)]
    figure = Figure(figsize=(WIDTH_INCHES, 0.75 + 0.3 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    for place, (loaded, estimate) in enumerate(found):
        colour, marker = _style(runs.index(loaded))
        if estimate.interval is not None and math.isfinite(estimate.interval.high - estimate.interval.low):
            axes.plot([estimate.interval.low, estimate.interval.high], [place, place], color=colour, linewidth=2)
        axes.plot([estimate.value], [place], marker=marker, markersize=7, color=colour, linestyle="none")
    axes.set_yticks(range(len(found)), [label(loaded.label, 24) for loaded, _ in found], parse_math=False)
    axes.set_ylim(len(found) - 0.5, -0.5)
    _finish(axes, f"{label(measure.name)} {numbers.arrow(measure.higher_is_better)}", "")
    axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="y", length=0)
    return inline_svg(figure, prefix, describe(measure))


def describe(measure: Measure) -> str:
    """Return what a dot plot shows, in words."""
    listed = [
        f"{label(loaded.label)} {numbers.value_text(estimate)}"
        + (f" (interval {numbers.interval_text(estimate)})" if estimate.interval else "")
        for loaded, estimate in measure.numbers
    ]
    return f"{label(measure.name)}, {numbers.direction_text(measure.higher_is_better)}: " + "; ".join(listed)


def curve_plot(name: str, curves: Sequence[Curve], runs: Sequence[LoadedRun], prefix: str) -> Markup:
    """Return a plot of one curve a run; for a curve `..._by_n` with the line in 1 / n and where it leads."""
    figure = Figure(figsize=(WIDTH_INCHES, 3.1), layout="constrained")
    axes = figure.add_subplot()
    words = [_draw(axes, name, curve, runs.index(curve.loaded)) for curve in curves]
    _finish(axes, "n" if is_by_n(name) else "", label(name.removesuffix("_by_n"), 24))
    axes.grid(color=FAINT, linewidth=0.5, alpha=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.03)
    if len(runs) > 1:
        legend = axes.legend(frameon=False, fontsize=POINTS, labelcolor=INK, handlelength=1.6)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return inline_svg(figure, prefix, f"{label(name)}: " + "; ".join(words))


def bar_plot(breakdown: Breakdown, runs: Sequence[LoadedRun], prefix: str) -> Markup:
    """Return a plot of a breakdown: bars of each run for each stratum, with intervals; at most `MOST_STRATA` strata."""
    shown, present = largest(breakdown), breakdown.runs
    figure = Figure(figsize=(WIDTH_INCHES, 0.7 + (0.17 * len(present) + 0.12) * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    thickness = 0.8 / len(present)
    words = []
    for place, (value, measure) in enumerate(shown):
        for row, loaded in enumerate(present):
            estimate = dict(_by_label(measure)).get(loaded.label)
            if estimate is not None and math.isfinite(estimate.value):
                at = place + (row - (len(present) - 1) / 2) * thickness
                _bar(axes, estimate, at, thickness, _style(runs.index(loaded))[0])
                words.append(f"{label(value, 24)}: {label(loaded.label, 24)} {numbers.value_text(estimate)}")
    axes.set_yticks(range(len(shown)), [label(value, 22) for value, _ in shown], parse_math=False)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    _finish(axes, f"{label(breakdown.measure)} {numbers.arrow(shown[0][1].higher_is_better)}".strip(), "")
    axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="y", length=0)
    return inline_svg(figure, prefix, f"{label(breakdown.title)}. " + "; ".join(words))


def largest(breakdown: Breakdown) -> list[tuple[str, Measure]]:
    """Return the strata with most samples, at most `MOST_STRATA` of them, in the order of the breakdown."""
    sizes = {value: max(estimate.n for _, estimate in measure.numbers) for value, measure in breakdown.values}
    kept = sorted(sizes, key=lambda value: -sizes[value])[:MOST_STRATA]
    return [(value, measure) for value, measure in breakdown.values if value in kept]


def _bar(axes: Axes, estimate: Estimate, at: float, thickness: float, colour: str) -> None:
    axes.barh(at, estimate.value, height=thickness * 0.86, color=colour, alpha=0.8, linewidth=0)
    bounds = estimate.interval
    if bounds is not None and math.isfinite(bounds.high - bounds.low):
        axes.plot([bounds.low, bounds.high], [at, at], color=INK, linewidth=1)


def _by_label(measure: Measure) -> list[tuple[str, Estimate]]:
    return [(loaded.label, estimate) for loaded, estimate in measure.numbers]


@dataclass(frozen=True, slots=True)
class Spot:
    """A run in a plane of two numbers, each with its interval where it has one."""

    loaded: LoadedRun
    x: float
    y: float
    x_bounds: tuple[float, float] | None = None
    y_bounds: tuple[float, float] | None = None


def spot_plot(
    titles: tuple[str, str], spots: Sequence[Spot], runs: Sequence[LoadedRun], prefix: str, front: Sequence[Spot] = ()
) -> Markup:
    """Return a plot of runs in a plane whose axes have `titles`; a line joins those of `front`, where x is a cost."""
    figure = Figure(figsize=(WIDTH_INCHES, 3.1), layout="constrained")
    axes = figure.add_subplot()
    for spot in spots:
        colour, marker = _style(runs.index(spot.loaded))
        if spot.x_bounds is not None:
            axes.plot(spot.x_bounds, [spot.y, spot.y], color=colour, linewidth=1.2)
        if spot.y_bounds is not None:
            axes.plot([spot.x, spot.x], spot.y_bounds, color=colour, linewidth=1.2)
        name = f" {label(spot.loaded.label, 24)}"
        axes.plot([spot.x], [spot.y], marker=marker, markersize=8, color=colour, linestyle="none", label=name)
    if front:
        axes.set_xscale("log")
        axes.plot([s.x for s in front], [s.y for s in front], color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    _finish(axes, *titles)
    axes.grid(color=FAINT, linewidth=0.5, alpha=0.6)
    axes.margins(x=0.12, y=0.12)
    legend = axes.legend(frameon=False, fontsize=POINTS, labelcolor=INK, handlelength=1.2)
    for text in legend.get_texts():
        text.set_parse_math(False)
    words = "; ".join(f"{label(s.loaded.label)} at {titles[0]} {s.x:.4g}, {titles[1]} {s.y:.4g}" for s in spots)
    return inline_svg(figure, prefix, words)


def is_by_n(name: str) -> bool:
    """Return whether a curve is an estimate against the number of samples that it was made from."""
    return name.endswith("_by_n")


def _draw(axes: Axes, name: str, curve: Curve, position: int) -> str:
    """Draw a curve with its line and return in words what was drawn."""
    colour, marker = _style(position)
    x, y = np.array(curve.points, dtype=np.float64).T
    shown = label(curve.loaded.label, 24)
    fit = limit_at_infinity(curve.fit or curve.points) if is_by_n(name) else None
    axes.plot(
        x, y, marker=marker, markersize=5, color=colour, label=f" {shown}",
        linestyle="none" if fit else "-", linewidth=1.5,
    )  # fmt: skip
    if fit is None:
        return f"{shown} from {y[0]:.4g} at {x[0]:g} to {y[-1]:.4g} at {x[-1]:g}"
    limit, slope = fit
    over = np.linspace(x.min(), x.max(), 100)
    axes.plot(over, limit + slope / over, color=colour, linewidth=1.5)
    axes.axhline(limit, color=colour, linewidth=1, linestyle=(0, (4, 3)))
    return f"{shown} from {y[0]:.4g} at n = {x[0]:g} to {y[-1]:.4g} at n = {x[-1]:g}, towards {limit:.4g}"


def limit_at_infinity(curve: Points) -> tuple[float, float] | None:
    """Return a and b of the least-squares line y = a + b / x: a is where the curve leads; None below three points.

    Source: the extrapolation of FID-infinity, Chong and Forsyth 2020, arXiv:1911.07023.
    """
    points = np.array([point for point in curve if point[0] > 0 and np.isfinite(point).all()], dtype=np.float64)
    if len(points) < 3 or np.unique(points[:, 0]).size < 2:
        return None
    slope, limit = np.polyfit(1 / points[:, 0], points[:, 1], 1)
    return float(limit), float(slope)


def _style(position: int) -> tuple[str, str]:
    return SERIES[position % len(SERIES)], MARKERS[position % len(MARKERS)]


def _finish(axes: Axes, below: str, beside: str) -> None:
    axes.set_xlabel(below, fontsize=POINTS, color=INK, parse_math=False)
    axes.set_ylabel(beside, fontsize=POINTS, color=INK, parse_math=False)
    axes.tick_params(labelsize=POINTS, colors=INK, length=3, width=0.8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(FAINT)
