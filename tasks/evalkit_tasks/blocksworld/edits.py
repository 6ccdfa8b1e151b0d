"""Edits of a scene: an instruction, and the scene before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np

from evalkit_tasks.blocksworld.draws import Draws
from evalkit_tasks.blocksworld.render import PIXELS, render
from evalkit_tasks.blocksworld.scene import (
    COLOURS,
    GROUNDS,
    STYLES,
    Background,
    Block,
    Scene,
    arranged,
    gap,
    is_held_out,
    is_well_made,
    looks,
    nearest_blocks,
    place,
)
from evalkit_tasks.blocksworld.shapes import SHAPES, SIZES, Size
from evalkit_tasks.blocksworld.truth import Inside
from evalkit_tasks.blocksworld.words import PLACES, Description, described, ground, reference, with_article

EditKind: TypeAlias = Literal["recolour", "move", "add", "remove", "replace", "background", "resize"]
EDIT_KINDS: tuple[EditKind, ...] = ("recolour", "move", "add", "remove", "replace", "background", "resize")

_MOST_BLOCKS = 5
_TRIES = 60


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: what is asked, and the scenes before and after it."""

    kind: EditKind
    instruction: str
    source: Scene
    target: Scene


_Change: TypeAlias = tuple[str, Scene]
_Maker: TypeAlias = Callable[[Scene, Draws], _Change | None]


def edit(source: Scene, seed: int, kinds: Sequence[EditKind] = EDIT_KINDS) -> Edit | None:
    """Return an edit of `source` of one of `kinds`, or None where none was found; another `seed` makes another.

    Every block that is not spoken of stays as it is. The target is held out if the source is, so that some kinds have
    no edit of some scenes.
    """
    draws = Draws("edit", seed)
    for kind in draws.shuffled(kinds):
        for _ in range(_TRIES):
            change = _CHANGES[kind](source, draws)
            if change is not None and is_held_out(change[1]) == is_held_out(source) and is_well_made(change[1]):
                return Edit(kind, change[0], source, change[1])
    return None


def _with(source: Scene, old: Block, new: Block) -> Scene:
    return arranged([new if block is old else block for block in source.blocks], source.background)


def _picked(source: Scene, draws: Draws, *avoid: str) -> tuple[Block, str] | None:
    """Return a block and how to speak of it."""
    block = draws.one_of(source.blocks)
    found = reference(block, source.blocks, draws, frozenset(avoid))
    return None if found is None else (block, found.the())


def _recolour(source: Scene, draws: Draws) -> _Change | None:
    picked = _picked(source, draws)
    if picked is None:
        return None
    block, named = picked
    colour = draws.one_of([other for other in COLOURS if other != block.colour])
    form = draws.one_of(
        (
            "make {named} {colour}",
            "change the color of {named} to {colour}",
            "turn {named} {colour}",
            "paint {named} {colour}",
        )
    )
    return _asked(form.format(named=named, colour=colour)), _with(source, block, replace(block, colour=colour))


def _move(source: Scene, draws: Draws) -> _Change | None:
    picked = _picked(source, draws)
    if picked is None:
        return None
    block, named = picked
    cell = draws.one_of([cell for cell in range(9) if divmod(cell, 3) != (block.row, block.column)])
    others = [other for other in source.blocks if other is not block]
    placed = place(draws, block, others, cell, apart=_is_spread_out(source))
    if placed is None:
        return None
    verb = draws.one_of(("move", "shift", "bring"))
    return _asked(f"{verb} {named} {_to(divmod(cell, 3))}"), _with(source, block, placed)


def _add(source: Scene, draws: Draws) -> _Change | None:
    cell = draws.below(9)
    placed = place(draws, looks(draws, source.blocks), source.blocks, cell, apart=_is_spread_out(source))
    if placed is None or len(source.blocks) == _MOST_BLOCKS:
        return None
    wanted = described(placed)
    noun = replace(wanted, texture=None if placed.texture == "solid" else placed.texture).one()
    target = arranged([*source.blocks, placed], source.background)
    return _asked(f"{draws.one_of(('add', 'put', 'draw'))} {noun}"), target


