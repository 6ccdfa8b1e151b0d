from __future__ import annotations

import re

import pytest

from evalkit_tasks.blocksworld.captions import captions, place_caption, terse_caption
from evalkit_tasks.blocksworld.draws import Draws
from evalkit_tasks.blocksworld.scene import STRATA, Background, Block, Stratum, arranged, scene
from evalkit_tasks.blocksworld.words import Description, at, counted, listed, plural, reference, with_article

WHITE = Background("white", "plain")
RED = Block("circle", "red", "large", "solid", 40, 128)
BLUE = Block("star", "blue", "small", "solid", 210, 128)


@pytest.mark.parametrize("stratum", STRATA)
def test_five_captions_name_every_attribute_between_them(stratum: Stratum) -> None:
    for seed in range(40):
        drawn = scene(seed, stratum)
        text = " ".join(captions(drawn, seed))
        for block in drawn.blocks:
            for word in (block.shape, block.colour, block.size, block.texture):
                assert word in text
            assert at((block.row, block.column)) in text
        assert drawn.background.colour in text
        if drawn.background.style != "plain":
            assert drawn.background.style in text


@pytest.mark.parametrize("stratum", STRATA)
def test_captions_are_sentences(stratum: Stratum) -> None:
    for seed in range(100):
        for caption in captions(scene(seed, stratum), seed):
            assert re.fullmatch(r"[A-Z][a-z0-9 ,;:-]+\.", caption), caption
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]| {2}|\bis two|\bare an? ", caption), caption


def test_captions_are_fixed_by_scene_and_seed_and_vary_with_it() -> None:
    drawn = scene(3, "medium")
    assert captions(drawn, 1) == captions(drawn, 1)
    assert len({captions(drawn, seed)[0] for seed in range(30)}) >= 4


def test_like_things_are_counted_together() -> None:
    drawn = arranged([RED, Block("circle", "red", "small", "solid", 128, 40), BLUE], WHITE)
    found = {terse_caption(drawn, Draws("test", n)) for n in range(40)}
    assert any("two red circles" in caption for caption in found)
    assert not any("a red circle" in caption.lower() for caption in found)


def test_a_plain_relation_is_told_from_both_sides() -> None:
    found = {place_caption(arranged([RED, BLUE], WHITE), Draws("test", n)) for n in range(60)}
    assert "A red circle to the left of a blue star." in found
    assert "A blue star to the right of a red circle." in found
    assert not any("circle to the right" in caption for caption in found)


def test_what_hides_something_is_in_front_of_it() -> None:
    near = Block("square", "green", "large", "solid", 50, 165)
    found = {place_caption(arranged([RED, near], WHITE), Draws("test", n)) for n in range(60)}
    assert "A green square in front of a red circle." in found
    assert "A red circle behind a green square." in found
    assert not any("square behind" in caption or "above" in caption for caption in found)


def test_words_agree() -> None:
    assert with_article("orange star") == "an orange star"
    assert plural("cross", 2) == "crosses"
    assert counted(Description("cross", "red"), 3) == "three red crosses"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_a_reference_fits_its_block_alone() -> None:
    for seed in range(200):
        blocks = scene(seed, "hard").blocks
        for block in blocks:
            found = reference(block, blocks, Draws("test", seed))
            if found is not None:
                assert [b for b in blocks if found.fits(b)] == [block]


def test_a_side_is_no_reference_where_a_corner_lies_on_it_too() -> None:
    left, top_left = Block("star", "red", "large", "solid", 50, 128), Block("star", "red", "large", "solid", 50, 50)
    side = Description("star", place=(1, 0))
    assert not side.fits(top_left)
    assert side.could_fit(top_left)
    assert reference(left, (left, top_left), Draws("test", 0)) is None
    assert reference(top_left, (left, top_left), Draws("test", 0)) is not None
