"""Laws of the commands that look, fetch and report: `ls`, `fetch`, `report` and `cache`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Ended

Command = Callable[..., Ended]
RUN = ("run", "sums", "-m", "adder")


def only_run(at: Path) -> Path:
    (folder,) = (path.parent for path in (at / "runs").glob("*/run.json"))
    return folder


@pytest.mark.parametrize("kind", ["tasks", "models", "data", "weights", "runs"])
def test_each_list_is_one_json_object_under_json(evalkit: Command, kind: str) -> None:
    ended = evalkit("ls", kind, "--json")
    assert ended.code == 0
    assert list(ended.document) == [kind]


def test_a_third_partys_task_and_model_are_listed_beside_ours(evalkit: Command) -> None:
    said = evalkit("ls").out
    for name in ("sums", "coco_fid", "adder", "images:DIR"):
        assert f"\n  {name} " in said


def test_a_task_is_told_of_with_its_options(evalkit: Command) -> None:
    said = evalkit("ls", "tasks", "sums").out
    assert "count=6  how many sums" in said
    assert "small sums" in said


def state_of(evalkit: Command, task: str) -> str:
    """What the listing says of a task between its name and its summary."""
    (line,) = (line for line in evalkit("ls", "tasks").out.splitlines() if line.startswith(f"  {task} "))
    return line.removeprefix(f"  {task} ").strip().split("  ")[0]


def test_what_a_task_lacks_on_this_machine_is_listed_with_how_to_get_it(
    evalkit: Command, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(at))  # no Java
    monkeypatch.setenv("XDG_CACHE_HOME", str(at))  # nor weights that other tools have left
    assert state_of(evalkit, "blocksworld_vqa") == "ready"
    assert state_of(evalkit, "coco_caption") == "lacks data, weights, program"
    (entry,) = (one for one in evalkit("ls", "tasks", "--json").document["tasks"] if one["name"] == "coco_caption")
    assert [(one["kind"], one["name"]) for one in entry["missing"]] == [
        ("data", "karpathy or coco"),
        ("weights", "clip-openai-vit-b32"),
        ("weights", "clip-merges"),
        ("program", "java (for meteor, spice)"),
    ]
    said = evalkit("ls", "tasks", "coco_caption").out
    assert "evalkit fetch coco; blocksworld, which is embedded, is taken until then" in said
    assert "evalkit fetch clip-merges" in said
    assert f"put its files into {at}/cache/datasets/gqa, or --data-dir" in evalkit("ls", "tasks", "gqa").out


def test_data_that_are_there_are_not_missed(evalkit: Command, at: Path) -> None:
    assert state_of(evalkit, "gqa") == "lacks data"
    (at / "cache" / "datasets" / "gqa").mkdir(parents=True)
    assert state_of(evalkit, "gqa") == "ready"
    assert "missing    nothing" in evalkit("ls", "tasks", "gqa").out


def test_golden_values_and_published_anchors_read_as_such(evalkit: Command) -> None:
    said = evalkit("ls", "tasks", "coco_fid").out
    assert "fid 31.675 ± 0.005 by -m retrieval  golden value" in said
    assert "fid 9.09  GigaGAN (arXiv:2303.05511), as published" in said


def test_runs_are_listed_with_their_number_and_stamps(evalkit: Command, at: Path) -> None:
    assert "no runs in runs" in evalkit("ls", "runs").out
    shown = evalkit(*RUN).out
    folder = only_run(at)
    listed = evalkit("ls", "runs").out
    assert folder.name in listed
    assert "exactness 1 [toy data]" in listed
    assert evalkit("ls", "runs", folder.name).out == shown
    (document,) = evalkit("ls", "runs", "--json").document["runs"]
    assert document["folder"] == f"runs/{folder.name}"
    assert document["estimates"]["exactness"]["value"] == 1.0


def test_a_damaged_run_does_not_hide_the_others(evalkit: Command, at: Path) -> None:
    evalkit(*RUN)
    (at / "runs" / "broken").mkdir()
    (at / "runs" / "broken" / "run.json").write_text("{")
    ended = evalkit("ls", "runs")
    assert ended.code == 0
    assert "cannot be read" in ended.out
    assert only_run_but_broken(at) in ended.out
    assert [sorted(run)[0] for run in evalkit("ls", "runs", "--json").document["runs"]] == ["error", "coverage"]


def only_run_but_broken(at: Path) -> str:
    (name,) = (path.parent.name for path in (at / "runs").glob("*/run.json") if path.parent.name != "broken")
    return name


def test_data_are_not_here_then_partly_then_here(evalkit: Command, at: Path) -> None:
    def state() -> str:
        (line,) = (line for line in evalkit("ls", "data").out.splitlines() if line.startswith("  numbers "))
        return " ".join(line.split())

    assert state().startswith("numbers not here")
    ended = evalkit("fetch", "numbers")
    assert ended.out == f"{at}/cache/datasets/numbers-odd.txt\n"
    assert state().startswith("numbers partly")
    assert "even  not here" in evalkit("ls", "data", "numbers").out
    ended = evalkit("fetch", "numbers", "-t", "part=even", "--json")
    assert ended.document == {"files": [f"{at}/cache/datasets/numbers-even.txt"]}
    assert state().startswith("numbers here")


def test_a_typo_in_an_option_of_data_offers_the_nearest(evalkit: Command) -> None:
    ended = evalkit("fetch", "numbers", "-t", "prat=even")
    assert (ended.code, ended.out) == (2, "")
    assert "did you mean 'part'" in ended.err


def test_a_report_is_written_where_it_was_asked_for(evalkit: Command, at: Path) -> None:
    evalkit(*RUN)
    folder = only_run(at)
    assert evalkit("report", str(folder), "-o", "table.md").out == "table.md\n"
    assert "exactness" in (at / "table.md").read_text()
    written = evalkit("report", str(folder), "--json").document["files"]
    assert {Path(path).suffix for path in written} >= {".html", ".md"}
    assert all(Path(path).parent == folder and Path(path).is_file() for path in written)
    beside = evalkit("report", "runs", "--json").document["files"]
    assert {Path(path).parent for path in beside} == {Path("runs")}


def test_an_ending_that_no_report_has_is_an_error(evalkit: Command, at: Path) -> None:
    evalkit(*RUN)
    ended = evalkit("report", "runs", "-o", "table.pdf")
    assert ended.code == 2
    assert ".md" in ended.err


def test_looking_does_not_make_a_cache(evalkit: Command, at: Path) -> None:
    for words in (["ls"], ["verify"], ["gc"], ["export", "out"], ["why", "sums", "adder", "sum-1"]):
        assert evalkit("cache", *words).code == 2
    assert not (at / "cache").exists()


def test_the_cache_says_what_it_holds_and_that_it_is_sound(evalkit: Command) -> None:
    evalkit(*RUN)
    (summary,) = evalkit("cache", "ls", "--json").document["stored"]
    assert (summary["task"], summary["entries"], summary["identity"]) == ("sums@1", 6, {"code": "toy-adder-1"})
    assert "sums@1  6 " in evalkit("cache", "ls").out
    ended = evalkit("cache", "verify")
    assert (ended.code, ended.out) == (0, "nothing is damaged\n")
    assert evalkit("cache", "gc", "--dry-run", "--json").document["generations"] == 0
    assert evalkit("cache", "rebuild", "--json").document["generations"] == 6


def test_damage_is_named_and_put_aside_on_demand(evalkit: Command, at: Path) -> None:
    evalkit(*RUN)
    (journal,) = (at / "cache" / "journal").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0].replace(b"sum-0", b"sum-9"), *lines[1:]]))
    ended = evalkit("cache", "verify")
    assert ended.code == 1
    assert str(journal) in ended.out
    assert "  -> " in ended.out
    assert evalkit("cache", "verify", "--json").document["damages"] != []


def test_why_tells_a_miss_field_by_field(evalkit: Command) -> None:
    evalkit(*RUN)
    words = ("cache", "why", "sums", "adder", "sum-3")
    assert "is answered from the cache" in evalkit(*words).out
    said = evalkit(*words, "--gen", "temperature=0.5").out
    assert "request.temperature  asked 0.5, stored null" in said
    document = evalkit(*words, "--seed", "1", "--json").document
    assert document["answered"] is False
    assert [difference["field"] for difference in document["differences"]] == ["request.seed"]
    ended = evalkit("cache", "why", "sums", "adder", "sum-33")
    assert (ended.code, "did you mean 'sum-3'" in ended.err) == (2, True)


def test_a_runs_answers_can_be_exported(evalkit: Command, at: Path) -> None:
    evalkit(*RUN)
    evalkit(*RUN, "--seed", "1")
    folder = next(path.parent for path in (at / "runs").glob("*/run.json"))
    (exported,) = evalkit("cache", "export", "out", "--run", str(folder), "--json").document["folders"]
    assert (exported["task"], exported["answers"]) == ("sums@1", 6)
    manifest = (Path(exported["folder"]) / "manifest.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["sample_id"] for line in manifest) == [f"sum-{i}" for i in range(6)]
