"""Laws of flags: typos, spellings, and where values come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Ended

Command = Callable[..., Ended]


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["rnu"], "run"),
        (["run", "sums", "--modle", "adder"], "--model"),
        (["run", "smus", "-m", "adder"], "sums"),
        (["run", "sums", "-m", "addr"], "adder"),
        (["run", "sums", "-m", "adder", "-a", "fail_form=2"], "fail_from"),
        (["run", "sums", "-m", "adder", "-t", "cuont=2"], "count"),
        (["run", "sums", "-m", "adder", "--gen", "temprature=1"], "temperature"),
        (["run", "sums", "-m", "adder", "--metrics", "exactnes"], "exactness"),
        (["run", "sums", "-m", "adder", "--protocol", "tyo"], "toy"),
        (["ls", "taks"], "tasks"),
        (["ls", "tasks", "smus"], "sums"),
        (["cache", "verfy"], "verify"),
        (["cache", "gc", "--dry-rnu"], "--dry-run"),
    ],
)
def test_a_typo_is_an_error_that_offers_the_nearest_name(evalkit: Command, words: list[str], near: str) -> None:
    ended = evalkit(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert "id you mean" in ended.err
    assert near in ended.err.split("id you mean")[1]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "sums", "--limit", "0"],
        ["run", "sums", "--limit", "many"],
        ["run", "sums", "--batch", "0"],
        ["run", "sums", "--batch", "big"],
        ["run", "sums", "--allow-failures", "-1"],
        ["run", "sums", "--gen", "temperature"],
        ["run", "sums", "--gen", "temperature=hot"],
        ["run", "sums", "-t", "count=1", "-t", "count=2"],
        ["run", "sums", "--device", "toaster"],
        ["run", "sums", "--config", "nowhere.yaml"],
        ["report"],
        ["report", "nowhere"],
        ["fetch", "nothing-of-this-name"],
        ["ls", "runs", "nothing-of-this-name"],
        ["cache", "ls"],
    ],
)
def test_what_cannot_be_meant_is_an_error_without_a_traceback(evalkit: Command, words: list[str]) -> None:
    ended = evalkit(*words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")


def test_dash_and_underscore_are_alike_in_flags(evalkit: Command) -> None:
    with_dash = evalkit("run", "sums", "-m", "adder", "--allow-failures", "3", "--task-options", "count=2", "--json")
    underscore = evalkit("run", "sums", "-m", "adder", "--allow_failures", "3", "--task_options", "count=2", "--json")
    assert with_dash.code == underscore.code == 0
    assert with_dash.document["runs"][0]["estimates"] == underscore.document["runs"][0]["estimates"]


def asked(ended: Ended) -> object:
    assert ended.code == 0, ended.err
    return ended.document["runs"][0]["coverage"]["asked"]


def test_each_flag_has_an_environment_variable(evalkit: Command, at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("MODEL", "adder"),
        ("LIMIT", "2"),
        ("OUTPUT", "elsewhere"),
        ("TASK_OPTIONS", "count=5"),
        ("JSON", "1"),
    ):
        monkeypatch.setenv(f"EVALKIT_{name}", value)
    ended = evalkit("run", "sums")
    assert asked(ended) == 2
    assert "limited to 2 of 5 samples" in ended.document["runs"][0]["stamps"]
    assert len(list((at / "elsewhere").glob("*/run.json"))) == 1


def test_an_empty_variable_is_no_value(evalkit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_LIMIT", "")
    assert asked(evalkit("run", "sums", "-m", "adder", "--json")) == 6


def test_the_command_line_wins_over_the_file_which_wins_over_the_environment(
    evalkit: Command, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", "sums", "-m", "adder", "--json"]
    (at / "config.yaml").write_text("limit: 3\n")
    monkeypatch.setenv("EVALKIT_LIMIT", "4")
    assert asked(evalkit(*words)) == 4
    assert asked(evalkit(*words, "--config", "config.yaml")) == 3
    assert asked(evalkit(*words, "-C", "config.yaml", "--limit", "2")) == 2
    monkeypatch.setenv("EVALKIT_CONFIG", "config.yaml")
    assert asked(evalkit(*words)) == 3


def test_a_boolean_of_the_environment_can_be_taken_back(evalkit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_JSON", "1")
    assert evalkit("ls", "tasks", "--json=false").out.startswith("tasks")


def test_a_config_file_can_say_all_that_flags_can(evalkit: Command, at: Path) -> None:
    (at / "config.yaml").write_text(
        "tasks: [sums]\nmodel: adder\ntask-options: {count: 4}\nmodel_options: [fail_from=3]\n"
        "gen: {temperature: 0.5, top_p: 0.9}\nallow_failures: 1\njson: true\nmetrics: [exactness]\n"
    )
    ended = evalkit("run", "-C", "config.yaml")
    assert asked(ended) == 4
    run = ended.document["runs"][0]
    assert run["coverage"]["failed"] == 1
    assert run["provenance"]["settings"]["gen"] == {"temperature": "0.5", "top_p": "0.9"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limmit: 3\n", "did you mean 'limit'"),
        ("limit: {a: {b: 1}}\n", "'limit'"),
        ("- limit\n", "must map flags to values"),
        ("limit: [\n", "is not YAML"),
        ("config: other.yaml\n", "'config' is not a flag"),
    ],
)
def test_a_wrong_config_file_is_an_error_that_names_it(evalkit: Command, at: Path, text: str, said: str) -> None:
    (at / "config.yaml").write_text(text)
    ended = evalkit("run", "sums", "-m", "adder", "-C", "config.yaml")
    assert ended.code == 2
    assert "config.yaml" in ended.err
    assert said in ended.err


@pytest.mark.parametrize("metrics", ["[exactness, nothing]", "[nothing, exactness]", "'exactness,nothing'"])
def test_a_list_in_a_config_file_is_taken_whole(evalkit: Command, at: Path, metrics: str) -> None:
    (at / "config.yaml").write_text(f"metrics: {metrics}\n")
    ended = evalkit("run", "sums", "-m", "adder", "-C", "config.yaml")
    assert ended.code == 2
    assert "no metric 'nothing'" in ended.err


@pytest.mark.parametrize("value", ["on", "1", "true", "YES"])
def test_a_boolean_variable_may_be_said_in_several_words(
    evalkit: Command, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("EVALKIT_JSON", value)
    assert evalkit("ls", "tasks").out.startswith("{")


def test_commas_part_name_value_pairs_but_not_values(evalkit: Command) -> None:
    ended = evalkit("run", "sums", "-m", "adder", "-a", "fail_from=4,seconds=0", "--allow-failures", "2", "--json")
    assert ended.document["runs"][0]["coverage"]["failed"] == 2
