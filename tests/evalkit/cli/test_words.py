"""Laws of words: numbers, sizes, durations and columns as people read them."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.cli import bars, torch_state, words


@pytest.mark.parametrize("module", [words, bars, torch_state])
def test_examples_in_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_a_number_keeps_five_digits(value: float) -> None:
    assert math.isclose(float(words.number(value).replace(",", "")), value, rel_tol=1e-4)


@given(st.floats(min_value=0, max_value=1e9))
def test_a_duration_names_units_and_never_sixty_of_them(seconds: float) -> None:
    text = words.duration(seconds)
    assert "60 s" not in text.replace("160 s", "")
    assert " 60 min" not in f" {text}"
    assert " 24 h" not in f" {text}"


@given(st.integers(min_value=0, max_value=10**16))
def test_a_size_has_at_most_three_digits(count: int) -> None:
    figure = words.size(count).split()[0]
    assert count >= 10**15 or len(figure) <= 4
    assert count == 0 or float(figure) > 0


cells = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(cells, cells, st.lists(cells, max_size=20).map(" ".join)), min_size=1), st.integers(40, 100))
def test_columns_fit_the_width_and_lose_no_word(rows: list[tuple[str, str, str]], width: int) -> None:
    text = words.columns(rows, width)
    assert all(len(line) <= width for line in text.splitlines())
    assert text.split() == [word for row in rows for cell in row for word in cell.split()]


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), st.text(st.sampled_from("ab1.,/ "))))
def test_name_value_pairs_come_back_as_they_were_written(pairs: dict[str, str]) -> None:
    assert words.key_values("-a", [f"{name}={value}" for name, value in pairs.items()]) == pairs
