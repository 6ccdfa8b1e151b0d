"""AP and AP50 of what a detector finds in the answers, or in the true pictures, against the boxes that were asked for.

The interval is a delete-one jackknife over photos, for the expected AP of another set of as many: simulated, 95 %
intervals cover 96 % of the time at 40 photos and 20 categories and 98 % at 200, those of a percentile bootstrap 93 and
91 %, for a resample repeats photos and lacks categories. A sample's influence is how far it moves AP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from evalkit import stats
from evalkit.errors import NotEnoughSamples, RunError
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import Detections
from evalkit.features.pictures import Picture
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.chosen import chosen_names
from evalkit.metrics.means import Fields
from evalkit.metrics.pictures.average_precision import Doubles, Matches, Objects, Ranking, matches
from evalkit.metrics.pictures.similarity import feature_cache
from evalkit.protocols import Protocol as Choices
from evalkit.protocols import protocol
from evalkit.types import Estimate, Interval, Unavailable
from evalkit.workspace import Workspace

VERSION = 1
"""Raised whenever any of these numbers changes."""
_FIRST, _ALL = slice(0, 1), slice(None)


class Finder(Protocol):
    """What finds objects in pictures: a detector, or a drawn world's own reader."""

    @property
    def name(self) -> str:
        """What stands in the names of numbers."""
        ...

    @property
    def protocol_fields(self) -> Fields:
        """Every choice that moves a box."""
        ...

    def prepare(self) -> None:
        """Find what it needs."""
        ...

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Detections]:
        """Return what is in each picture, its boxes in pixels of that picture."""
        ...


@dataclass(frozen=True, slots=True)
class Looked:
    """Which picture of a scored sample is looked at: a word for the protocol, a prefix of names, and the picture."""

    what: str
    prefix: str
    picture: Callable[[Scored], tuple[Picture, float, float]]
    """The picture, and by how much its boxes are stretched across and down to lie where boxes were asked for."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One sample's detections, matched, in each picture that is looked at: by the prefix of its numbers."""

    id: str
    cluster: str
    matches: Mapping[str, Matches]


@dataclass(slots=True)
class BoxState:
    """The samples so far, in the order that they came."""

    ranked: list[Ranked] = field(default_factory=list)


