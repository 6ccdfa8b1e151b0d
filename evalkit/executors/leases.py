"""Which requests are handed out, which are still to be, and which were lost with a worker. Knows nothing of Ray."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from evalkit.types import Request

Placed = tuple[int, Request]
"""A request and its position among all."""
Loss = Literal["crash", "timeout"]
"""How a worker was lost: it died, or it was silent for longer than a lease lasts."""
TRIES: dict[Loss, int] = {"crash": 3, "timeout": 2}
"""Workers that a request which is asked alone may take with it before it is given up."""


@dataclass(slots=True)
class Lease:
    """Requests that one worker is to answer; `open` holds the places in the lease that it has not answered yet."""

    places: list[Placed]
    open: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.open = set(range(len(self.places)))

    def answered(self, index: int) -> int:
        """Return the position of the request at place `index`, which is answered now."""
        self.open.remove(index)
        return self.places[index][0]

    @property
    def left(self) -> list[Placed]:
        """What is not answered yet."""
        return [self.places[index] for index in sorted(self.open)]


class Leases:
    """Hands out `requests` in order, reading only as far ahead as it must.

    A request whose worker was lost is asked again alone, so that one that kills workers is found, and harms no other.
    """

    def __init__(self, requests: Iterable[Request]) -> None:
        self._source = enumerate(requests)
        self._ahead: deque[Placed] = deque()
        self._suspects: deque[Placed] = deque()
        self._lost: Counter[tuple[int, Loss]] = Counter()
        self._out = 0
        self.all_read = False
        """Whether no more requests will come."""

    @property
    def done(self) -> bool:
        """Whether nothing is handed out or left to hand out."""
        return self.all_read and not (self._ahead or self._suspects or self._out)

    def take(self, most: int, workers: int) -> Lease | None:
        """Return a lease of at most `most` requests, None if there is nothing to hand out now.

        Towards the end the rest is shared out evenly among `workers`.
        """
        if self._suspects:
            return self._lease([self._suspects.popleft()])
        self._read(max(0, most * workers - len(self._ahead)))
        if not self._ahead:
            return None
        count = most if not self.all_read else min(most, math.ceil(len(self._ahead) / workers))
        return self._lease([self._ahead.popleft() for _ in range(min(count, len(self._ahead)))])

    def _read(self, count: int) -> None:
        if self.all_read:
            return
        read = list(islice(self._source, count))
        self._ahead.extend(read)
        self.all_read = len(read) < count

    def _lease(self, places: list[Placed]) -> Lease:
        self._out += 1
        return Lease(places)

    def ended(self, lease: Lease) -> None:
        """Note that every request of the lease is answered."""
        self._out -= 1

    def returned(self, lease: Lease) -> None:
        """Take back a lease that its worker had not begun."""
        self._out -= 1
        self._ahead.extendleft(reversed(lease.left))

    def lost(self, lease: Lease, loss: Loss) -> list[int]:
        """Take back a lease whose worker was lost at work; return the positions of requests to be given up."""
        self._out -= 1
        given_up = []
        for position, request in lease.left:
            self._lost[position, loss] += len(lease.places) == 1
            if self._lost[position, loss] >= TRIES[loss]:
                given_up.append(position)
            else:
                self._suspects.append((position, request))
        return given_up
