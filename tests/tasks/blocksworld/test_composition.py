from __future__ import annotations

from dataclasses import replace

from evalkit_tasks.blocksworld.composition import Composition, composition, paired, relative_position
from evalkit_tasks.blocksworld.oracle import ReadBlock, Reading, read
from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import STRATA, Background, Block, Scene, arranged, scene

WHITE = Background("white", "plain")
CIRCLE = Block("circle", "red", "medium", "solid", 60, 128)
STAR = Block("star", "blue", "medium", "solid", 190, 128)
BOTH = arranged([CIRCLE, STAR], WHITE)


def reading(*blocks: Block) -> Reading:
    return Reading(tuple(ReadBlock(b.shape, b.colour, b.size, b.texture, b.x, b.y, 1.0) for b in blocks), WHITE)


def test_what_was_asked_for_passes_every_question_that_applies() -> None:
    assert composition(reading(CIRCLE), arranged([CIRCLE], WHITE)) == Composition(True, None, True, True, None, None)
    assert composition(reading(CIRCLE, STAR), BOTH) == Composition(None, True, True, None, True, True)


def test_each_fault_fails_its_own_question() -> None:
    swapped = reading(replace(CIRCLE, x=STAR.x), replace(STAR, x=CIRCLE.x))
    assert composition(swapped, BOTH) == Composition(None, True, True, None, False, True)
    recoloured = reading(replace(CIRCLE, colour="blue"), replace(STAR, colour="red"))
    assert composition(recoloured, BOTH) == Composition(None, True, True, None, False, False)
    missing = reading(CIRCLE)
    assert composition(missing, BOTH) == Composition(None, False, False, None, False, False)
    extra = reading(CIRCLE, STAR, replace(STAR, x=120))
    assert composition(extra, BOTH).counting is False
    assert composition(reading(replace(CIRCLE, colour="pink")), arranged([CIRCLE], WHITE)).colours is False


def test_positions_follow_the_published_rule() -> None:
    circle, star = reading(CIRCLE, STAR).blocks
    assert relative_position(circle, star) == {"left"}
    assert relative_position(star, circle) == {"right"}
    assert relative_position(replace(circle, x=190, y=20), star) == {"above"}
    assert relative_position(replace(circle, x=90, y=28), star) == {"left", "above"}
    # A tenth of both sides, 12 units, is taken off before anything counts.
    assert relative_position(replace(star, x=star.x + 12), star) == frozenset()


def test_pairs_prefer_the_nearer_and_the_more_alike() -> None:
    found = reading(replace(STAR, x=186), replace(CIRCLE, x=64))
    first, second = paired(found, BOTH)
    assert first is not None
    assert second is not None
    assert (first.shape, second.shape) == ("circle", "star")
    # The likeness outweighs some distance: each keeps its colour though the other is nearer.
    red, blue = replace(CIRCLE, x=100), replace(CIRCLE, x=120, colour="blue")
    crossed = paired(reading(replace(red, x=114), replace(blue, x=106)), arranged([red, blue], WHITE))
    assert [found and found.colour for found in crossed] == ["red", "blue"]
    assert paired(reading(replace(CIRCLE, x=120)), BOTH) == (None, None)
    assert paired(reading(), BOTH) == (None, None)


def test_the_oracle_finds_true_scenes_composed_as_asked() -> None:
    def failed(drawn: Scene) -> bool:
        judged = composition(read(render(drawn)), drawn)
        return False in {judged.single, judged.two, judged.counting, judged.colours, judged.colour_attribution}

    assert not [seed for stratum in STRATA[:2] for seed in range(30) if failed(scene(seed, stratum))]