class BoxMetric:
    """AP and AP50 over all samples, as COCO computes them."""

    estimator: Literal["mean", "corpus", "distribution"] = "corpus"

    def __init__(
        self,
        protocol_name: str,
        fields: Fields,
        workspace: Workspace,
        finder: Finder,
        looks: Sequence[Looked],
        asked: Callable[[Scored], Objects],
        estimates: Collection[str] | None = None,
    ) -> None:
        """Compare what `finder` sees in the pictures that `looks` name with what was `asked`.

        `fields` are the task's own choices, which go into every protocol.

        Raises:
            UsageError: `estimates` holds an unknown name.
        """
        self._protocol_name = protocol_name
        self._fields = dict(fields)
        self._workspace = workspace
        self._finder = finder
        self._asked = asked
        self._numbers = {
            f"{look.prefix}{name}[{finder.name}]": (look, columns)
            for look in looks
            for name, columns in (("ap", _ALL), ("ap50", _FIRST))
        }
        self._names = chosen_names(list(self._numbers), estimates)
        self._looks = tuple(dict.fromkeys(self._numbers[name][0] for name in self._names))

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, in the order that they are shown in."""
        return self._names

    def only(self, names: Collection[str]) -> BoxMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        looks = tuple(dict.fromkeys(look for look, _ in self._numbers.values()))
        parts = (self._workspace, self._finder, looks, self._asked)
        return BoxMetric(self._protocol_name, self._fields, *parts, names)

    def prepare(self) -> None:
        """Find what the detector needs.

        Raises:
            WeightsError: its weights cannot be had.
            UsageError: a package that it runs on is missing.
        """
        self._finder.prepare()

    def backlog(self) -> int:
        """Return 0: pictures are looked at as their samples come."""
        return 0

    def start(self) -> BoxState:
        """Return the state of no samples."""
        return BoxState()

    def update(self, state: BoxState, scored: Sequence[Scored]) -> BoxState:
        """Return `state` with these samples looked at.

        Raises:
            RunError: an answer does not hold one picture.
            DataError: a true picture is missing or not what the data say of it.
            CacheError: a picture cannot be read, or the cache is damaged.
        """
        matched: list[dict[str, Matches]] = [{} for _ in scored]
        with feature_cache(self._workspace) as cache:
            for look in self._looks:
                looked = [look.picture(one) for one in scored]
                found = self._finder.pictures([picture for picture, _, _ in looked], cache)
                for place, (one, seen) in enumerate(zip(scored, found, strict=True)):
                    _, across, down = looked[place]
                    matched[place][look.prefix] = matches(self._asked(one), seen.scaled(across, down))
        for one, by_look in zip(scored, matched, strict=True):
            state.ranked.append(Ranked(one.sample.id, one.sample.cluster or one.sample.id, by_look))
        return state

    def merge(self, left: BoxState, right: BoxState) -> BoxState:
        """Return the state of both sides' samples."""
        return BoxState(left.ranked + right.ranked)

    def finish(self, state: BoxState) -> MetricResult:
        """Return the estimates; they have the same bits whatever order and shards the samples came in.

        Raises:
            NotEnoughSamples: there are no answers.
            RunError: a sample was scored twice.
        """
        if not state.ranked:
            raise NotEnoughSamples("there is no answer to look at; raise the limit or see why samples failed")
        twice = [name for name, count in Counter(one.id for one in state.ranked).items() if count > 1]
        if twice:
            raise RunError(f"sample {twice[0]!r} was scored more than once; shards must not overlap")
        ordered = sorted(state.ranked, key=lambda one: one.id)
        rankings = {look: Ranking([one.matches[look.prefix] for one in ordered]) for look in self._looks}
        estimates: dict[str, Estimate | Unavailable] = {}
        protocols: list[Choices] = []
        influences: dict[str, dict[str, float]] = {}
        for name in self._names:
            look, columns = self._numbers[name]
            value = rankings[look].precision(np.ones(len(ordered)), columns)
            if value is None:
                estimates[name] = Unavailable("none of the answered samples asks for an object that counts")
                continue
            protocols.append(self._protocol(name, look, ordered))
            interval = _interval(value, rankings[look], ordered, columns)
            estimates[name] = Estimate(value, len(ordered), "fraction", True, protocols[-1].digest, interval)
            influences[f"{name}_influence"] = _influence(rankings[look], ordered, columns)
        return MetricResult(estimates, tuple(protocols), influences, {})

    def _protocol(self, name: str, look: Looked, ordered: Sequence[Ranked]) -> Choices:
        own: Fields = {
            "statistic": name,
            "metric_version": VERSION,
            "looked_at": look.what,
            "scorer": "COCOeval: area all, at most 100 a category",
            "n_samples": len(ordered),
            "samples_digest": digest([one.id for one in ordered]),
            **self._finder.protocol_fields,
        }
        clash = sorted(own.keys() & self._fields.keys())
        if clash:
            raise ValueError(f"the task's fields {clash} are the metric's own; rename them")
        return protocol(self._protocol_name, {**self._fields, **own})


def _influence(ranking: Ranking, ordered: Sequence[Ranked], columns: slice) -> dict[str, float]:
    if len(ordered) < 2:
        return {}
    moved = stats.jackknife_influence(leave_one_out(ranking, [[place] for place in range(len(ordered))], columns))
    return dict(zip((one.id for one in ordered), moved.tolist(), strict=True))


def leave_one_out(ranking: Ranking, groups: Sequence[Sequence[int]], columns: slice = _ALL) -> Doubles:
    """Return the mean AP `(G,)` without each group of pictures in turn, that of all where none is left.

    Only the categories that a group has a part in are ranked again.
    """
    whole = np.ones(ranking.count)
    base = [ranking.of_category(place, whole, columns) for place in range(len(ranking.categories))]
    mean = ranking.precision(whole, columns)
    found = np.empty(len(groups))
    for number, group in enumerate(groups):
        weights = whole.copy()
        weights[list(group)] = 0
        values = list(base)
        for place in {place for picture in group for place in ranking.places_of(picture)}:
            values[place] = ranking.of_category(place, weights, columns)
        held = [value for value in values if value is not None]
        found[number] = np.mean(held) if held else mean
    return found


def _interval(value: float, ranking: Ranking, ordered: Sequence[Ranked], columns: slice) -> Interval | None:
    """Return the jackknife's interval over clusters, within 0 and 1; None of one cluster, or where none moves AP."""
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(ordered):
        groups.setdefault(one.cluster, []).append(place)
    if len(groups) < 2:
        return None
    without = leave_one_out(ranking, list(groups.values()), columns)
    if np.ptp(without) == 0:  # nothing is known of the spread: that is no certainty
        return None
    found = stats.jackknife_interval(value, without)
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))
