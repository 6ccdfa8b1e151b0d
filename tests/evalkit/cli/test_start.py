"""Laws of starting: looking around imports nothing heavy, and every command explains itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

from .conftest import Ended

HEAVY = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib", "sklearn", "datasets", "PIL")
SEE = """
import sys
from evalkit.cli import main
code = main(sys.argv[1:])
print(sorted(set(sys.modules) & set({heavy!r})), code, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["ls"],
        ["ls", "tasks"],
        ["ls", "models"],
        ["ls", "tasks", "sums"],
        ["run", "--help"],
        ["run", "smus"],
        ["ls", "runs"],
    ],
)
def test_looking_around_imports_nothing_heavy(environment: Mapping[str, str], words: list[str]) -> None:
    program = SEE.format(heavy=HEAVY)
    command = [sys.executable, "-c", program, *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr.splitlines()[-1].startswith("[]"), ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["run"],
        ["ls"],
        ["report"],
        ["fetch"],
        ["doctor"],
        ["cache"],
        *(["cache", name] for name in ("ls", "verify", "gc", "why", "export", "rebuild")),
    ],
)
def test_every_command_has_help(evalkit: Callable[..., Ended], words: list[str]) -> None:
    ended = evalkit(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"Usage: {' '.join(['evalkit', *words])}" in ended.out


def test_every_flag_of_run_is_explained(evalkit: Callable[..., Ended]) -> None:
    said = evalkit("run", "--help").out
    flags = [line for line in said.splitlines() if line.startswith("│ --")]
    assert len(flags) == 27
    for flag in (
        "--model -m",
        "--model-options -a",
        "--task-options -t",
        "--batch -b",
        "--limit -L",
        "--output -o",
        "--config -C",
        "--data-dir",
        "--allow-failures",
        "--dry-run",
    ):
        assert flag in said


def test_the_version_is_printed(evalkit: Callable[..., Ended]) -> None:
    ended = evalkit("--version")
    assert ended.code == 0
    assert ended.out.strip()
