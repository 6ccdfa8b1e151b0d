"""Laws of progress: what a terminal and what a log show of the same work."""

from __future__ import annotations

import pytest

from evalkit.cli.bars import Bars, Lines


def test_a_short_piece_of_work_is_told_of_once_at_its_start_and_once_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = Lines().bar("features", 1000, "image")
    for _ in range(1000):
        bar.advance()
    bar.close()
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0] == "features: 0 of 1,000 images"
    assert lines[1].startswith("features: 1,000 of 1,000 images, in ")


def test_the_figures_of_a_bar_fit_on_a_terminal_however_long_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    bar = Bars().bar("a [b]very[/b] long name " * 9, 30_000, "image")
    bar.advance(30_000)
    bar.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) <= 80
    assert line.startswith("a [b]very[/b] long")
    assert "30,000/30,000 in 0.0 s" in line


def test_closing_a_bar_twice_leaves_the_others_open(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
    first, second = bars.bar("first", 5, "image"), bars.bar("second", 7, "image")
    first.close()
    first.close()
    second.advance(7)
    second.close()
    assert "7/7" in capsys.readouterr().err


def test_bytes_are_shown_as_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    for progress in (Lines(), Bars()):
        bar = progress.bar("file", 80_000_000, "B")
        bar.advance(80_000_000)
        bar.close()
    said = capsys.readouterr().err
    assert "file: 80 MB of 80 MB, in " in said
    assert "80 MB/80 MB in " in said


def test_work_whose_end_is_unknown_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Lines().bar("reading", None, "line")
    bar.advance(3)
    bar.close()
    assert capsys.readouterr().err.splitlines()[1].startswith("reading: 3 lines, in ")
