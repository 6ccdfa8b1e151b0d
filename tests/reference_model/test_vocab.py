"""The vocabulary: text, codes and marks are apart, and nothing is replaced in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm3leon.vocab import BREAK, Vocabulary, code_name, read_vocabulary, trained_vocabulary

WORDS = ["a red star above a blue ring", "two green crosses", "Question: how many? Answer: 3"]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return trained_vocabulary(WORDS, 300, codes=12, sentinels=3)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back(vocabulary: Vocabulary, text: str) -> None:
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_a_mark_in_a_text_is_plain_words(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode(f"a {BREAK} b {code_name(3)}")
    assert all(vocabulary.is_text(token) for token in ids)
    assert vocabulary.decode(ids) == f"a {BREAK} b {code_name(3)}"


def test_codes_come_back_and_are_no_text(vocabulary: Vocabulary) -> None:
    ids = vocabulary.image(range(12))
    assert vocabulary.image_codes(ids) == list(range(12))
    assert not any(vocabulary.is_text(token) for token in ids)


def test_all_ids_are_different(vocabulary: Vocabulary) -> None:
    marks = vocabulary.marks
    every = [marks.pad, marks.eod, marks.break_, marks.span_end, *marks.sentinels, *vocabulary.codes]
    assert len(set(every)) == len(every) and max(every) < vocabulary.size


@pytest.mark.parametrize("code", [-1, 12])
def test_a_code_out_of_range_is_refused(vocabulary: Vocabulary, code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        vocabulary.image([code])


def test_a_word_is_no_code_and_a_code_no_word(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="not a picture code"):
        vocabulary.image_codes(vocabulary.encode("red"))
    with pytest.raises(ValueError, match="not text"):
        vocabulary.decode(vocabulary.image([0]))
    with pytest.raises(ValueError, match="not text"):
        vocabulary.decode([vocabulary.size])


def test_a_vocabulary_is_read_as_it_was_written(vocabulary: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(vocabulary.json, encoding="utf-8")
    again = read_vocabulary(path)
    assert again.marks == vocabulary.marks and again.codes == vocabulary.codes
    assert again.encode(WORDS[0]) == vocabulary.encode(WORDS[0])


def test_a_damaged_file_is_named(vocabulary: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(vocabulary.json[:500], encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        read_vocabulary(path)
