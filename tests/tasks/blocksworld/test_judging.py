"""What holds of a picture and what became of an edit: faults by hand, then the truth behind generated scenes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from evalkit_tasks.blocksworld.captions import captions
from evalkit_tasks.blocksworld.composition import Composition, composition
from evalkit_tasks.blocksworld.edits import EDIT_KINDS, Edit, edit
from evalkit_tasks.blocksworld.judging import (
    Composed,
    Edited,
    Verdict,
    composed,
    edited,
    geneval,
    true_reading,
    verdict,
)
from evalkit_tasks.blocksworld.oracle import Reading
from evalkit_tasks.blocksworld.parser import claims_of
from evalkit_tasks.blocksworld.scene import STRATA, Background, Block, Scene, Stratum, arranged, scene

WHITE = Background("white", "plain")
CIRCLE = Block("circle", "red", "large", "striped", 43, 128)
STAR = Block("star", "blue", "small", "solid", 213, 128)


def shown(*blocks: Block, background: Background = WHITE) -> Reading:
    return true_reading(arranged(blocks, background))


def said(caption: str, *blocks: Block) -> Verdict:
    return verdict(claims_of(caption), shown(*blocks))


def right(found: Verdict) -> dict[str, list[bool]]:
    names = ("shape", "colour", "size", "texture", "place", "number", "relation", "background")
    return {name: held for name in names if (held := found.about(name))}  # type: ignore[arg-type]


@pytest.mark.parametrize("stratum", STRATA)
def test_all_that_a_true_caption_claims_holds(stratum: Stratum) -> None:
    for seed in range(150):
        drawn = scene(seed, stratum)
        for caption in captions(drawn, seed + 5):
            claims = claims_of(caption)
            found = verdict(claims, true_reading(drawn))
            assert all(map(all, right(found).values())), caption
            assert all(found.fits(thing) for thing in range(len(claims.things)))
            assert composed(claims, true_reading(drawn)).right


def test_each_wrong_word_is_one_wrong_attribute() -> None:
    truth = "A large striped red circle on the left and a small blue star on the right, on a white background."
    assert right(said(truth, CIRCLE, STAR)) == {
        "shape": [True, True],
        "colour": [True, True],
        "size": [True, True],
        "texture": [True],
        "place": [True, True],
        "background": [True],
    }
    for word, other, attribute in (
        ("circle", "ring", "shape"),
        ("red", "pink", "colour"),
        ("large", "medium-sized", "size"),
        ("striped", "dotted", "texture"),
        ("on the left", "at the top", "place"),
        ("white", "mint", "background"),
    ):
        found = right(said(truth.replace(word, other), CIRCLE, STAR))
        assert {name: held.count(False) for name, held in found.items() if not all(held)} == {attribute: 1}


def test_a_number_is_right_or_wrong_as_it_is_told() -> None:
    assert right(said("Two shapes.", CIRCLE, STAR)) == {"number": [True]}
    assert right(said("Three shapes: a circle and two stars.", CIRCLE, STAR)) == {
        "number": [False],
        "shape": [True, True, False],
    }


def test_nothing_stands_for_two_and_what_is_left_over_is_wrong() -> None:
    found = said("Two red circles.", CIRCLE)
    assert [block is None for block in found.shown] == [False, True]
    assert right(found) == {"shape": [True, False], "colour": [True, False]}
    assert not found.fits(1)
    assert right(said("A red circle.", *[])) == {"shape": [False], "colour": [False]}


def test_things_stand_for_the_blocks_that_make_most_of_them_right() -> None:
    # The order of telling does not matter, and one wrong colour does not shift all others.
    assert all(map(all, right(said("A blue star and a red circle.", CIRCLE, STAR)).values()))
    assert right(said("A pink star and a red circle.", CIRCLE, STAR))["colour"] == [False, True]
    # A place says more about which block is meant than size and texture do together.
    twins = (replace(CIRCLE, size="small", texture="solid"), replace(CIRCLE, x=213))
    found = said("A large striped circle on the left and a small solid circle on the right.", *twins)
    assert right(found) == {
        "shape": [True, True],
        "place": [True, True],
        "size": [False, False],
        "texture": [False, False],
    }


def test_a_relation_holds_if_any_of_the_like_blocks_stand_so() -> None:
    low, high = replace(CIRCLE, y=213), replace(CIRCLE, y=43)
    for text in ("A red circle above another red circle.", "A red circle below another red circle."):
        assert right(said(text, low, high))["relation"] == [True]
    three = (replace(CIRCLE, x=128, y=43), replace(CIRCLE, x=128, y=128), replace(STAR, x=213, y=128))
    assert right(said("A red circle to the left of a blue star, with a red circle.", *three))["relation"] == [True]
    assert right(said("A blue star to the left of a red circle, with a red circle.", *three))["relation"] == [False]
    assert right(said("A red circle to the left of a blue star.", CIRCLE))["relation"] == [False]


def test_what_hides_is_in_front_and_what_is_hidden_is_behind() -> None:
    near = Block("square", "green", "large", "solid", 60, 165)
    far = Block("circle", "red", "large", "solid", 43, 128)
    for text, holds in (
        ("A green square in front of a red circle.", True),
        ("A red circle behind a green square.", True),
        ("A green square behind a red circle.", False),
        ("A red circle in front of a green square.", False),
    ):
        assert right(said(text, near, far))["relation"] == [holds]
    apart = replace(near, x=213)
    assert right(said("A green square in front of a red circle.", apart, far))["relation"] == [False]


CAPTION = "A red circle on the left and a small blue star on the right, on a white background."


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((CIRCLE, STAR), Composed(True, True, True, True, True, True)),
        ((CIRCLE,), Composed(False, False, False, False, False, True)),
        ((CIRCLE, replace(STAR, shape="ring")), Composed(False, True, True, True, True, True)),
        ((CIRCLE, replace(STAR, colour="red")), Composed(True, False, True, True, True, True)),
        ((CIRCLE, STAR, replace(STAR, x=128)), Composed(True, True, False, True, True, True)),
        ((CIRCLE, replace(STAR, y=43)), Composed(True, True, True, False, True, True)),
        ((CIRCLE, replace(STAR, size="large")), Composed(True, True, True, True, False, True)),
        ((), Composed(False, False, False, False, False, True)),
    ],
)
def test_each_fault_of_a_picture_is_found(blocks: tuple[Block, ...], expected: Composed) -> None:
    found = composed(claims_of(CAPTION), shown(*blocks))
    assert found == expected
    assert found.right == (expected.objects and expected.colours and expected.count and expected.positions)


def test_only_what_a_caption_says_is_judged() -> None:
    elsewhere = shown(replace(CIRCLE, x=128, size="small"), background=Background("black", "checkered"))
    assert composed(claims_of("A red circle."), elsewhere) == Composed(True, True, True, None, None, None)
    assert composed(claims_of("A circle."), elsewhere).right
    assert composed(claims_of("Just one circle."), elsewhere).colours is None
    # "On a white background" leaves open whether it is plain.
    assert composed(claims_of("A circle on a black background."), elsewhere).background
    assert not composed(claims_of("A circle; the background is plain black."), elsewhere).background
    assert composed(claims_of("Two shapes, one red and one blue."), shown(STAR, CIRCLE)).right
    assert not composed(claims_of("Two shapes, both red."), shown(STAR, CIRCLE)).right
    assert not composed(claims_of("Two shapes, both red."), shown(CIRCLE)).objects
    assert composed(claims_of("A red circle to the left of a blue star."), shown(CIRCLE, STAR)).positions
    assert composed(claims_of("A blue star to the left of a red circle."), shown(CIRCLE, STAR)).positions is False


def test_genevals_tasks_are_asked_where_the_caption_is_of_them() -> None:
    both = shown(CIRCLE, STAR)
    assert geneval(claims_of("A red circle."), shown(CIRCLE)) == Composition(True, None, True, True, None, None)
    assert geneval(claims_of("A circle."), shown(CIRCLE, STAR)) == Composition(True, None, False, None, None, None)
    assert geneval(claims_of(CAPTION), both) == Composition(None, True, True, None, True, True)
    assert geneval(claims_of("A blue circle and a red star."), both) == Composition(None, True, True, None, None, False)
    assert geneval(claims_of("Two circles."), both) == Composition(None, None, False, None, None, None)
    assert geneval(claims_of("Two shapes, one red and one blue."), both) == Composition(
        None, None, True, None, None, None
    )


def test_genevals_tasks_agree_with_those_of_the_whole_scene() -> None:
    """A caption that names shapes and colours asks what its scene asks, but for the position."""
    scenes = [scene(seed, stratum) for stratum in STRATA for seed in range(40)]
    for asked, answered in zip(scenes, [*scenes[7:], *scenes[:7]], strict=True):
        for reading in (true_reading(asked), true_reading(answered)):
            found = geneval(claims_of(captions(asked, 1)[0]), reading)
            assert found == replace(composition(reading, asked), position=None)


SOURCE = arranged([CIRCLE, STAR], WHITE)


def changed(old: Block, new: Block | None) -> Scene:
    rest = [block for block in SOURCE.blocks if block is not old]
    return arranged(rest if new is None else [*rest, new], WHITE)


PINK = changed(CIRCLE, replace(CIRCLE, colour="pink"))
RAISED = changed(CIRCLE, replace(CIRCLE, y=43))
GONE = changed(CIRCLE, None)
RING = Block("ring", "green", "medium", "solid", 128, 43)
ADDED = arranged([*SOURCE.blocks, RING], WHITE)
BLACK = replace(SOURCE, background=Background("black", "gradient"))


@pytest.mark.parametrize(
    ("target", "answer", "expected"),
    [
        (PINK, PINK, Edited(True, True)),
        (PINK, SOURCE, Edited(False, True)),
        (PINK, changed(CIRCLE, replace(CIRCLE, colour="pink", shape="ring")), Edited(True, False)),
        (PINK, changed(CIRCLE, replace(CIRCLE, colour="pink", y=43)), Edited(True, False)),
        (PINK, changed(CIRCLE, replace(CIRCLE, colour="pink", x=50, y=120)), Edited(True, True)),
        (PINK, GONE, Edited(False, False)),
        (PINK, changed(STAR, replace(STAR, colour="pink")), Edited(False, False)),
        (PINK, replace(PINK, background=Background("white", "gradient")), Edited(True, False)),
        (RAISED, RAISED, Edited(True, True)),
        (RAISED, SOURCE, Edited(False, True)),
        (RAISED, changed(CIRCLE, replace(CIRCLE, y=60, x=60)), Edited(True, True)),
        (RAISED, changed(CIRCLE, replace(CIRCLE, y=43, size="small", texture="solid")), Edited(True, False)),
        (RAISED, arranged([*SOURCE.blocks, replace(CIRCLE, y=43)], WHITE), Edited(False, True)),
        (GONE, GONE, Edited(True, True)),
        (GONE, SOURCE, Edited(False, True)),
        (GONE, changed(STAR, None), Edited(False, False)),
        (GONE, arranged([STAR, replace(CIRCLE, x=128)], WHITE), Edited(True, False)),
        (GONE, arranged([], WHITE), Edited(True, False)),
        (ADDED, ADDED, Edited(True, True)),
        (ADDED, SOURCE, Edited(False, True)),
        (ADDED, arranged([*SOURCE.blocks, replace(RING, texture="dotted")], WHITE), Edited(True, True)),
        (ADDED, arranged([*SOURCE.blocks, replace(RING, x=213)], WHITE), Edited(False, True)),
        (ADDED, arranged([CIRCLE, RING], WHITE), Edited(True, False)),
        (BLACK, BLACK, Edited(True, True)),
        (BLACK, SOURCE, Edited(False, True)),
        (BLACK, replace(BLACK, background=Background("black", "plain")), Edited(False, True)),
        (BLACK, replace(GONE, background=BLACK.background), Edited(True, False)),
    ],
)
def test_what_was_asked_and_what_was_to_stay_are_judged_apart(target: Scene, answer: Scene, expected: Edited) -> None:
    assert edited(SOURCE, target, true_reading(answer)) == expected


def made_edits() -> Iterator[Edit]:
    for seed in range(10):
        for stratum in STRATA:
            for kind in EDIT_KINDS:
                found = edit(scene(20_000 + seed, stratum), seed, (kind,))
                if found is not None:
                    yield found


def test_the_true_target_succeeds_and_the_source_only_keeps() -> None:
    kinds = set()
    for done in made_edits():
        kinds.add(done.kind)
        assert edited(done.source, done.target, true_reading(done.target)) == Edited(True, True), done
        assert edited(done.source, done.target, true_reading(done.source)) == Edited(False, True), done
        empty = Reading((), done.target.background)
        assert not edited(done.source, done.target, empty).preserved
    assert kinds == set(EDIT_KINDS)
