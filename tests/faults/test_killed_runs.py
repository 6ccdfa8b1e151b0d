"""A run may be killed at any moment, and several may share one cache: nothing committed is lost or made twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from evalkit.cache import Cache

SAMPLES = 60
KILLS = 20
BATCH = 4


def command(folder: Path, log: Path, *more: str) -> list[str]:
    """The command line of one small coco_fid run on the embedded data, with the folder's own cache."""
    return [
        *[sys.executable, "-m", "evalkit", "run", "coco_fid", "--data", "blocksworld", "-L", str(SAMPLES)],
        *["-m", "slow_model:factory", "-a", f"log={log}", "-a", "seconds=0.03", "-b", str(BATCH)],
        *["-t", "reference=same", "--metrics", "distribution", "--cache", str(folder / "cache")],
        *["-o", str(folder / "runs"), "--json", *more],
    ]


def start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(folder, log),
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "EVALKIT_WEIGHTS": os.environ.get("EVALKIT_WEIGHTS", str(default_weights()))},
    )


def default_weights() -> Path:
    """The weights folder that the tests share, so that each run's own cache does not fetch them again."""
    from evalkit.workspace import Workspace

    return Workspace().weights


def finish(process: subprocess.Popen[bytes]) -> dict[str, object]:
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err.decode()
    (run,) = json.loads(out)["runs"]
    assert isinstance(run, dict)
    return run


def committed(folder: Path) -> set[str]:
    """The keys that the cache holds now."""
    if not (folder / "cache" / "index.sqlite").exists():
        return set()
    with Cache(folder / "cache") as cache:
        return cache.keys()


def asked(log: Path) -> Counter[str]:
    """How often each sample was asked."""
    return Counter(line.split()[1] for line in log.read_text().splitlines())


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_points_loses_no_commit_and_no_digit(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = finish(start(whole, tmp_path / "whole.log"))
    dice = random.Random(20230905)
    kept: set[str] = set()
    kills = 0
    while kills < KILLS:
        process = start(broken, tmp_path / "broken.log")
        time.sleep(dice.uniform(0.3, 3.5))
        if process.poll() is not None:
            process.communicate()
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        now = committed(broken)
        assert kept <= now
        kept = now
    found = finish(start(broken, tmp_path / "broken.log"))
    assert json.dumps(found["estimates"]) == json.dumps(expected["estimates"])
    assert kills == KILLS
    assert committed(broken) == committed(whole)
    again = sum(count - 1 for count in asked(tmp_path / "broken.log").values())
    assert again <= KILLS * BATCH


@pytest.mark.slow
def test_two_processes_on_one_cache_ask_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "both.log"
    both = [start(tmp_path, log), start(tmp_path, log)]
    first, second = (finish(process) for process in both)
    assert json.dumps(first["estimates"]) == json.dumps(second["estimates"])
    assert len(asked(log)) == SAMPLES
    assert set(asked(log).values()) == {1}
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 2
