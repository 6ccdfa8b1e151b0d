"""What was read against what was asked: cases by hand, properties, and the edit distance by its definition."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.spelling import alignment, character_accuracy, edit_distance, is_exact, normal, right_words

words = st.text(alphabet="abc ", max_size=8)
something = words.filter(str.strip)


def by_definition(a: str, b: str) -> int:
    """The edit distance as the recursion that defines it."""

    @cache
    def between(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        replaced = between(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(replaced, between(i - 1, j) + 1, between(i, j - 1) + 1)

    return between(len(a), len(b))


@given(words, words)
def test_edit_distance_is_that_of_its_definition(a: str, b: str) -> None:
    assert edit_distance(a, b) == by_definition(a, b)


@given(words, words)
def test_an_alignment_costs_the_edit_distance_and_keeps_the_order(a: str, b: str) -> None:
    places = alignment(a, b)
    kept = [place for place in places if place is not None]
    assert kept == sorted(set(kept))
    replaced = sum(a[i] != b[place] for i, place in enumerate(places) if place is not None)
    assert replaced + (len(a) - len(kept)) + (len(b) - len(kept)) == edit_distance(a, b)


@given(something, words)
def test_accuracies_are_shares_and_whole_only_for_the_same_text(asked: str, read: str) -> None:
    right, count = right_words(asked, read)
    assert 0 <= right <= count == len(asked.split())
    assert 0 <= character_accuracy(asked, read) <= 1
    assert (character_accuracy(asked, read) == 1) == is_exact(asked, read)
    if is_exact(asked, read):
        assert right == count, "the blanks of what is read do not matter"


@pytest.mark.parametrize(
    ("asked", "read", "right"),
    [
        ("hello", "hello", 1),
        ("Hello", "HELLO!", 1),
        ("hello", "helo", 0),
        ("hello", "shello", 0),
        ("hello", "hellos", 0),
        ("hello", "sign hello here", 1),
        ("hello world", "helloworld", 2),
        ("hello world", "helloxorld", 1),
        ("hello world", "hello  wor ld", 2),
        ("hello world", "", 0),
        ("hello world", "world hello", 2),
        ("hello world", "world hellos", 1),
        ("no no no", "no no", 2),
        ("don't stop", "dont stop", 2),
        ("24/7", "24 7", 2),
        ("cat", "concatenate", 0),
    ],
)
def test_a_word_is_read_where_it_stands_by_itself_or_by_its_neighbour(asked: str, read: str, right: int) -> None:
    assert right_words(asked, read)[0] == right


@pytest.mark.parametrize(
    ("text", "form"),
    [("Straße", "strasse"), ("ﬁre", "fire"), ("１２ km", "12 km"), ("I’m", "im"), ("$5.99", "5 99"), ("--", "")],
)
def test_the_normal_form_by_hand(text: str, form: str) -> None:
    assert normal(text) == form


def test_character_accuracy_counts_what_is_read_besides() -> None:
    assert character_accuracy("cat", "cat cat") == 0.5
    assert character_accuracy("cat", "") == 0
    assert not is_exact("cat", "cat cat")


def test_a_text_without_letters_is_no_text() -> None:
    with pytest.raises(ValueError, match="no letter or digit"):
        character_accuracy("!?", "a")
    with pytest.raises(ValueError, match="no letter or digit"):
        right_words("", "a")
