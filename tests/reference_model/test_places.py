"""Places: a token's depend on what stands before it, and in a picture not even on its codes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cm3leon.places import PlaceTable

# 0 pad, 1 eod, 2 break, 3 span end, 4 sentinel; 5 to 7 codes; 8 and 9 text
KINDS = np.array([2, 2, 2, 2, 2, 1, 1, 1, 0, 0], np.int8)
TABLE = PlaceTable(KINDS, pad=0, break_=2, cells=4)


def test_a_document_by_hand() -> None:
    ids = [1, 8, 9, 2, 5, 6, 7, 5, 2, 8, 4, 8, 1]
    offset, segment, cell = TABLE.of(np.array([ids]))
    assert offset[0].tolist() == [0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0]
    assert segment[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    assert cell[0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0]


@given(ids=st.lists(st.integers(0, 9), min_size=1, max_size=20), more=st.lists(st.integers(0, 9), max_size=20))
def test_no_place_depends_on_what_follows(ids: list[int], more: list[int]) -> None:
    alone = TABLE.of(np.array([[1, *ids]]))
    longer = TABLE.of(np.array([[1, *ids, *more]]))
    assert all((a == b[:, : len(ids) + 1]).all() for a, b in zip(alone, longer, strict=True))


@given(
    ids=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    written=st.sampled_from([(5, 6, 7), (8, 9)]).flatmap(lambda may: st.lists(st.sampled_from(may), min_size=1)),
)
def test_which_codes_or_words_are_written_moves_nothing(ids: list[int], written: list[int]) -> None:
    """Generation finds the places of what it will write before it knows what that is."""
    found, foreseen = (TABLE.of(np.array([[1, *ids, *tail]])) for tail in (written, [written[0]] * len(written)))
    assert all((a == b).all() for a, b in zip(found, foreseen, strict=True))
