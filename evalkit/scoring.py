"""The metrics at work, in a thread of their own while answers still arrive."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from evalkit.errors import EvalkitError, UsageError, WeightsError, nearest
from evalkit.interfaces import AnyMetric, MetricResult, Scored, Task
from evalkit.metrics.optional import OptionalMetric

CHUNK = 32
"""Answers that go to the metrics at a time."""
WAITING = 64
"""Chunks that may wait to be scored; where more do, generating waits for scoring."""


class Scoring:
    """The metrics, fed from a thread of their own while answers still arrive.

    Use as a context: leaving it early drops what has not been scored yet.
    """

    def __init__(self, metrics: Sequence[AnyMetric]) -> None:
        self._metrics = metrics
        self._states: list[object] = []
        self._chunk: list[Scored] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")
        self._updates: list[Future[None]] = []

    def __enter__(self) -> Scoring:
        """Prepare every metric, before anything is generated."""
        try:
            self._thread.submit(self._prepare).result()
        except BaseException:
            self._thread.shutdown(cancel_futures=True)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what waits and let what is being scored end."""
        self._thread.shutdown(cancel_futures=True)

    def _prepare(self) -> None:
        for metric in self._metrics:
            try:
                metric.prepare()
            except WeightsError as error:
                others = [other for other in self._metrics if other is not metric and _runs(other)]
                names = ",".join(name for other in others for name in other.names)
                hint = f"\nWithout it: --metrics '{names}'" if names else ""
                raise WeightsError(f"{', '.join(metric.names)}: {error}{hint}") from error
        self._states = [metric.start() for metric in self._metrics]

    def add(self, scored: Scored) -> None:
        """Hand one answered sample to the metrics; an error of an earlier update is raised here."""
        self._chunk.append(scored)
        if len(self._chunk) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        while self._updates and (self._updates[0].done() or len(self._updates) >= WAITING):
            self._updates.pop(0).result()
        chunk, self._chunk = self._chunk, []
        self._updates.append(self._thread.submit(self._update, chunk))

    def _update(self, chunk: Sequence[Scored]) -> None:
        for index, metric in enumerate(self._metrics):
            self._states[index] = metric.update(self._states[index], chunk)

    def finish(self) -> list[MetricResult]:
        """Return what each metric found.

        Raises:
            NotEnoughSamples: fewer answers than an estimator is defined for.
        """
        self._flush()
        for update in self._updates:
            update.result()
        return self._thread.submit(self._finish).result()

    def _finish(self) -> list[MetricResult]:
        return [metric.finish(state) for metric, state in zip(self._metrics, self._states, strict=True)]


def _runs(metric: AnyMetric) -> bool:
    """Return whether a metric that is asked for by name finds what it needs; for an optional one nothing is fetched."""
    try:
        if isinstance(metric, OptionalMetric) and metric.missing():
            return False
        metric.only(metric.names).prepare()
    except EvalkitError:
        return False
    return True


def chosen_metrics(task: Task, names: Sequence[str] | None) -> list[AnyMetric]:
    """Return the task's metrics, making only the estimates of these names; all for None.

    Raises:
        UsageError: the task has no metric of such a name.
    """
    metrics = task.metrics()
    if names is None:
        return list(metrics)
    known = [name for metric in metrics for name in metric.names]
    for name in names:
        if name not in known:
            raise UsageError(f"{task.name} has no metric {name!r}{nearest(name, known)}")
    wanted = [(metric, set(names).intersection(metric.names)) for metric in metrics]
    return [metric.only(some) for metric, some in wanted if some]
