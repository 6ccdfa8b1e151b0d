"""A key is handed to one living process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.cache import Cache
from tests.evalkit.cache.entries import commit, key


def test_a_key_is_claimed_by_one_only(tmp_path: Path) -> None:
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        assert one.claim(["a", "b"]) == {"a", "b"}
        assert two.claim(["b", "c"]) == {"c"}
        assert one.claim(["a", "b", "c"]) == {"a", "b"}


def test_an_answered_key_is_claimed_by_nobody(tmp_path: Path) -> None:
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        one.claim([key()])
        commit(one)
        assert one.claim([key()]) == two.claim([key()]) == set()


def test_a_commit_ends_the_claim_on_its_key_alone(tmp_path: Path) -> None:
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        one.claim([key(0), key(1)])
        commit(one, 0)
        assert two.claim([key(0), key(1)]) == set()
        commit(one, 1)
        assert len(list((tmp_path / "journal").iterdir())) == 2  # one a process, whatever it commits


def test_a_released_key_may_be_claimed(tmp_path: Path) -> None:
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        one.claim(["a", "b"])
        one.release(["a"])
        assert two.claim(["a", "b"]) == {"a"}


def test_nobody_releases_what_another_claimed(tmp_path: Path) -> None:
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        one.claim(["a"])
        two.claim(["b"])
        two.release(["a"])
        assert two.claim(["a"]) == set()


def test_closing_gives_up_every_claim(tmp_path: Path) -> None:
    with Cache(tmp_path) as two:
        with Cache(tmp_path) as one:
            one.claim(["a"])
            commit(one)
        assert two.claim(["a"]) == {"a"}


CLAIM_AND_SLEEP = """
import os, sys, time
from pathlib import Path
from evalkit.cache import Cache
cache = Cache(Path(sys.argv[1]))
if "fork" in sys.argv:
    cache.claim(["a"])
    child = os.fork()
    if child == 0:
        time.sleep(60)
print(*cache.claim(["a"]), flush=True)
print(child if "fork" in sys.argv else 0, flush=True)
time.sleep(60)
"""


def sleeper(directory: Path, *flags: str) -> tuple[subprocess.Popen[str], int]:
    """A process that claims "a" and sleeps, and the id of its own child."""
    command = [sys.executable, "-c", CLAIM_AND_SLEEP, str(directory), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "a\n"
    return process, int(process.stdout.readline())


def test_the_claims_of_a_killed_process_are_void(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        process, _ = sleeper(tmp_path)
        with process:
            assert cache.claim(["a"]) == set()
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert cache.claim(["a"]) == {"a"}


def test_a_child_that_outlives_its_killed_parent_keeps_no_claim(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        process, child = sleeper(tmp_path, "fork")
        with process:
            try:
                assert cache.claim(["a"]) == set()
                process.send_signal(signal.SIGKILL)
                process.wait()
                assert cache.claim(["a"]) == {"a"}
            finally:
                os.kill(child, signal.SIGKILL)


def test_what_a_killed_process_journaled_is_not_claimed_again(tmp_path: Path) -> None:
    with Cache(tmp_path) as alive:
        with Cache(tmp_path) as dead:
            commit(dead)
        alive.claim(["another"])  # so that the index was brought up already
        # A process killed between its journal line and its index row leaves the line alone.
        with alive.writing() as connection:
            connection.execute("DELETE FROM generations")
            connection.execute("DELETE FROM journals")
        assert alive.claim([key()]) == set()
        assert alive.get(key()) is not None


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["claim", "release"]), st.sets(st.integers(0, 5)))))
def test_no_two_ever_hold_the_same_key(steps: list[tuple[int, str, set[int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        caches = [Cache(Path(folder)) for _ in range(3)]
        held: list[set[str]] = [set(), set(), set()]
        for who, what, numbers in steps:
            keys = {str(number) for number in numbers}
            if what == "claim":
                got = caches[who].claim(keys)
                others = set().union(*(held[other] for other in range(3) if other != who))
                assert got == keys - others
                held[who] |= got
            else:
                caches[who].release(keys)
                held[who] -= keys
        for cache in caches:
            cache.close()


def test_claiming_does_not_wait_for_the_other(tmp_path: Path) -> None:
    with Cache(tmp_path) as one, Cache(tmp_path) as two:
        one.claim(map(str, range(1000)))
        start = time.perf_counter()
        two.claim(map(str, range(1000)))
        assert time.perf_counter() - start < 1.0