def _remove(source: Scene, draws: Draws) -> _Change | None:
    picked = _picked(source, draws)
    if picked is None or len(source.blocks) == 1:
        return None
    block, named = picked
    form = draws.one_of(("remove {named}", "delete {named}", "take {named} away", "erase {named}"))
    rest = [other for other in source.blocks if other is not block]
    return _asked(form.format(named=named)), arranged(rest, source.background)


def _replace(source: Scene, draws: Draws) -> _Change | None:
    picked = _picked(source, draws)
    if picked is None:
        return None
    block, named = picked
    shape = draws.one_of([other for other in SHAPES if other != block.shape])
    if draws.percent(50):
        form = draws.one_of(("turn {named} into {new}", "change {named} to {new}", "make {named} {new}"))
        new = replace(block, shape=shape)
        return _asked(form.format(named=named, new=Description(shape).one())), _with(source, block, new)
    colour = draws.one_of([other for other in COLOURS if other != block.colour])
    form = draws.one_of(("replace {named} with {new}", "swap {named} for {new}"))
    new = replace(block, shape=shape, colour=colour)
    return _asked(form.format(named=named, new=Description(shape, colour).one())), _with(source, block, new)


def _background(source: Scene, draws: Draws) -> _Change | None:
    new = Background(draws.one_of(GROUNDS), draws.one_of(STYLES))
    if new == source.background:
        return None
    looked = f"plain {new.colour}" if new.style == "plain" else with_article(f"{new.colour} gradient")
    looked = f"checkered {new.colour}" if new.style == "checkered" else looked
    form = draws.one_of(("make the background {looked}", "change the background to {looked}", "give it {ground}"))
    asked = form.format(looked=looked, ground=with_article(f"{'plain ' if new.style == 'plain' else ''}{ground(new)}"))
    return _asked(asked), arranged(source.blocks, new)


def _resize(source: Scene, draws: Draws) -> _Change | None:
    picked = _picked(source, draws, "size")
    if picked is None:
        return None
    block, named = picked
    size = draws.one_of([other for other in SIZES if other != block.size])
    return _asked(_sized(named, block.size, size, draws)), _with(source, block, replace(block, size=size))


def _sized(named: str, old: Size, new: Size, draws: Draws) -> str:
    """Return the wish for another size; a bare `bigger` only where one size is left to grow to."""
    if old == "medium":
        wish = ("bigger", "larger") if new == "large" else ("smaller",)
        return f"make {named} {draws.one_of(wish)}"
    form = draws.one_of(("make {named} {new}", "change the size of {named} to {new}", "resize {named} to {new}"))
    return form.format(named=named, new="medium-sized" if new == "medium" and form.startswith("make") else new)


def _asked(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _to(goal: tuple[int, int]) -> str:
    """Return a third of the picture as a goal; `to the right` alone would leave open how far."""
    return f"to the {PLACES[goal]}{' side' if goal in {(1, 0), (1, 2)} else ''}"


def _is_spread_out(source: Scene) -> bool:
    return all(gap(a, b) >= 0 for a, b in combinations(source.blocks, 2))


_CHANGES: dict[EditKind, _Maker] = {
    "recolour": _recolour,
    "move": _move,
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "background": _background,
    "resize": _resize,
}


def edit_mask(done: Edit, pixels: int = PIXELS) -> Inside:
    """Return the region `(pixels, pixels)` that an edit may change: outside it source and target are equal.

    It is where the edited block was and comes to be, or the whole background.
    """
    region: Inside = np.any(render(done.source, pixels) != render(done.target, pixels), axis=2)
    for block in set(done.source.blocks) ^ set(done.target.blocks):
        region |= nearest_blocks((block,), pixels) >= 0
    if done.kind == "background":
        region |= nearest_blocks(done.source.blocks, pixels) < 0
    return region
