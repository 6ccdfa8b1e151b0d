from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from evalkit.protocols import protocol
from evalkit.workspace import Workspace
from evalkit_reports.board import Board, boards
from evalkit_reports.grids import csv_of, latex
from evalkit_reports.leaderboard import FORMS, leaderboard, write_leaderboard
from evalkit_reports.measures import load_results
from evalkit_reports.paper_tables import write_cm3leon_tables
from evalkit_reports.published import PUBLISHED, PublishedRow
from tests.reports.browser import outline, visit
from tests.reports.drawn import CLEAN_PROTOCOL, FID_PROTOCOL, Studio
from tests.reports.hostile import INJECTIONS, hostile_runs
from tests.reports.test_markdown import CELL


def board_of(*runs: Path) -> Board:
    (board,) = boards(load_results(runs))
    return board


def tiers(board: Board) -> dict[str, int | None]:
    return {row.loaded.label: row.tier for row in board.rows}


def test_runs_that_cannot_be_told_apart_share_a_tier(studio: Studio) -> None:
    shares = {"low": 0.3, "high": 0.80, "higher": 0.82}
    runs = [studio.edit_run(name, name, right=share, n=100) for name, share in shares.items()]
    board = board_of(*runs)
    assert tiers(board) == {"high": 1, "higher": 1, "low": 2}
    assert board.rows[-1].ranks == (3, 3)


def test_a_stamped_run_is_shown_and_never_ranked(studio: Studio) -> None:
    board = board_of(studio.vqa_run("a", "one"), studio.vqa_run("b", "two", accuracy=0.9))
    assert tiers(board) == {"two": None, "one": None}
    assert {row.unranked for row in board.rows} == {"demo data"}


def test_each_protocol_has_a_board_of_its_own_that_says_what_differs(studio: Studio) -> None:
    runs = [studio.fid_run("a", "one", n=4), studio.fid_run("b", "two", n=4, under=CLEAN_PROTOCOL)]
    found = boards(load_results(runs))
    assert [tiers(board).keys() for board in found] == [{"one"}, {"two"}]
    notes = " ".join(note for grid in leaderboard(found).grids for note in grid.notes)
    assert "resize: bilinear against bicubic" in notes


def test_what_papers_publish_stands_apart_with_its_citation(studio: Studio, workspace: Workspace) -> None:
    output = studio.root / "board.md"
    write_leaderboard([studio.fid_run("a", "one", n=4)], output, workspace)
    measured, _, published = output.read_text(encoding="utf-8").partition("### ")
    assert "CM3Leon" not in measured and "not ranked with the runs above" in published
    assert "| CM3Leon-7B | 4.88 |" in published and "arXiv:2309.02591, table 1" in published


def test_a_board_of_other_measures_has_no_published_rows(studio: Studio, workspace: Workspace) -> None:
    run = studio.fid_run("a", "one", n=4)
    document = json.loads((run / "run.json").read_text())
    document["estimates"] = {"kid": document["estimates"]["kid"]}
    (run / "run.json").write_text(json.dumps(document))
    write_leaderboard([run], studio.root / "board.md", workspace)
    text = (studio.root / "board.md").read_text(encoding="utf-8")
    assert "kid ↓" in text and "published" not in text


def test_a_published_number_compares_only_where_every_field_agrees() -> None:
    rule = protocol("torch-fidelity", {"n_generated": 500, "resize": "bilinear"})
    row = PublishedRow(("coco_fid",), "x", {"fid": 1.0}, "paper", "", {"n_generated": 500})
    assert not row.compares_with(rule) and not row.compares_with(None)
    whole = PublishedRow(("coco_fid",), "x", {"fid": 1.0}, "paper", "", {"n_generated": 500, "resize": "bilinear"})
    assert whole.compares_with(rule)
    assert not whole.compares_with(rule.with_fields({"n_generated": 30_000}))
    assert whole.differences(rule.with_fields({"n_generated": 30_000})) == ["n_generated: 500 against 30000"]
    assert not any(published.compares_with(FID_PROTOCOL) for published in PUBLISHED)


