"""Whatever a model may answer is read back as it was committed; any field of a request makes another key."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.cache import Cache
from evalkit.cache.records import pictures
from evalkit.errors import UsageError
from evalkit.images import image_of, pixels
from evalkit.keys import noun_json, request_key
from evalkit.types import (
    Box,
    Boxes,
    Failure,
    Generation,
    Image,
    ImageRole,
    Json,
    LabelMap,
    Mask,
    Part,
    Text,
)
from tests.evalkit.cache.entries import IDENTITY, picture, request

finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def images(draw: st.DrawFn) -> Image:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    array = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image_of(array, draw(st.sampled_from(get_args(ImageRole))))


boxes = st.builds(Box, st.text(), finite, finite, finite, finite)
parts = st.one_of(
    st.builds(Text, st.text()),
    images(),
    st.builds(Mask, images()),
    st.builds(LabelMap, images(), st.lists(st.tuples(st.integers(), st.text()), max_size=3).map(tuple)),
    st.builds(Boxes, st.lists(boxes, max_size=3).map(tuple), st.integers(1, 10**6), st.integers(1, 10**6)),
)
generations = st.builds(
    Generation,
    st.lists(parts, max_size=4).map(tuple),
    st.sampled_from(["stop", "length"]),
    st.floats(0, 1e6),
)


@settings(deadline=None, max_examples=60)
@given(generations, st.text(st.characters(exclude_categories=["Cs"])))
def test_every_answer_comes_back_as_it_was_committed(generation: Generation, sample_id: str) -> None:
    asked = dataclasses.replace(request(), sample_id=sample_id)
    with tempfile.TemporaryDirectory() as folder:
        with Cache(Path(folder)) as cache:
            assert cache.commit(IDENTITY, asked, generation) == generation
        with Cache(Path(folder)) as cache:
            found = cache.get(request_key(IDENTITY, asked))
            assert found == generation
            for before, after in zip(pictures(generation), pictures(found), strict=True):
                assert isinstance(after.content, Path)
                assert np.array_equal(pixels(before), pixels(after))


def test_lone_surrogates_in_a_text_come_back_too(tmp_path: Path) -> None:
    odd = Generation((Text("\ud83d alone"),))
    with Cache(tmp_path) as cache:
        cache.commit(IDENTITY, request(), odd)
        assert cache.get(request_key(IDENTITY, request())) == odd


def test_every_kind_of_part_has_a_strategy_here() -> None:
    drawn = {Text, Image, Boxes, Mask, LabelMap}
    assert drawn == set(get_args(Part))


def test_a_failure_is_never_stored(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        with pytest.raises(TypeError, match="not a Failure"):
            cache.commit(IDENTITY, request(), Failure("missing", "no answer"))  # type: ignore[arg-type]
        assert cache.keys() == set()


def test_a_number_that_json_cannot_hold_is_an_error_that_names_the_sample(tmp_path: Path) -> None:
    answer = Generation((Boxes((Box("cat", math.nan, 0, 1, 1),), 8, 8),))
    with Cache(tmp_path) as cache, pytest.raises(UsageError, match="the answer to sample 's0' of tiny@1"):
        cache.commit(IDENTITY, request(), answer)


def test_a_sample_id_that_is_not_unicode_is_an_error(tmp_path: Path) -> None:
    asked = dataclasses.replace(request(), sample_id="\ud800")
    with Cache(tmp_path) as cache, pytest.raises(UsageError, match="rename the sample"):
        cache.commit(IDENTITY, asked, Generation((Text("a"),)))


@pytest.mark.parametrize("part", [Text("a"), picture(1), Mask(picture(1)), LabelMap(picture(1), ((1, "cat"),))])
def test_another_part_is_another_key(part: Part) -> None:
    changed = dataclasses.replace(request(), parts=(part,))
    assert request_key(IDENTITY, changed) != request_key(IDENTITY, request())


def test_another_identity_is_another_key() -> None:
    assert request_key({**IDENTITY, "weights": "1" * 64}, request()) != request_key(IDENTITY, request())
    assert request_key({**IDENTITY, "dtype": None}, request()) != request_key(IDENTITY, request())


def test_where_a_picture_lies_does_not_change_the_key(tmp_path: Path) -> None:
    image = picture(3)
    elsewhere = dataclasses.replace(image, content=tmp_path / "elsewhere.png")
    here, there = (dataclasses.replace(request(), parts=(i,)) for i in (image, elsewhere))
    assert request_key(IDENTITY, here) == request_key(IDENTITY, there)


def test_the_stored_form_leaves_out_only_where_pixels_lie() -> None:
    def names(value: Json) -> set[str]:
        return set(value) if isinstance(value, dict) else set()

    assert names(noun_json(picture())) == {"type", "digest", "width", "height", "role"}
