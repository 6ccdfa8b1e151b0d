"""The laws of the nearest picture and of the commonest answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.images import Pixels, image_of
from evalkit.workspace import Workspace
from evalkit_tasks.answer_prior import Trained, answer_prior, prior_of
from evalkit_tasks.nearest_picture import NearestPicture, thumbnail


def drawn(seed: int, size: tuple[int, int] = (24, 32)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_the_nearest_picture_is_that_of_the_smallest_distance(tmp_path: Path) -> None:
    known = [drawn(seed) for seed in range(40)]
    find = NearestPicture([image_of(pixels) for pixels in known], Workspace(cache=tmp_path))
    asked = [drawn(100 + seed, (16, 20)) for seed in range(10)]
    small = np.stack([thumbnail(pixels) for pixels in known]).astype(np.int64)
    expected = [int(((small - thumbnail(one).astype(np.int64)) ** 2).sum(axis=1).argmin()) for one in asked]
    assert find(asked) == expected
    assert [find([one])[0] for one in asked] == expected, "alone or together, an answer is the same"
    again = NearestPicture([image_of(pixels) for pixels in known], Workspace(cache=tmp_path))
    assert again(asked) == expected, "remembered thumbnails are the same"


def test_of_equal_pictures_the_first_is_taken_and_of_itself_itself(tmp_path: Path) -> None:
    known = [drawn(0), drawn(1), drawn(1), drawn(2)]
    find = NearestPicture([image_of(pixels) for pixels in known], Workspace(cache=tmp_path))
    assert find([drawn(1), drawn(2), drawn(0)]) == [1, 3, 0]
    assert find([]) == []


def test_a_thumbnail_averages_what_each_pixel_covers() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[0, 0] = 200
    assert thumbnail(pixels)[:3].tolist() == [50, 50, 50]
    assert thumbnail(pixels).sum() == 150


@given(st.lists(st.tuples(st.sampled_from(["how many", "is the"]), st.sampled_from("abc")), min_size=1, max_size=20))
def test_the_prior_says_the_commonest_answer_of_the_type(told: list[tuple[str, str]]) -> None:
    prior = answer_prior("drawn", [Trained(f"{kind} x?", kind, answer) for kind, answer in told])
    for kind in {kind for kind, _ in told}:
        counts = Counter(answer for known, answer in told if known == kind)
        assert counts[prior(f"{kind.capitalize()} cats are there?\nAnswer briefly.")] == max(counts.values())


def test_the_longest_type_wins_and_unknown_questions_get_the_commonest_of_all() -> None:
    told = [
        Trained("", "is", "no"),
        Trained("", "is the", "yes"),
        Trained("", "what", "cat"),
        Trained("", "what", "cat"),
    ]
    prior = answer_prior("drawn", told)
    assert [prior(text) for text in ("Is the cat in?", "Is it?", "Question: What? Short answer:", "Who?")] == [
        "yes",
        "no",
        "cat",
        "cat",
    ]
    assert answer_prior("drawn", [*told[::-1]]).digest == prior.digest
    with pytest.raises(DataError, match="no training questions"):
        answer_prior("drawn", [])


def test_blocksworld_s_prior_is_learned_from_training_scenes(tmp_path: Path) -> None:
    prior = prior_of(Workspace(cache=tmp_path, data="blocksworld"), 50)
    assert prior is not None
    assert prior("How many circles are there?") in {"1", "2", "3"}
    fewer = prior_of(Workspace(cache=tmp_path, data="blocksworld"), 3)
    assert fewer is not None and fewer.digest != prior.digest
    assert prior_of(Workspace(cache=tmp_path, data="coco"), 50) is None