@pytest.mark.parametrize("suffix", FORMS)
def test_every_form_holds_every_number(studio: Studio, workspace: Workspace, suffix: str) -> None:
    output = studio.root / f"board{suffix}"
    write_leaderboard([studio.fid_run("a", "one", value=41.3, n=4)], output, workspace)
    text = output.read_text(encoding="utf-8")
    assert "41.3" in text and "demo data" in text and ("39.6" in text or "39.57" in text)


def test_the_records_tell_measured_from_published(studio: Studio, workspace: Workspace) -> None:
    run = studio.edit_run("a", "one", right=0.7, n=50)
    for suffix in (".json", ".csv"):
        write_leaderboard([run, studio.fid_run("b", "one", n=4)], studio.root / f"board{suffix}", workspace)
    records = json.loads((studio.root / "board.json").read_text())["records"]
    (edit,) = (record for record in records if record["measure"] == "edit_success")
    assert (edit["tier"], edit["value"], edit["n"]) == (1, 0.72, 50)
    papers = [record for record in records if record["published_in"]]
    assert papers and all(record["tier"] is None and record["unranked"] for record in papers)
    rows = list(csv.DictReader(io.StringIO((studio.root / "board.csv").read_text())))
    assert [(row["model"], row["measure"]) for row in rows] == [(r["model"], r["measure"]) for r in records]


def test_no_cell_of_the_csv_is_a_formula() -> None:
    text = csv_of([{"a": "=1+1", "b": -2.5}, {"a": "@x", "b": "+1"}], ["a", "b"])
    assert text == "a,b\n'=1+1,-2.5\n'@x,'+1\n"


@pytest.mark.parametrize("text", INJECTIONS)
def test_latex_sees_no_command_of_others(text: str) -> None:
    shown = latex(text.replace("LONE-SURROGATE", "\ud800"))
    known = r"\\textbackslash\{\}|\\text(asciitilde|asciicircum|less|greater|bar|quotedbl)\{\}|\\checkmark\{\}"
    rest = re.sub(rf"{known}|\\[&%$#_{{}}]|\$\\(uparrow|downarrow|infty|times)\$|\$-\$", "", shown)
    assert not re.search(r"[\\{}$&#%_^~]", rest) and "\n" not in rest


def test_own_numbers_fill_the_papers_tables(studio: Studio, workspace: Workspace) -> None:
    output = studio.root / "paper.md"
    write_cm3leon_tables([studio.fid_run("a", "mine", n=4), studio.vqa_run("v", "mine")], output, workspace)
    text = output.read_text(encoding="utf-8")
    assert "| CM3Leon-7B | 7B | 340M | 2 | 4.88 |" in text
    assert "| mine |  |  |  | 41.3 (39.6 to 43.0) |" in text
    assert "| SFT-CM3Leon-7B | 61.6 | 47.6 | 37.6 | 23.8 | 10.5 | 22.6 |" in text
    assert "demo data" in text and "evalkit run coco_caption,vizwiz,okvqa -m MODEL" in text


@pytest.mark.slow
def test_no_string_of_others_gets_out_of_its_cell(tmp_path: Path) -> None:
    runs, workspace = hostile_runs(Studio(tmp_path)), Workspace(cache=tmp_path / "cache", offline=True)
    for suffix in FORMS:
        write_leaderboard(runs, tmp_path / f"board{suffix}", workspace)
    seen = visit(tmp_path / "board.html", tmp_path / "profile")
    assert seen.console == ()
    names = [name for name, _ in outline(seen.document).tags]
    assert names.count("script") == names.count("style") == names.count("title") == 1
    assert not {"iframe", "object", "embed", "base", "form", "link", "img"} & set(names)
    tables = re.findall(r"(?:^\|.*\n)+", (tmp_path / "board.md").read_text(encoding="utf-8"), re.M)
    assert len(tables) == len(INJECTIONS)
    assert all(len({len(CELL.findall(line)) for line in table.splitlines()}) == 1 for table in tables)
    json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
