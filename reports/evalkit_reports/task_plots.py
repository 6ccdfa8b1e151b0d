"""The plots of a task: numbers with intervals, strata, curves over n, precision and recall, quality and cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evalkit.results import read_samples
from evalkit.types import Estimate
from evalkit_reports import numbers
from evalkit_reports.breakdowns import Breakdown, breakdowns
from evalkit_reports.measures import LoadedRun, Measure, TaskResults, is_breakdown
from evalkit_reports.plots import (
    MOST_STRATA,
    Curve,
    Points,
    Spot,
    bar_plot,
    curve_plot,
    dot_plot,
    is_by_n,
    spot_plot,
)
from evalkit_reports.wording import label

FIT = "_fit"
"""Ending of the series that holds the line fitted to another."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with the words under it."""

    svg: Markup
    caption: str


def task_plots(results: TaskResults, anchor: str) -> tuple[tuple[Plot, ...], ...]:
    """Return the plots of a task in rows of one kind.

    Raises:
        DataError: a run's samples are missing or damaged.
    """
    rows = (
        _dot_plots(results, anchor),
        _bar_plots(results, anchor),
        (*_curve_plots(results, anchor), *_recall_plots(results, anchor), *_cost_plots(results, anchor)),
    )
    return tuple(row for row in rows if row)


def _dot_plots(results: TaskResults, anchor: str) -> tuple[Plot, ...]:
    """Return a plot of each measure that two or more runs have a number for: one dot alone tells nothing."""
    compared = [m for m in results.measures if len(m.numbers) > 1 and not is_breakdown(m.name)]
    return tuple(
        Plot(
            dot_plot(measure, results.runs, f"{anchor}-dots-{number}"),
            f"{label(measure.name)}, {numbers.direction_text(measure.higher_is_better)}. Bars: intervals of the table.",
        )
        for number, measure in enumerate(compared, start=1)
    )


def _bar_plots(results: TaskResults, anchor: str) -> tuple[Plot, ...]:
    found = [one for one in breakdowns(results) if len(one.values) > 1]
    return tuple(
        Plot(bar_plot(one, results.runs, f"{anchor}-bars-{number}"), _bar_caption(one, results))
        for number, one in enumerate(found, start=1)
    )


def _bar_caption(one: Breakdown, results: TaskResults) -> str:
    some = f" The {MOST_STRATA} largest of {len(one.values)} strata." if len(one.values) > MOST_STRATA else ""
    on = f" on {label(one.data)}" if len(results.data_names) > 1 else ""
    names = ", ".join(label(loaded.label, 24) for loaded in one.runs)
    order = f" Each from the top: {names}." if len(one.runs) > 1 else ""
    return f"{label(one.measure)} by {label(one.kind)}{on}.{order} Thin lines: intervals.{some}"


def _curve_plots(results: TaskResults, anchor: str) -> tuple[Plot, ...]:
    """Return a plot of each curve, runs of one protocol and one data set together."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for loaded in results.runs:
        for name, curve in _curves(loaded):
            groups.setdefault((name, loaded.run.data, _curve_protocol(loaded, name)), []).append(curve)
    plots = []
    for number, ((name, data, _), curves) in enumerate(groups.items(), start=1):
        svg = curve_plot(name, curves, results.runs, f"{anchor}-curve-{number}")
        fitted = " Line: fitted in 1 / n; dashed: where it leads." if is_by_n(name) else ""
        plots.append(Plot(svg, f"{label(name)} on {label(data)}.{fitted}"))
    return tuple(plots)


def _curves(loaded: LoadedRun) -> Iterator[tuple[str, Curve]]:
    """Yield each curve of a run by name; `x_fit` is no curve of its own but the line through `x`."""
    series = {name: _finite(points) for name, points in loaded.run.series.items()}
    for name, points in series.items():
        base = name.removesuffix(FIT)
        if points and (base == name or base not in series):
            yield name, Curve(loaded, points, series.get(name + FIT, ()))


def _finite(points: Points) -> Points:
    return tuple(point for point in points if math.isfinite(point[0]) and math.isfinite(point[1]))


def _curve_protocol(loaded: LoadedRun, name: str) -> str:
    """Return what decides whether two curves may share a plot: the protocol of the estimate that they are of."""
    estimate = loaded.run.estimates.get(name.removesuffix("_by_n"))
    return estimate.protocol if isinstance(estimate, Estimate) else " ".join(sorted(loaded.run.protocols))


def _recall_plots(results: TaskResults, anchor: str) -> tuple[Plot, ...]:
    """Return precision against recall, for each group of runs that share both protocols."""
    pairs = [(p, r) for p in _of(results, "precision") for r in _of(results, "recall") if p.data == r.data]
    plots = []
    for number, (precision, recall) in enumerate(pairs, start=1):
        found = {loaded.label: estimate for loaded, estimate in recall.numbers}
        spots = [_spot(loaded, found[loaded.label], y) for loaded, y in precision.numbers if loaded.label in found]
        if len(spots) > 1:
            svg = spot_plot(("recall ↑", "precision ↑"), spots, results.runs, f"{anchor}-recall-{number}")
            plots.append(Plot(svg, "Precision (are the pictures real?) against recall (are all kinds made?)."))
    return tuple(plots)


def _of(results: TaskResults, name: str) -> list[Measure]:
    return [measure for measure in results.measures if measure.name == name and measure.numbers]


def _spot(loaded: LoadedRun, x: Estimate, y: Estimate) -> Spot:
    return Spot(loaded, x.value, y.value, _bounds(x), _bounds(y))


def _bounds(estimate: Estimate) -> tuple[float, float] | None:
    return None if estimate.interval is None else (estimate.interval.low, estimate.interval.high)


def _cost_plots(results: TaskResults, anchor: str) -> tuple[Plot, ...]:
    """Return the headline against the seconds that an answer took, for runs that are told apart by both."""
    plain = [m for m in results.measures if m.numbers and not is_breakdown(m.name) and m.higher_is_better is not None]
    if not plain or len(plain[0].numbers) < 2:
        return ()
    headline = plain[0]
    spots = [
        Spot(loaded, seconds, estimate.value, None, _bounds(estimate))
        for loaded, estimate in headline.numbers
        if (seconds := mean_seconds(loaded)) is not None and math.isfinite(estimate.value)
    ]
    if len(spots) < 2:
        return ()
    better = headline.higher_is_better is True
    titles = "seconds an answer ↓", f"{label(headline.name, 24)} {numbers.arrow(better)}"
    svg = spot_plot(titles, spots, results.runs, f"{anchor}-cost", front(spots, higher=better))
    return (Plot(svg, "Quality against cost. Dashed: the runs that no other beats in both (the Pareto front)."),)


def mean_seconds(loaded: LoadedRun) -> float | None:
    """Return how long the model took for an answer, in seconds, cached ones included; None where that is not known."""
    taken = [record.seconds for record in read_samples(loaded.directory) if record.failure is None]
    mean = math.fsum(taken) / len(taken) if taken else 0.0
    return mean if mean > 0 and math.isfinite(mean) else None


def front(spots: Sequence[Spot], *, higher: bool) -> list[Spot]:
    """Return the spots that no other beats in x (less is better) and y, by rising x."""
    found: list[Spot] = []
    for spot in sorted(spots, key=lambda one: (one.x, -one.y if higher else one.y)):
        if not found or ((spot.y > found[-1].y) == higher and spot.y != found[-1].y):
            found.append(spot)
    return found
