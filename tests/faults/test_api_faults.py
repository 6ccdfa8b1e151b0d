"""A run against an API may be killed at any moment and meet any weather: nothing answered is lost or asked twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.cache import Cache
from tests.faults.api_server import FaultServer

KEY = "sk-secret-0123456789abcdef"
SAMPLES = 120
CONCURRENCY = 4
KILLS = 6


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(key=KEY, storm=0.2, pause=0.01) as started:
        yield started


def start(at: Path, server: FaultServer, *more: str) -> subprocess.Popen[bytes]:
    words = [
        *[sys.executable, "-m", "evalkit", "run", "blocksworld_vqa", "-L", str(SAMPLES), "-m", "openai:tiny"],
        *["-a", f"base_url={server.url}", "-a", f"concurrency={CONCURRENCY}", "-a", "backoff=0.01", "-a", "tries=30"],
        *["--cache", str(at / "cache"), "-o", str(at / "runs"), "--json", *more],
    ]
    variables = {**os.environ, "OPENAI_API_KEY": KEY}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables, cwd=at)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def run_of(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    code, out, err = ended(process)
    assert code == 0, err.decode()
    (run,) = json.loads(out)["runs"]
    assert isinstance(run, dict)
    return run


def committed(at: Path) -> set[str]:
    if not (at / "cache" / "index.sqlite").exists():
        return set()
    with Cache(at / "cache") as cache:
        return cache.keys()


@pytest.mark.slow
def test_a_run_killed_in_a_storm_loses_nothing_and_asks_no_kept_question_again(
    tmp_path: Path, server: FaultServer
) -> None:
    dice, kept, kills = random.Random(3), set[str](), 0
    while kills < KILLS and len(kept) < SAMPLES - 10:
        process = start(tmp_path, server)
        began = sum(server.answered.values())
        while sum(server.answered.values()) < began + dice.randint(5, 15):
            assert process.poll() is None, ended(process)
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        ended(process)
        kills += 1
        assert kept <= committed(tmp_path)
        kept = committed(tmp_path)
    run = run_of(start(tmp_path, server))
    assert kills >= 3
    assert run["coverage"] == {"asked": SAMPLES, "answered": SAMPLES, "failed": 0, "from_cache": len(kept)}
    twice = sum(count - 1 for count in server.answered.values())
    assert twice <= kills * (CONCURRENCY + 1)  # those under way, and one that was being committed
    before = sum(server.asked.values())
    again = run_of(start(tmp_path, server))
    assert sum(server.asked.values()) == before
    assert again["estimates"] == run["estimates"]


@pytest.mark.slow
def test_a_spent_budget_ends_with_2_and_a_larger_one_goes_on(tmp_path: Path, server: FaultServer) -> None:
    server.storm = 0.0
    code, _, err = ended(start(tmp_path, server, "--max-requests", "50"))
    assert code == 2
    assert b"the budget of 50 requests (--max-requests) is spent" in err
    assert len(committed(tmp_path)) == 50
    run = run_of(start(tmp_path, server, "--max-requests", "70"))
    assert run["coverage"]["from_cache"] == 50
    assert set(server.answered.values()) == {1}


@pytest.mark.slow
def test_a_stopped_run_ends_soon_and_leaves_no_key_anywhere(tmp_path: Path, server: FaultServer) -> None:
    server.storm = 0.0
    process = start(tmp_path, server)
    while sum(server.answered.values()) < 20:
        assert process.poll() is None, ended(process)
        time.sleep(0.01)
    server.play(*["hang"] * CONCURRENCY, "bad", "echo")
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    stopped = time.monotonic()
    code, out, err = ended(process)
    assert time.monotonic() - stopped < 2.5
    assert code == 143
    code, out2, err2 = ended(start(tmp_path, server))
    assert code in {0, 1}
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert all(KEY.encode() not in content for content in [out, err, out2, err2, *written])
