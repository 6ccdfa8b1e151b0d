"""AP and AP50 of what a detector finds in the answers, or in the true pictures, against the boxes that were asked for.

The interval is a percentile bootstrap over pictures: those of a resample are ranked together again. A sample's
influence is how far AP moves without it. A resample in which a category does not occur is a mean over the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np

from evalkit import stats
from evalkit.errors import NotEnoughSamples, RunError
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import Detections
from evalkit.features.pictures import Picture
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.chosen import chosen_names
from evalkit.metrics.pictures.average_precision import Doubles, Matches, Objects, Ranking, matches
from evalkit.metrics.pictures.similarity import feature_cache
from evalkit.protocols import Protocol as Choices
from evalkit.protocols import protocol
from evalkit.types import Estimate, Interval, JsonScalar, Unavailable
from evalkit.workspace import Workspace

VERSION = 1
"""Raised whenever any of these numbers changes."""
BOOTSTRAPPED = 50_000
"""Above this number of pictures no interval is made: a thousand resamples would take longer than the run."""
_SEED = 0
_FIRST, _ALL = slice(0, 1), slice(None)

Fields: TypeAlias = Mapping[str, JsonScalar]


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
            interval = _interval(rankings[look], ordered, columns)
            estimates[name] = Estimate(value, len(ordered), "fraction", True, protocols[-1].digest, interval)
            moved = influence(rankings[look], columns).tolist()
            influences[f"{name}_influence"] = dict(zip((one.id for one in ordered), moved, strict=True))
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


def influence(ranking: Ranking, columns: slice = _ALL) -> Doubles:
    """Return how far each picture moves the mean AP `(n,)`, from its value without each; the mean is 0."""
    n = ranking.count
    whole = np.ones(n)
    base = [ranking.of_category(place, whole, columns) or 0.0 for place in range(len(ranking.categories))]
    without = np.full(n, np.mean(base))
    for picture in range(n):
        weights = whole.copy()
        weights[picture] = 0
        values = list(base)
        gone: set[int] = set()
        for place in ranking.places_of(picture):
            value = ranking.of_category(place, weights, columns)
            if value is None:
                gone.add(place)
            else:
                values[place] = value
        left = [value for place, value in enumerate(values) if place not in gone]
        without[picture] = np.mean(left) if left else np.mean(base)
    return stats.jackknife_influence(without)


def _interval(ranking: Ranking, ordered: Sequence[Ranked], columns: slice) -> Interval | None:
    """Return the bootstrap's interval over clusters, None of one cluster or of too many samples."""
    owners = {name: place for place, name in enumerate(dict.fromkeys(one.cluster for one in ordered))}
    cluster = np.array([owners[one.cluster] for one in ordered])
    if len(owners) < 2 or len(ordered) > BOOTSTRAPPED:
        return None

    def resampled(drawn: stats.Indices) -> float:
        weights = np.bincount(drawn, minlength=len(owners)).astype(np.float64)[cluster]
        value = ranking.precision(weights, columns)
        return float("nan") if value is None else value

    found = stats.percentile_bootstrap(resampled, len(owners), _SEED)
    return None if np.isnan(found.low) else found
