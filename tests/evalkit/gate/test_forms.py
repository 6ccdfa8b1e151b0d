"""Laws of the gate's outputs: nothing that a run says ends a cell, a command or an element."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from evalkit.comparison import Difference
from evalkit.gate import forms
from evalkit.gate.verdicts import Status, Verdict, exit_code
from evalkit.types import Interval

HOSTILE = (
    "| a | b |",
    "x\n::error title=owned::pwned",
    "<script>alert(1)</script>",
    "]]> & <failure/>",
    "@everyone see #1 and ![x](http://evil/x.png)",
    "bell \x07 null \x00 half \ud800",
    "100%0A::warning::x",
    "`code` **bold** _it_ ~~gone~~",
)


def difference(name: str) -> Difference:
    return Difference(
        "toy@1", name, "fraction", True, 0.9, 0.8, -0.1, 100, 50, 0.02, Interval(-0.14, -0.06, 0.95, "t"),
        0.001, 0.999, 0.0005, 0.001, 0.056, 3, 13, "paired",
    )  # fmt: skip


def verdict(text: str = "accuracy", status: Status = Status.REGRESSION) -> Verdict:
    return Verdict("toy@1", text, status, f"worse: {text}", difference(text), 0.001, 0.05, 0.056, 400)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_has_one_row_a_verdict_and_no_markup_of_a_run(text: str) -> None:
    lines = forms.markdown([verdict(text)]).rstrip("\n").splitlines()
    assert len(lines) == 5
    row = lines[4]
    cells = row.replace("\\|", "").split("|")
    assert len(cells) == 12
    for bare in ("<", "@", "\n"):
        assert bare not in row
    for mark in ("`", "*", "[", "]", "!", "#"):
        unescaped = row.replace(f"\\{mark}", "").replace("&#64;", "")
        assert mark not in unescaped


@pytest.mark.parametrize("text", HOSTILE)
def test_annotations_are_one_command_a_verdict(text: str) -> None:
    written = forms.github([verdict(text)])
    assert written.count("\n") == 1
    assert written.startswith("::error title=evalkit%3A toy@1 ")
    head, _, message = written[2:].partition("::")
    assert "::" not in head
    assert "\r" not in message


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_is_xml_whatever_a_run_says(text: str) -> None:
    root = ElementTree.fromstring(forms.junit([verdict(text), verdict("fine", Status.PASS)]).encode("utf-8"))
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert len(root.findall(".//failure")) == 1
    assert [case.tag for case in suite] == ["testcase", "testcase"]


def test_a_pass_is_not_annotated_and_a_rise_only_warns() -> None:
    assert forms.github([verdict(status=Status.PASS)]) == ""
    assert forms.github([verdict(status=Status.RISE)]).startswith("::warning ")


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([Status.PASS, Status.RISE], 0),
        ([Status.UNDERPOWERED, Status.PASS], 4),
        ([Status.UNDERPOWERED, Status.NOT_COMPARABLE], 3),
        ([Status.UNDERPOWERED, Status.NOT_COMPARABLE, Status.MISSING], 1),
        ([Status.NOT_COMPARABLE, Status.REGRESSION], 1),
    ],
)
def test_the_worst_that_is_certain_decides_the_exit_code(statuses: list[Status], code: int) -> None:
    verdicts = [verdict(status=status) for status in statuses]
    assert exit_code(verdicts) == code
    assert {0: "passed", 1: "regression", 3: "compare", 4: "underpowered"}[code] in forms.headline(verdicts)
