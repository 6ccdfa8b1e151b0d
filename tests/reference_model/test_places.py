"""Places: found for a whole document or token by token, they are the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cm3leon.places import PlaceTable, walked

# 0 pad, 1 eod, 2 break, 3 span end, 4 sentinel; 5 to 7 codes; 8 and 9 text
KINDS = np.array([2, 2, 2, 2, 2, 1, 1, 1, 0, 0], np.int8)
TABLE = PlaceTable(KINDS, pad=0, break_=2, cells=4)


def test_a_document_by_hand() -> None:
    ids = [1, 8, 9, 2, 5, 6, 7, 5, 2, 8, 4, 8, 1]
    offset, segment, cell = TABLE.of(np.array([ids]))
    assert offset[0].tolist() == [0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0]
    assert segment[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]
    assert cell[0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0]


@given(ids=st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_walking_finds_what_the_whole_has(ids: list[int]) -> None:
    offset, segment, cell = TABLE.of(np.array([[1, *ids]]))
    _, steps = walked(TABLE, [1, *ids])
    assert steps == list(zip(offset[0].tolist(), segment[0].tolist(), cell[0].tolist(), strict=True))


@given(ids=st.lists(st.integers(0, 9), min_size=1, max_size=20), more=st.lists(st.integers(0, 9), max_size=20))
def test_no_place_depends_on_what_follows(ids: list[int], more: list[int]) -> None:
    alone = TABLE.of(np.array([[1, *ids]]))
    longer = TABLE.of(np.array([[1, *ids, *more]]))
    assert all((a == b[:, : len(ids) + 1]).all() for a, b in zip(alone, longer, strict=True))


def test_a_walk_goes_on_behind_a_document() -> None:
    walk, _ = walked(TABLE, [1, 8, 2])
    assert [walk.next(token) for token in (5, 6, 2, 8)] == [(0, 1, 1), (0, 1, 2), (0, 1, 0), (1, 2, 0)]
