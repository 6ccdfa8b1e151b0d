from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import UsageError
from evalkit_tasks.blocksworld.draws import Draws, mixed
from evalkit_tasks.blocksworld.scene import (
    HELD_OUT_SEEDS,
    STRATA,
    Background,
    Block,
    Stratum,
    arranged,
    gap,
    hides,
    is_held_out,
    is_well_made,
    relation,
    scene,
    visible_shares,
)

SEEDS = st.integers(0, 10**12)
WHITE = Background("white", "plain")


def block(x: int, y: int, colour: str = "red") -> Block:
    return Block("square", "red" if colour == "red" else "blue", "large", "solid", x, y)


def test_mixing_is_the_published_splitmix64() -> None:
    # First outputs for seed 1234567 in the reference implementation's own test vector.
    state, found = 1234567, []
    for _ in range(3):
        state += 0x9E3779B97F4A7C15
        found.append(mixed(state))
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_fixed_by_purpose_and_number() -> None:
    assert [Draws("a", 1).below(1000) for _ in range(2)] == [Draws("a", 1).below(1000)] * 2
    assert len({Draws(p, n).below(10**9) for p in "ab" for n in range(50)}) == 100


@given(st.integers(1, 1000), SEEDS)
def test_draws_stay_within_bounds(n: int, seed: int) -> None:
    draws = Draws("bounds", seed)
    assert all(0 <= draws.below(n) < n for _ in range(20))
    assert sorted(draws.shuffled(range(n))) == list(range(n))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from(STRATA))
def test_every_scene_is_well_made_and_drawn_again_the_same(seed: int, stratum: Stratum) -> None:
    drawn = scene(seed, stratum)
    assert drawn == scene(seed, stratum)
    assert is_well_made(drawn)
    assert list(drawn.blocks) == sorted(drawn.blocks, key=lambda b: (b.y, b.x))
    assert is_held_out(drawn) == (seed < HELD_OUT_SEEDS)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_each_stratum_holds_what_it_says(seed: int) -> None:
    easy, medium, hard = (scene(seed, stratum).blocks for stratum in STRATA)
    assert len(easy) in {1, 2}
    assert len({(b.row, b.column) for b in easy}) == len(easy)
    assert len(medium) in {1, 2, 3}
    assert all(gap(a, b) >= 8 for blocks in (easy, medium) for a, b in combinations(blocks, 2))
    assert len(hard) in {4, 5}
    assert any(gap(a, b) < 0 for a, b in combinations(hard, 2))
    assert all(gap(a, b) >= 8 for a, b in combinations(hard, 2) if a.colour == b.colour)
    assert min(visible_shares(hard)) >= 0.6


def test_no_training_scene_is_described_as_a_held_out_one_is() -> None:
    def words(seed: int) -> tuple[object, ...]:
        drawn = scene(seed, "easy")
        looks = sorted((b.shape, b.colour, b.size, b.texture, b.row, b.column) for b in drawn.blocks)
        return (drawn.background, *looks)

    held = {words(seed) for seed in range(300)}
    assert not held & {words(HELD_OUT_SEEDS + index) for index in range(5000)}


def test_unknown_stratum_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="easy, medium, hard"):
        scene(1, "simple")  # type: ignore[arg-type]


def test_relation_needs_a_plain_direction() -> None:
    assert relation(block(60, 100), block(160, 110)) == "left"
    assert relation(block(160, 110), block(60, 100)) == "right"
    assert relation(block(100, 60), block(100, 200)) == "above"
    assert relation(block(100, 200), block(100, 60)) == "below"
    assert relation(block(60, 60), block(160, 160)) is None
    assert relation(block(100, 100), block(110, 100)) is None


def test_the_lower_block_is_nearer_and_hides_the_other() -> None:
    far, near = block(100, 100), block(120, 130, "blue")
    assert arranged([near, far], WHITE).blocks == (far, near)
    assert hides(near, far)
    assert not hides(far, near)
    # 15 of 20 columns and 12.5 of 20 rows overlap: 1 - .75 * .625 of the far block is seen.
    far_share, near_share = visible_shares((far, near))
    assert near_share == 1.0
    assert far_share == pytest.approx(1 - 0.75 * 0.625, abs=0.03)


def test_held_out_share_is_one_in_eight() -> None:
    count = sum(
        is_held_out(arranged([Block("star", "red", "large", "solid", x, y)], Background(g, s)))
        for x in (40, 128, 216)
        for y in (40, 128, 216)
        for g in ("white", "gray", "black", "beige", "mint", "lavender")
        for s in ("plain", "gradient", "checkered")
    )
    assert 8 <= count <= 34  # 162 descriptions: 20 expected, three standard deviations either way
