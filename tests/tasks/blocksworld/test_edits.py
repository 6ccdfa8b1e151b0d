from __future__ import annotations

import numpy as np
import pytest

from evalkit_tasks.blocksworld.edits import EDIT_KINDS, Edit, EditKind, edit, edit_mask
from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import HELD_OUT_SEEDS, STRATA, is_held_out, is_well_made, nearest_blocks, scene
from evalkit_tasks.blocksworld.words import at


def edits_of(kind: EditKind, first: int = HELD_OUT_SEEDS) -> list[Edit]:
    found = (edit(scene(seed, STRATA[seed % 3]), seed, (kind,)) for seed in range(first, first + 30))
    return [done for done in found if done is not None]


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_edits_keep_to_what_they_speak_of(kind: EditKind) -> None:
    found = edits_of(kind)
    assert len(found) >= 10
    for done in found:
        before, after = set(done.source.blocks), set(done.target.blocks)
        lost, won = before - after, after - before
        assert done.kind == kind
        assert (len(lost), len(won)) == {"add": (0, 1), "remove": (1, 0), "background": (0, 0)}.get(kind, (1, 1))
        assert (done.source.background == done.target.background) == (kind != "background")
        assert is_well_made(done.target)
        for a, b in zip(lost, won, strict=False):
            same = {name for name in ("shape", "colour", "size", "texture") if getattr(a, name) == getattr(b, name)}
            moved = (a.x, a.y) != (b.x, b.y)
            assert moved == (kind == "move")
            changed = {"shape", "colour", "size", "texture"} - same
            allowed = {"recolour": {"colour"}, "move": set(), "replace": {"shape", "colour"}, "resize": {"size"}}[kind]
            assert changed <= allowed
            assert changed or kind == "move"


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_outside_the_mask_nothing_changes_and_inside_something_does(kind: EditKind) -> None:
    for done in edits_of(kind):
        mask, before, after = edit_mask(done), render(done.source), render(done.target)
        assert np.array_equal(before[~mask], after[~mask])
        assert (before[mask] != after[mask]).any()


def test_the_mask_covers_all_of_the_block_that_changes() -> None:
    for kind in EDIT_KINDS[:5]:
        for done in edits_of(kind):
            for block in set(done.source.blocks) ^ set(done.target.blocks):
                assert edit_mask(done)[nearest_blocks((block,), 64) >= 0].all()


def test_a_new_background_is_masked_wherever_it_is_seen() -> None:
    for done in edits_of("background"):
        assert edit_mask(done)[nearest_blocks(done.source.blocks, 64) < 0].all()


def test_instructions_name_the_goal() -> None:
    for done in edits_of("recolour"):
        (won,) = set(done.target.blocks) - set(done.source.blocks)
        assert won.colour in done.instruction.split("the ", 1)[1]
    for done in edits_of("add"):
        (won,) = set(done.target.blocks) - set(done.source.blocks)
        for word in (won.shape, won.colour, won.size, at((won.row, won.column))):
            assert word in done.instruction
    for done in edits_of("background"):
        assert done.target.background.colour in done.instruction
        assert done.target.background.style in done.instruction


def test_instructions_are_sentences() -> None:
    for kind in EDIT_KINDS:
        for done in edits_of(kind):
            assert done.instruction[0].isupper()
            assert done.instruction.endswith(".")
            assert "  " not in done.instruction


def test_edits_stay_on_their_side_of_the_split() -> None:
    for first in (0, HELD_OUT_SEEDS):
        for done in edits_of("recolour", first):
            assert is_held_out(done.source) == is_held_out(done.target) == (first == 0)


def test_an_edit_that_no_scene_allows_is_none() -> None:
    alone = next(
        s for seed in range(HELD_OUT_SEEDS, HELD_OUT_SEEDS + 99) if len((s := scene(seed, "easy")).blocks) == 1
    )
    assert edit(alone, 0, ("remove",)) is None
    assert edit(alone, 0) == edit(alone, 0)
