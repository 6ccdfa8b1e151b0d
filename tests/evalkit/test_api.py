"""Laws of the Python API: it is what the command does, costs nothing until it is used, and shows nothing as markup."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import evalkit
from evalkit.cli import main
from evalkit.errors import DataError, UsageError
from evalkit.images import decode
from evalkit.models.noise import Noise
from evalkit.notebooks import NotebookProgress, in_a_notebook
from evalkit.progress import Silent
from evalkit.results import run_json
from evalkit.types import Answer, Failure, Generation, Request, Text


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


class Talker:
    """Answers every question with markup, but for the second, which it refuses."""

    name = "<b>talker</b>"
    identity = {"model": "talker"}  # noqa: RUF012 - as a user writes it
    capabilities = frozenset({"vqa"})

    def generate(self, requests: list[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            refused = request.sample_id.endswith("1")
            yield position, Failure("refusal", "<i>no</i>") if refused else Generation((Text("<script>"),))


def test_import_loads_nothing_and_names_are_there() -> None:
    code = "import sys, evalkit; print(sorted(m for m in sys.modules if m.startswith(('evalkit', 'numpy', 'rich'))))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "['evalkit']"
    assert set(evalkit.__all__) == {"KeptRun", "load", "run"}
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = evalkit.rnu


def test_it_finds_what_the_command_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evalkit.run("blocksworld_vqa", model="oracle", limit=6, progress=Silent())
    assert main(["run", "blocksworld_vqa", "-m", "oracle", "-L", "6", "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["runs"]
    assert document["estimates"] == run_json(found)["estimates"]
    assert document["coverage"]["from_cache"] == 6
    assert found.folder.parent == Path("runs")
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_model_of_ones_own_is_taken_as_it_is() -> None:
    found = evalkit.run("blocksworld_vqa", model=Talker(), limit=4, progress=Silent())  # type: ignore[arg-type]
    table = found.samples
    assert table["answer"][0] == "<script>"
    assert list(table["failure"]) == ["", "refusal", "", ""]
    assert table["failure_message"][1] == "<i>no</i>"
    assert np.isnan(table["vqa_accuracy"][1])
    assert set(table.columns) >= {"id", "prompt", "reference", "answer_type", "question_type", "seed", "from_cache"}
    assert table["prompt"][0].endswith("?")


def test_pictures_stand_as_paths_of_their_files() -> None:
    found = evalkit.run("blocksworld_composition", model="noise", limit=2, progress=Silent())
    paths = [Path(path) for path in found.samples["answer"]]
    assert all(decode(path, "sample").shape == (256, 256, 3) for path in paths)


def test_a_run_is_loaded_as_it_was(tmp_path: Path) -> None:
    found = evalkit.run("blocksworld_vqa", model="oracle", limit=3, progress=Silent())
    again = evalkit.load(found.folder)
    assert again == found
    assert again.samples.equals(found.samples)
    with pytest.raises(DataError, match="does not exist"):
        evalkit.load(tmp_path / "absent")


def test_a_number_that_is_not_there_is_an_error_that_helps() -> None:
    found = evalkit.run("blocksworld_vqa", model="oracle", limit=3, progress=Silent())
    with pytest.raises(UsageError, match="did you mean 'vqa_accuracy'"):
        found.value("vqa_acuracy")
    with pytest.raises(UsageError, match="are for a model that is named by a text"):
        evalkit.run("blocksworld_composition", model=Noise(8), model_options={"size": 8})


def test_a_notebook_shows_a_table_and_no_markup_of_others() -> None:
    found = evalkit.run("blocksworld_vqa", model=Talker(), limit=4, progress=Silent())  # type: ignore[arg-type]
    shown = replace(found, stamps=("<img src=x>",))._repr_html_()
    assert "<table>" in shown
    assert "vqa_accuracy" in shown
    assert "&lt;b&gt;talker&lt;/b&gt;" in shown
    assert "&lt;img src=x&gt;" in shown
    assert "<img" not in shown
    assert "3 of 4 samples answered" in shown


def test_progress_in_a_notebook_renews_one_bar() -> None:
    InteractiveShell.instance()
    try:
        assert not in_a_notebook()  # a shell in a terminal is none
        with capture_output() as captured:
            bar = NotebookProgress().bar("<answers>", 10, "sample")
            for _ in range(10):
                bar.advance()
            bar.close()
    finally:
        InteractiveShell.clear_instance()
    first, *later = [output.data["text/html"] for output in captured.outputs]
    assert '<progress max="10" value="0"' in first
    assert '<progress max="10" value="10"' in later[-1]
    assert "&lt;answers&gt;" in first
