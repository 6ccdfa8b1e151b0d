"""Answers requests with workers of a Ray cluster, on this machine or on many.

The driver hands out leases of requests and yields each answer as it arrives; it alone commits. A worker may join or be
lost at any time: what it had not answered is asked again, and at most the leases in flight are answered twice.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from evalkit.cache.places import Places
from evalkit.errors import EvalkitError, RunError, UsageError
from evalkit.executors.executor import ModelCard
from evalkit.executors.leases import Lease, Leases, Loss
from evalkit.executors.ray_cluster import RaySettings, connect, gpus_per_worker, in_words, room
from evalkit.executors.ray_worker import BuildModel, Ended, Loaded, Worker, portable
from evalkit.progress import Progress, Silent
from evalkit.types import Answer, Failure, Request
from evalkit.workspace import Workspace

TICK_SECONDS = 1.0
"""Pause between looks for lost workers and for room for new ones."""
PATIENCE_SECONDS = 20.0
"""Time without any worker after which the reason is told."""
FALSE_STARTS = 3
"""Workers that may die in a row while they load the model."""
QUEUED = 2
"""Leases that a worker has at hand, so that it need not wait for the driver."""


@dataclass(slots=True, eq=False)
class _Hired:
    """A worker as the driver sees it: `loading` until `loaded` is there; the first of its leases is at work."""

    actor: Any
    loading: Any
    loaded: Loaded | None = None
    batch: int = 1
    leases: deque[tuple[Lease, Any]] = field(default_factory=deque)
    heard: float = 0.0
    """When it last gave a sign of life, on the monotonic clock."""

    def __str__(self) -> str:
        return f"worker {self.loaded.process} on {self.loaded.node}" if self.loaded else "a worker that was loading"


class RayExecutor:
    """Puts requests to the model that each worker builds. Use as a context; inside it `model` and `portion` are known.

    Raises:
        UsageError: there is no Ray cluster at the address.
        EvalkitError: raised by building the model.
        RunError: workers die while they load the model, or one holds another model than the others.
    """

    def __init__(self, build: BuildModel, workspace: Workspace, settings: RaySettings) -> None:
        self._build = build
        self._workspace = workspace
        self._settings = settings
        self._progress: Progress = workspace.progress
        self._hired: list[_Hired] = []
        self._false_starts = 0
        self._gpus = 0.0
        self._started_ray = False
        self._looked = 0.0
        self._staffed = time.monotonic()
        self._target = 1
        self._card: ModelCard | None = None

    def __enter__(self) -> RayExecutor:
        self._started_ray = connect(self._settings)
        try:
            self._gpus = gpus_per_worker(self._settings)
            self._progress.say(f"loading the model on Ray ({in_words(self._settings, self._gpus)})")
            self._await_first()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def model(self) -> ModelCard:
        """What the workers' model is."""
        if self._card is None:
            raise UsageError("a RayExecutor knows its model inside its context; use it in a `with` statement")
        return self._card

    @property
    def portion(self) -> int:
        """How many requests it takes up at a time: two leases for each worker."""
        ready = [hired.batch for hired in self._hired if hired.loaded]
        return QUEUED * max(1, sum(ready))

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position with its answer, as soon as it is there; every position exactly once.

        Raises:
            RunError: see `RayExecutor`; or the model answers a position that was not asked.
            EvalkitError: raised by the model itself, for a fault that would strike every request alike.
        """
        leases = Leases(requests)
        try:
            while True:
                self._hire()
                self._hand_out(leases)
                if leases.done:
                    return
                for hired in self._heard_from():
                    yield from self._news(hired, leases)
                yield from self._hung(leases)
        finally:
            for hired in [hired for hired in self._hired if hired.leases]:
                self._dismiss(hired)  # whoever asked has gone: its leases are nobody's

    def _leave(self) -> None:
        while self._hired:
            self._dismiss(self._hired[0])
        if self._started_ray:
            ray.shutdown()
            self._started_ray = False

    def _await_first(self) -> None:
        """Return once a worker holds the model."""
        while self._card is None:
            self._hire()
            for hired in self._heard_from():
                self._greet(hired)

    def _hire(self) -> None:
        """Start workers where there are fewer than wanted; those that the cluster has no room for yet wait for it."""
        now = time.monotonic()
        if now - self._looked < TICK_SECONDS and len(self._hired) >= self._target:
            return
        self._looked = now
        self._target = self._settings.workers or room(self._gpus)
        actor = ray.remote(Worker).options(
            num_cpus=self._settings.cpus_per_worker,
            num_gpus=self._gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        space = self._workspace
        space = replace(space, cache=space.cache.resolve(), device="cuda" if self._gpus else "cpu", progress=Silent())
        blobs = Places(space.cache).blob_address()
        while len(self._hired) < self._target:
            made: Any = actor.remote(self._build, space, str(Path.cwd()), blobs)
            self._hired.append(_Hired(made, made.load.remote()))

    def _hand_out(self, leases: Leases) -> None:
        """Give each worker that holds the model a lease, then each a second one while there are many requests."""
        ready = [hired for hired in self._hired if hired.loaded]
        for round_ in range(QUEUED):
            for hired in ready:
                if len(hired.leases) != round_ or (round_ > 0 and leases.all_read):
                    continue
                lease = leases.take(hired.batch, len(ready))
                if lease is None:
                    return
                requests = [portable(request) for _, request in lease.places]
                if not hired.leases:
                    hired.heard = time.monotonic()
                stream = hired.actor.answers.options(num_returns="streaming").remote(requests)
                hired.leases.append((lease, stream))

    def _heard_from(self) -> list[_Hired]:
        """Return the workers from which something arrived, waiting a while for the first."""
        awaited: dict[Any, _Hired] = {}
        for hired in self._hired:
            if hired.loaded is None:
                awaited[hired.loading] = hired
            elif hired.leases:
                awaited[hired.leases[0][1]] = hired
        self._tell_of_idling()
        ready, _ = ray.wait(list(awaited), num_returns=1, timeout=TICK_SECONDS, fetch_local=False)
        heard = [awaited[one] for one in ready]
        # whoever was heard goes to the back: a worker that answers fast does not keep others waiting
        self._hired.sort(key=heard.__contains__)
        return heard

    def _tell_of_idling(self) -> None:
        """Say once why no worker is there, after a while without any."""
        now = time.monotonic()
        if any(hired.loaded for hired in self._hired):
            self._staffed = now
        elif now - self._staffed > PATIENCE_SECONDS:
            self._staffed = math.inf
            self._progress.say(f"no worker is ready yet ({in_words(self._settings, self._gpus)})")

    def _news(self, hired: _Hired, leases: Leases) -> Iterator[tuple[int, Answer]]:
        """Yield the answer that has arrived from a worker, or what becomes of its requests now that it is lost."""
        if hired.loaded is None:
            self._greet(hired)
            return
        lease, stream = hired.leases[0]
        try:
            message = ray.get(next(stream), timeout=self._settings.lease_seconds)
        except (RayError, StopIteration, GetTimeoutError) as error:
            yield from self._lose(hired, leases, "crash", _cause(error))
            return
        hired.heard = time.monotonic()
        self._false_starts = 0
        if isinstance(message, EvalkitError):
            raise message
        if isinstance(message, Ended):
            hired.batch = message.batch
            hired.leases.popleft()
            leases.ended(lease)
        else:
            index, answer = message
            yield lease.answered(index), answer

    def _greet(self, hired: _Hired) -> None:
        """Take in a worker that has loaded the model, or learn why it did not."""
        try:
            loaded = ray.get(hired.loading)
        except RayError as error:
            self._dismiss(hired)
            self._false_starts += 1
            if self._false_starts >= FALSE_STARTS:
                raise RunError(
                    f"{FALSE_STARTS} workers in a row died while they loaded the model ({_cause(error)}); build "
                    "it with --executor local to see why"
                ) from error
            return
        if isinstance(loaded, EvalkitError):
            raise loaded
        card = ModelCard(loaded.name, loaded.identity, loaded.capabilities)
        if self._card is None:
            self._card = card
        elif card.identity != self._card.identity:
            raise RunError(f"{loaded.node} holds another model than the first worker: {_difference(self._card, card)}")
        hired.loaded, hired.batch, hired.heard = loaded, loaded.batch, time.monotonic()
        self._false_starts = 0

    def _hung(self, leases: Leases) -> Iterator[tuple[int, Answer]]:
        """Yield what becomes of the requests of workers that have been silent for too long."""
        oldest = time.monotonic() - self._settings.lease_seconds
        for hired in [hired for hired in self._hired if hired.leases and hired.heard < oldest]:
            arrived, _ = ray.wait([hired.leases[0][1]], timeout=0, fetch_local=False)
            if arrived:
                continue  # not it was silent: whoever reads the answers took long
            yield from self._lose(hired, leases, "timeout", f"silent for {self._settings.lease_seconds:g} s")

    def _lose(self, hired: _Hired, leases: Leases, loss: Loss, why: str) -> Iterator[tuple[int, Answer]]:
        """Give up a worker, take its leases back, and yield a failure for each request that is given up."""
        (lease, _), *queued = hired.leases
        self._progress.say(f"{hired} was lost ({why}); what it had not answered is asked again")
        hired.leases.clear()
        self._dismiss(hired)
        for later, _ in queued:
            leases.returned(later)
        for position in leases.lost(lease, loss):
            yield position, Failure(loss, f"asked alone, it took every worker that tried with it, the last: {why}")

    def _dismiss(self, hired: _Hired) -> None:
        self._hired.remove(hired)
        ray.kill(hired.actor, no_restart=True)


def _cause(error: Exception) -> str:
    """Return the line of Ray's long message that says most: the exception that a worker raised, else the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if "Traceback" in str(error) or "creation task" in lines[0] else lines[0]


def _difference(first: ModelCard, second: ModelCard) -> str:
    names = sorted({*first.identity, *second.identity})
    differing = [n for n in names if first.identity.get(n) != second.identity.get(n)]
    shown = ", ".join(f"{n} {second.identity.get(n)!r} instead of {first.identity.get(n)!r}" for n in differing)
    return f"{shown}; give every node the same checkpoint and packages"
