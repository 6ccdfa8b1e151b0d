"""A run may be killed at any moment, and several may share one cache: nothing committed is lost or made twice."""

from __future__ import annotations

import json
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
        *["-m", "slow_model:factory", "-a", f"log={log}", "-a", "seconds=0.05", "-b", str(BATCH)],
        *["-t", "reference=same", "--metrics", "fid,kid", "--cache", str(folder / "cache")],
        *["-o", str(folder / "runs"), "--json", *more],
    ]


def start(folder: Path, log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(folder, log),
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


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


def seconds_to_first_commit(folder: Path, process: subprocess.Popen[bytes]) -> float:
    """How long a run takes to start and answer its first sample."""
    began = time.monotonic()
    while not committed(folder):
        assert process.poll() is None
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_points_loses_no_commit_and_no_digit(
    tmp_path: Path, weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(weights_folder))
    whole = start(tmp_path / "whole", tmp_path / "whole.log")
    started = seconds_to_first_commit(tmp_path / "whole", whole)
    expected = json.dumps(finish(whole)["estimates"])
    dice = random.Random(20230905)
    folder, kept, kills, partly = tmp_path / "broken-0", set[str](), 0, 0
    while kills < KILLS:
        process = start(folder, folder.with_suffix(".log"))
        time.sleep(dice.uniform(0.8 * started, started + 1.5))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert json.dumps(json.loads(out)["runs"][0]["estimates"]) == expected
            folder, kept = folder.with_name(f"broken-{kills}"), set()
            continue
        kills += 1
        assert kept <= committed(folder)
        kept = committed(folder)
        partly += 0 < len(kept) < SAMPLES
    assert json.dumps(finish(start(folder, folder.with_suffix(".log")))["estimates"]) == expected
    assert committed(folder) == committed(tmp_path / "whole")
    assert partly > 0
    for log in tmp_path.glob("broken-*.log"):
        assert sum(count - 1 for count in asked(log).values()) <= KILLS * BATCH


@pytest.mark.slow
def test_two_processes_on_one_cache_ask_nothing_twice(
    tmp_path: Path, weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(weights_folder))
    log = tmp_path / "both.log"
    both = [start(tmp_path, log), start(tmp_path, log)]
    first, second = (finish(process) for process in both)
    assert json.dumps(first["estimates"]) == json.dumps(second["estimates"])
    assert len(asked(log)) == SAMPLES
    assert set(asked(log).values()) == {1}
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 2
