from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from evalkit.workspace import Workspace
from evalkit_reports.markdown import HEAD, escaped, markdown, write_markdown
from evalkit_reports.measures import load_results
from tests.reports.drawn import CLEAN_PROTOCOL, SMALL_N, Studio
from tests.reports.hostile import hostile_runs

CELL = re.compile(r"(?<!\\)(?:\\\\)*\|")


def test_a_row_says_all_that_must_stand_beside_a_number(studio: Studio) -> None:
    text = markdown(load_results([studio.fid_run("a", "one", n=20, failures=2)]))
    assert (
        "| coco_fid@1 | one | blocksworld | fid ↓ (squared feature units) | **41.3** (39.6 to 43.0) | 18 | "
        "18 of 20 answered, 2 failed, 5 from cache | demo data | `"
    ) in text
    assert "- Intervals in brackets: 95 %, bootstrap." in text
    assert f"- **Warning:** fid of one on coco_fid@1: {SMALL_N}" in text
    assert "- **Unavailable:** inception_score of one on coco_fid@1: the classifier" in text


def test_what_is_not_comparable_is_named_with_its_fields(studio: Studio) -> None:
    runs = [studio.fid_run("a", "one", n=4), studio.fid_run("b", "two", n=4, under=CLEAN_PROTOCOL)]
    (note,) = (line for line in markdown(load_results(runs)).splitlines() if "Not comparable" in line)
    assert "of two on coco_fid@1" in note and note.endswith(
        "antialias: False against True; resize: bilinear against bicubic"
    )


def test_every_line_of_the_table_has_the_same_cells_whatever_was_said(studio: Studio, workspace: Workspace) -> None:
    output = studio.root / "table.md"
    write_markdown(hostile_runs(studio), output, workspace)
    lines = output.read_text(encoding="utf-8").split("\n")
    table = lines[: lines.index("")]
    assert {len(CELL.findall(line)) for line in table} == {len(HEAD) + 1}
    assert all(line.startswith("- ") for line in lines[len(table) + 1 : -1])


@given(st.text(st.characters()))
def test_escaped_text_is_one_line_without_markup(text: str) -> None:
    shown = escaped(text)
    assert "\n" not in shown and len(shown.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>|`*\[\]]", shown)
    shown.encode("utf-8")


def test_names_stay_readable_and_nobody_is_called() -> None:
    assert escaped("coco_fid@1") == "coco_fid@1"
    assert escaped("@everyone #12 _a_ https://x.y www.z") == (
        "@\u2060everyone #\u206012 \\_a\\_ https:\u2060//x.y www\u2060.z"
    )
