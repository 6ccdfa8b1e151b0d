"""Laws of the isolated model: what ends its process is one failure, and no process is left."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.cache import Cache
from evalkit.cli import main
from evalkit.errors import RunError, UsageError, WeightsError
from evalkit.executors.batches import BatchSizes
from evalkit.executors.local import LocalExecutor
from evalkit.isolation import IsolatedModel
from evalkit.registry import build_model, build_task
from evalkit.results import read_run
from evalkit.types import Answer, Failure, Generation, Request, Text
from evalkit.workspace import Workspace

HERE = Path(__file__).parent
Build = Callable[..., IsolatedModel]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.syspath_prepend(str(HERE))

    def built(**options: str) -> IsolatedModel:
        return IsolatedModel("fragile_model:factory", Workspace(cache=tmp_path), options)

    return built


def requests(count: int) -> list[Request]:
    return [Request("t@1", f"s{i}", "text-to-image", (Text("x"),), i) for i in range(count)]


def answers(model: IsolatedModel, count: int) -> list[Answer]:
    found = dict(LocalExecutor(model, BatchSizes(4)).answers(requests(count)))
    return [found[position] for position in range(count)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_its_answers_and_identity_are_those_of_the_model_itself(build: Build, tmp_path: Path) -> None:
    model, direct = build(), build_model("fragile_model:factory", Workspace(cache=tmp_path), {})
    assert (model.name, model.identity, model.capabilities) == (direct.name, direct.identity, direct.capabilities)
    assert answers(model, 6) == [answer for _, answer in direct.generate(requests(6))]


@pytest.mark.parametrize(("how", "words"), [("kill", "was ended by SIGSEGV"), ("leave", "exited with 3")])
def test_a_crash_is_one_failure_and_the_run_goes_on(build: Build, how: str, words: str) -> None:
    told = dict(build(**{how: "s2"}).generate(requests(10)))  # no executor helps
    assert sorted(told) == list(range(10))
    failed = told.pop(2)
    assert isinstance(failed, Failure)
    assert failed.kind == "crash"
    assert words in failed.message
    assert all(isinstance(answer, Generation) for answer in told.values())


def test_what_the_model_raises_is_told_as_in_process(build: Build) -> None:
    found = answers(build(**{"raise": "s1"}), 4)
    assert isinstance(found[1], Failure)
    assert found[1].kind == "exception"
    assert found[1].message == "ValueError: cannot draw s1"
    assert all(isinstance(answer, Generation) for answer in answers(build(memory="s1"), 4))


def test_errors_of_building_are_told_as_in_process(build: Build, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights here"):
        build(build="raise")
    with pytest.raises(RunError, match="exited with 4 before its model was built"):
        build(build="leave")
    with pytest.raises(UsageError, match="no model named 'absent'"):
        IsolatedModel("absent:factory", Workspace(cache=tmp_path), {})


def test_answers_that_nobody_waited_for_are_not_taken_for_later_ones(build: Build) -> None:
    model = build()
    asking = model.generate(requests(8))
    next(asking)
    asking.close()  # type: ignore[attr-defined]  # it is a generator
    later = dict(model.generate(requests(8)[::-1]))
    assert [later[i] for i in range(8)] == answers(build(), 8)[::-1]


def test_the_process_ends_with_its_model(build: Build) -> None:
    model = build()
    pid = model._process.process.pid
    assert alive(pid)
    del model
    gc.collect()
    assert not alive(pid)


def test_run_isolates_where_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    words = ["run", "blocksworld_composition", "-m", "fragile_model:factory", "-L", "6"]
    third = build_task("blocksworld_composition", Workspace(cache=tmp_path), None, {}).samples()[2].id
    words += ["-a", f"kill={third}"]
    code = main([*words, "--isolate", "--json"])
    out, err = capfd.readouterr()
    assert code == 1
    assert "fragile is built" in err
    assert f"fragile {os.getpid()}" not in out + err
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_run(folder).coverage.failed == 1
    with Cache(tmp_path / "cache") as cache:
        assert len(cache.keys()) == 5
