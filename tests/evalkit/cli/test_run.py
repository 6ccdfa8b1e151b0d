"""Laws of `evalkit run`: what it prints, how it ends, and that it goes on where it was stopped."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from .conftest import Ended

Command = Callable[..., Ended]
RUN = ("run", "sums", "-m", "adder")


def test_json_is_all_that_stands_on_standard_output(evalkit: Command) -> None:
    ended = evalkit(*RUN, "--json")
    assert ended.code == 0
    (run,) = ended.document["runs"]
    assert run["task"] == "sums@1"
    assert run["model"] == "adder"
    assert run["estimates"]["exactness"]["value"] == 1.0
    assert run["estimates"]["exactness"]["interval"] == [0.0, 1.0]
    assert run["coverage"] == {"asked": 6, "answered": 6, "failed": 0, "from_cache": 0}
    assert run["stamps"] == ["toy data"]
    assert "a model may talk" in ended.err
    assert "the adder warms up" in ended.err


def test_the_table_says_all_that_a_number_needs(evalkit: Command, at: Path) -> None:
    ended = evalkit(*RUN, "-a", "fail_from=5", "--allow-failures", "1")
    assert ended.code == 0
    said = " ".join(ended.out.split())
    for words in (
        "sums@1",
        "model adder",
        "data toy",
        "95% interval",
        "6 samples: 5 answered (0 from the cache), 1 failed",
        "toy data",
        "toy numbers mean nothing",
        "exactness 1 0 to 1 5 share higher",
        "1 refusal",
        "sum-5: refusal: too tired for 5",
    ):
        assert words in said
    (folder,) = (at / "runs").iterdir()
    assert f"evalkit report runs/{folder.name}" in ended.out


def test_failed_samples_are_an_exit_code_unless_they_are_allowed(evalkit: Command) -> None:
    tired = (*RUN, "-a", "fail_from=4")
    ended = evalkit(*tired, "--json")
    assert ended.code == 1
    assert ended.document["runs"][0]["coverage"]["failed"] == 2
    assert "sum-4: refusal: too tired for 4" in ended.err
    assert "--allow-failures 2" in ended.err
    assert evalkit(*tired, "--allow-failures", "1").code == 1
    assert evalkit(*tired, "--allow-failures", "2").code == 0


def test_a_second_run_asks_nothing(evalkit: Command) -> None:
    first = evalkit(*RUN, "--json").document["runs"][0]
    second = evalkit(*RUN, "--json").document["runs"][0]
    assert second["coverage"]["from_cache"] == 6
    assert second["estimates"] == first["estimates"]


def test_one_task_that_cannot_be_finished_does_not_stop_the_others(evalkit: Command) -> None:
    ended = evalkit("run", "broken_sums,sums", "-m", "adder", "--json")
    assert ended.code == 2
    assert [run["task"] for run in ended.document["runs"]] == ["sums@1"]
    assert "broken_sums@1: the toy's weights are broken" in ended.err


def test_tasks_may_be_parted_by_commas_or_spaces_and_are_run_once(evalkit: Command) -> None:
    ended = evalkit("run", "sums", "sums,sums", "-m", "adder", "--json")
    assert len(ended.document["runs"]) == 1


def test_a_dry_run_forecasts_and_writes_no_run(evalkit: Command, at: Path) -> None:
    words = (*RUN, "-t", "count=20", "--dry-run")
    (forecast,) = evalkit(*words, "--json").document["forecasts"]
    assert forecast["calls"] == 20
    assert forecast["measured_on"] == 8
    assert not (at / "runs").exists()
    assert "12 (8 more are in the cache)" in evalkit(*words).out


def test_a_bug_shows_its_traceback_and_has_an_exit_code_of_its_own(spawn: Command) -> None:
    ended = spawn(*RUN, "-a", "crash=1")
    assert ended.code == 70
    assert "ZeroDivisionError: a bug of the toy" in ended.err
    assert "this is a bug" in ended.err


def test_a_reader_that_leaves_is_no_error(environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "evalkit.cli", "ls", "tasks"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Let started commands hear Ctrl-C, though pytest itself may run where it is ignored (`nohup`, `&`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_keeps_what_is_done_and_says_how_to_continue(
    environment: Mapping[str, str], at: Path, spawn: Command, number: signal.Signals, code: int
) -> None:
    words = [*RUN, "-t", "count=25", "--batch", "1", "-o", "my runs"]
    command = [sys.executable, "-m", "evalkit.cli", *words, "-a", "seconds=0.05"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        wait_for(lambda: stored(at) >= 3)
        run.send_signal(number)
        _, said = run.communicate(timeout=60)
    assert run.returncode == code
    assert "Traceback" not in said
    assert "evalkit run sums -m adder -t count=25 --batch 1 -o 'my runs' -a seconds=0.05" in said
    kept = stored(at)
    assert 3 <= kept < 25
    continued = spawn(*words, "--json").document["runs"][0]["coverage"]
    assert continued == {"asked": 25, "answered": 25, "failed": 0, "from_cache": kept}


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def stored(at: Path) -> int:
    """How many answers the cache holds, read from its journals without opening it."""
    return sum(path.read_bytes().count(b"\n") for path in (at / "cache").glob("journal/*.jsonl"))


def test_a_terminal_shows_bars_with_rate_and_time_left(environment: Mapping[str, str]) -> None:
    said = on_a_terminal(environment, *RUN, "-t", "count=30", "-a", "seconds=0.03", "--batch", "1")
    assert "━" in said
    assert re.search(r"\d+/30 ", said)
    assert re.search(r"samples?/s, .* left", said)
    assert "evalkit report runs/" in said


def on_a_terminal(environment: Mapping[str, str], *words: str) -> str:
    """Return what a command shows on a terminal of 80 columns."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "evalkit.cli", *words]
    variables = {**environment, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(command, env=variables, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        said = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:
                break  # the terminal's other side was closed: the command has ended
            if not chunk:
                break
            said += chunk
        assert process.wait(timeout=60) == 0
    os.close(leader)
    return said.decode()


def test_a_pipe_gets_plain_lines(spawn: Command) -> None:
    ended = spawn(*RUN)
    assert "\x1b" not in ended.err + ended.out
    assert "\r" not in ended.err
    assert re.search(r"6 of 6 samples, in ", ended.err)


@pytest.mark.slow
def test_workers_on_ray_find_what_this_process_finds(spawn: Command, at: Path) -> None:
    pytest.importorskip("ray")
    (at / "mine.py").write_text(
        "from toy_benchmark import Adder\n\n\ndef factory(workspace, argument, options):\n    return Adder(5, 0.0)\n"
    )
    words = ("run", "sums", "-m", "mine:factory", "-t", "count=20", "--json", "--allow-failures", "15")
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    there = spawn(*words, "--executor", "ray", "--workers", "2", "--cache", "there", variables=quiet)
    here = spawn(*words, "--cache", "here")
    assert (there.code, here.code) == (0, 0), there.err
    (found,), (expected,) = there.document["runs"], here.document["runs"]
    assert found["coverage"] == expected["coverage"] == {"asked": 20, "answered": 5, "failed": 15, "from_cache": 0}
    assert found["estimates"] == expected["estimates"]
    assert "loading the model on Ray (2 workers of 1 CPU and 0 GPU" in there.err


def test_a_shard_asks_its_part_and_names_the_next_step(evalkit: Command, at: Path) -> None:
    ended = evalkit(*RUN, "--shard", "2/4")
    assert ended.code == 0
    assert "2 samples: 2 answered" in ended.out and "shard 2/4" in ended.out
    assert "evalkit merge runs" in ended.out and "exactness" not in ended.out
    assert "should read 3/8" in evalkit(*RUN, "--shard", "5/4").err


def test_pictures_can_be_kept_elsewhere(evalkit: Command, at: Path) -> None:
    assert evalkit(*RUN, "--blobs", "shared").code == 0
    assert evalkit(*RUN).code == 0
    ended = evalkit(*RUN, "--blobs", "other")
    assert ended.code == 2 and "leave out --blobs" in ended.err
