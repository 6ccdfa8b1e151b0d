"""A journal gives back every line that was added to it whole; a torn end counts as never written, damage is named."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.cache.journal import Writer, is_alive, journals, lines
from evalkit.cache.records import Drop, Record, answer_json
from evalkit.errors import CacheError
from evalkit.keys import digest, key_document
from evalkit.types import Generation, Text
from tests.evalkit.cache.entries import IDENTITY, request


def record(number: int) -> Record:
    document = key_document(IDENTITY, request(number))
    return Record(digest(document), document, answer_json(Generation((Text(f"{number}\n"),)), "here"), float(number))


def written(directory: Path, count: int = 3) -> Path:
    writer = Writer(directory)
    for number in range(count):
        writer.append(record(number))
    writer.close()
    return writer.path


def test_lines_come_back_as_they_were_added(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    contents: list[Record | Drop] = [record(0), Drop("a" * 64, 1.5), record(1)]
    ends = [writer.append(content) for content in contents]
    writer.close()
    found = list(lines(writer.path))
    assert [line.content for line in found] == contents
    assert [line.end for line in found] == ends
    assert [line.content for line in lines(writer.path, ends[0])] == contents[1:]


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_journal_cut_anywhere_keeps_every_whole_line(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder))
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        assert len(list(lines(path))) == content[:cut].count(b"\n")


@pytest.mark.parametrize("position", range(5, 700, 41))
def test_a_flipped_bit_is_found_in_its_line_and_no_other(tmp_path: Path, position: int) -> None:
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    content[position] ^= 2
    path.write_bytes(content)
    assert [line.number for line in lines(path) if line.content is None] == [1]


def test_a_line_of_a_newer_evalkit_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.cache.journal.SCHEMA", 2)
    path = written(tmp_path)
    monkeypatch.undo()
    with pytest.raises(CacheError, match="newer evalkit"):
        list(lines(path))


def test_a_journal_is_alive_until_it_is_closed(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    assert is_alive(writer.path)
    writer.append(record(0))
    writer.close()
    assert not is_alive(writer.path)
    assert not is_alive(tmp_path / "never was")


def test_a_journal_without_a_line_goes_when_it_is_closed(tmp_path: Path) -> None:
    Writer(tmp_path).close()
    assert journals(tmp_path) == []


def test_two_writers_never_share_a_journal(tmp_path: Path) -> None:
    writers = [Writer(tmp_path) for _ in range(20)]
    assert len({writer.name for writer in writers}) == 20
    for writer in writers:
        writer.close()
