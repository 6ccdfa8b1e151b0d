"""Laws of leases: whatever is lost or returned, each request is handed out until it is answered or given up."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from evalkit.executors.leases import TRIES, Lease, Leases
from evalkit.types import Request

from .logged import requests


def taken(leases: Leases, most: int = 4, workers: int = 1) -> Lease:
    lease = leases.take(most, workers)
    assert lease is not None
    return lease


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**32))
def test_every_request_is_answered_once_or_given_up(count: int, most: int, workers: int, seed: int) -> None:
    dice, leases = random.Random(seed), Leases(requests(count))
    ended: list[int] = []
    out: list[Lease] = []
    while not leases.done:
        while len(out) < workers and (lease := leases.take(most, workers)) is not None:
            assert 1 <= len(lease.places) <= most
            out.append(lease)
        if not out:
            continue
        lease = out.pop(dice.randrange(len(out)))
        match dice.choice(["end", "end", "crash", "timeout", "return"]):
            case "end":
                ended += [lease.answered(index) for index in range(len(lease.places))]
                leases.ended(lease)
            case "return":
                leases.returned(lease)
            case loss:
                some = dice.randrange(len(lease.places))
                ended += [lease.answered(index) for index in range(some)]
                ended += leases.lost(lease, "crash" if loss == "crash" else "timeout")
    assert sorted(ended) == list(range(count))


def test_what_was_lost_together_is_asked_alone_and_given_up_after_some_tries() -> None:
    leases = Leases(requests(8))
    first = taken(leases)
    assert first.answered(0) == 0
    assert leases.lost(first, "crash") == []
    for position in (1, 2, 3):
        alone = taken(leases)
        assert [place for place, _ in alone.places] == [position]
        if position > 1:
            leases.ended(alone)
    alone = Lease([(1, requests(2)[1])])
    for _ in range(TRIES["crash"] - 1):
        assert leases.lost(alone, "crash") == []
    assert leases.lost(alone, "crash") == [1]


def test_what_was_not_begun_is_handed_out_again_in_order_and_is_not_suspected() -> None:
    leases = Leases(requests(8))
    first, second = taken(leases), taken(leases)
    leases.returned(second)
    leases.returned(first)
    assert [position for position, _ in taken(leases).places] == [0, 1, 2, 3]


def test_the_last_requests_are_shared_out_evenly() -> None:
    leases = Leases(requests(10))
    sizes = []
    while (lease := leases.take(most=8, workers=4)) is not None:
        sizes.append(len(lease.places))
    assert sizes == [3, 2, 2, 1, 1, 1]


def test_requests_are_read_no_further_ahead_than_the_workers_need() -> None:
    read = 0

    def counted() -> Iterator[Request]:
        nonlocal read
        for request in requests(1000):
            read += 1
            yield request

    leases = Leases(counted())
    for number in range(1, 20):
        leases.take(most=4, workers=3)
        assert read <= 4 * number + 4 * 3
