"""A metric that is left out, with the reason, where what it is made with is not on this machine.

A task that has other numbers goes on without it. `--metrics` that names it takes it as it is: then what is missing is
an error, before anything is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic, Literal, TypeVar

from evalkit.interfaces import Metric, MetricResult, Scored
from evalkit.types import Unavailable

S = TypeVar("S")


class OptionalMetric(Generic[S]):
    """A metric, and what says what it lacks: empty where it lacks nothing. Nothing is fetched for it."""

    def __init__(self, metric: Metric[S], missing: Callable[[], str]) -> None:
        """Make the estimates of `metric` unless something is `missing` when it is prepared."""
        self._metric = metric
        self._ask = missing
        self._missing = ""

    def missing(self) -> str:
        """Return what it lacks, empty where it lacks nothing; nothing is fetched.

        Raises:
            WeightsError: what is here is damaged.
        """
        return self._ask()

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes where it can."""
        return self._metric.names

    def only(self, names: Collection[str]) -> Metric[S]:
        """Return the metric itself making only the estimates of these names, which are now asked for.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return self._metric.only(names)

    @property
    def estimator(self) -> Literal["mean", "corpus", "distribution"]:
        """That of the metric."""
        return self._metric.estimator

    def prepare(self) -> None:
        """Find what the metric is made with, or note what is missing.

        Raises:
            WeightsError: what is here is damaged.
        """
        self._missing = self._ask()
        if not self._missing:
            self._metric.prepare()

    def backlog(self) -> int:
        """Return how many items it must read besides the answers."""
        return 0 if self._missing else self._metric.backlog()

    def start(self) -> S:
        """Return the state of no samples."""
        return self._metric.start()

    def update(self, state: S, scored: Sequence[Scored]) -> S:
        """Return `state` with these samples added; as it is where something is missing."""
        return state if self._missing else self._metric.update(state, scored)

    def merge(self, left: S, right: S) -> S:
        """Return the state of both sides' samples."""
        return self._metric.merge(left, right)

    def finish(self, state: S) -> MetricResult:
        """Return the estimates, or what is missing in the place of each that is no breakdown of another.

        Raises:
            NotEnoughSamples: fewer samples than the metric is defined for.
        """
        if self._missing:
            whole = [n for n in self.names if not any(n.startswith(f"{other}_by_") for other in self.names)]
            return MetricResult({name: Unavailable(self._missing) for name in whole}, (), {}, {})
        return self._metric.finish(state)
