"""Which claims hold of a picture, and which of an edit's wishes were granted.

What is judged is a `Reading`: of a model's picture by the oracle, or of the truth behind a picture that a model spoke
of. A block is at a place if its centre lies in that third of the picture, just as captions and answers have it: what is
at the top left is not at the top.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from evalkit_tasks.blocksworld.composition import Composition, relative_position
from evalkit_tasks.blocksworld.oracle import ReadBlock, Reading
from evalkit_tasks.blocksworld.parser import Claims, Related
from evalkit_tasks.blocksworld.scene import Block, Scene, hides
from evalkit_tasks.blocksworld.words import Description, described

JUDGE = "blocksworld oracle"
JUDGE_VERSION = 1
"""Raised whenever the oracle or a judgement changes: a test holds the digest of their code."""

Attribute: TypeAlias = Literal["shape", "colour", "size", "texture", "place", "number", "relation", "background"]
ATTRIBUTES: tuple[Attribute, ...] = (
    "shape",
    "colour",
    "size",
    "texture",
    "place",
    "number",
    "relation",
    "background",
)
"""What a claim can be about, in the order that tables show."""

_WEIGHTS: tuple[tuple[Attribute, int], ...] = (
    ("shape", 16),
    ("colour", 16),
    ("place", 16),
    ("size", 1),
    ("texture", 1),
)
_RELATION_WEIGHT = 16
_FORCED = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which claims hold.

    `shown` is the read block that each described thing stands for, None where there was none left; `held` has each
    thing's named attributes, and `whole` the claims about the picture as a whole, each with whether it holds.
    """

    shown: tuple[ReadBlock | None, ...]
    held: tuple[tuple[tuple[Attribute, bool], ...], ...]
    whole: tuple[tuple[Attribute, bool], ...]

    def about(self, *attributes: Attribute) -> list[bool]:
        """Return whether each claim about one of these attributes holds."""
        every = (*(pair for held in self.held for pair in held), *self.whole)
        return [right for attribute, right in every if attribute in attributes]

    def fits(self, thing: int) -> bool:
        """Return whether thing number `thing` is there with all that is said of it."""
        return self.shown[thing] is not None and all(right for _, right in self.held[thing])


def true_reading(scene: Scene) -> Reading:
    """Return the reading that sees `scene` as it is."""
    blocks = (ReadBlock(b.shape, b.colour, b.size, b.texture, b.x, b.y, 1.0) for b in scene.blocks)
    return Reading(tuple(blocks), scene.background)


def verdict(claims: Claims, reading: Reading) -> Verdict:
    """Return which of `claims` hold of what was read.

    Each described thing stands for one read block and no two for the same: of all such pairings one is taken in which
    most shapes, colours, places and the relation are right and, of those, most sizes and textures.
    """
    blocks = reading.blocks
    pairs = _pairing(claims, blocks)
    shown = tuple(None if index is None else blocks[index] for index in pairs)
    held = tuple(_held(thing, block) for thing, block in zip(claims.things, shown, strict=True))
    whole: list[tuple[Attribute, bool]] = []
    if claims.total is not None:
        whole.append(("number", claims.total == len(blocks)))
    if claims.relation is not None:
        whole.append(("relation", _related(claims.relation, pairs, blocks)))
    if claims.ground is not None:
        whole.append(("background", claims.ground == reading.background.colour))
    if claims.style is not None:
        whole.append(("background", claims.style == reading.background.style))
    return Verdict(shown, held, tuple(whole))


def _held(thing: Description, block: ReadBlock | None) -> tuple[tuple[Attribute, bool], ...]:
    """Return each named attribute of `thing` with whether `block` has it."""
    found = Description() if block is None else described(block.block)
    return tuple(
        (attribute, getattr(thing, attribute) == getattr(found, attribute))
        for attribute, _ in _WEIGHTS
        if getattr(thing, attribute) is not None
    )


def _pairing(claims: Claims, blocks: Sequence[ReadBlock]) -> tuple[int | None, ...]:
    """Return which block each thing stands for: the best pairing, the claimed relation being tried on every pair."""
    worth = np.zeros((len(claims.things), len(blocks)))
    weights = dict(_WEIGHTS)
    for row, thing in enumerate(claims.things):
        for column, block in enumerate(blocks):
            worth[row, column] = sum(weights[attribute] for attribute, right in _held(thing, block) if right)
    tried = [_solved(worth)]
    relation = claims.relation
    if relation is not None:
        for a in range(len(blocks)):
            for b in range(len(blocks)):
                if a != b and _stands(relation, blocks[a], blocks[b]):
                    forced = worth.copy()
                    forced[relation.first, a] += _FORCED
                    forced[relation.second, b] += _FORCED
                    tried.append(_solved(forced))
    return max(tried, key=lambda pairs: _total(worth, pairs) + _RELATION_WEIGHT * _related(relation, pairs, blocks))


def _solved(worth: npt.NDArray[np.float64]) -> tuple[int | None, ...]:
    rows, columns = linear_sum_assignment(worth, maximize=True)
    found = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    return tuple(found.get(row) for row in range(len(worth)))


def _total(worth: npt.NDArray[np.float64], pairs: Sequence[int | None]) -> float:
    return float(sum(worth[row, column] for row, column in enumerate(pairs) if column is not None))


def _related(relation: Related | None, pairs: Sequence[int | None], blocks: Sequence[ReadBlock]) -> bool:
    """Return whether the two things of `relation` are there and stand so."""
    if relation is None:
        return False
    first, second = pairs[relation.first], pairs[relation.second]
    return first is not None and second is not None and _stands(relation, blocks[first], blocks[second])


def _stands(relation: Related, first: ReadBlock, second: ReadBlock) -> bool:
    """Return whether `first` stands to `second` as claimed: by GenEval's rule, or by what hides what."""
    if relation.standing == "in front of":
        return hides(first.block, second.block)
    if relation.standing == "behind":
        return hides(second.block, first.block)
    return relation.standing in relative_position(first, second)


@dataclass(frozen=True, slots=True)
class Composed:
    """Whether a picture shows what a caption says; None where the caption does not say.

    `objects`: each thing is there with its shape. `colours` and `positions` (places and relation) are right. `count`:
    there are as many blocks as the caption tells of. `looks`: sizes and textures are right. `background` is right.
    """

    objects: bool
    colours: bool | None
    count: bool
    positions: bool | None
    looks: bool | None
    background: bool | None

    @property
    def right(self) -> bool:
        """Whether objects, colours, count and positions are all right, as far as they are asked for."""
        return self.objects and self.count and self.colours is not False and self.positions is not False


def composed(claims: Claims, reading: Reading) -> Composed:
    """Return whether what was read shows what `claims` ask for."""
    found = verdict(claims, reading)
    return Composed(
        objects=None not in found.shown and all(found.about("shape")),
        colours=_all(found.about("colour")),
        count=len(reading.blocks) == claims.count,
        positions=_all(found.about("place", "relation")),
        looks=_all(found.about("size", "texture")),
        background=_all(found.about("background")),
    )


def _all(judged: Sequence[bool]) -> bool | None:
    return all(judged) if judged else None


def geneval(claims: Claims, reading: Reading) -> Composition:
    """Return GenEval's six judgements of what was read, of the caption's own claims alone.

    They are those of `composition`, with the caption in the place of a scene: `single` and `two` ask for shapes,
    `colours` and `colour_attribution` for a shape in its colour, wherever it is, and `position` for all that the
    caption says about where.
    """
    things = claims.things
    wanted = [thing.shape for thing in things]
    shapes = Counter(block.shape for block in reading.blocks)
    looks = {(block.shape, block.colour) for block in reading.blocks}
    named = None not in wanted
    coloured = named and all(thing.colour for thing in things)
    two = len(things) == 2 and named and wanted[0] != wanted[1]
    all_shapes = all(shape in shapes for shape in wanted)
    all_looks = all((thing.shape, thing.colour) in looks for thing in things)
    return Composition(
        single=all_shapes if named and claims.count == len(things) == 1 else None,
        two=all_shapes if two else None,
        counting=shapes == Counter(wanted) if named and things else len(reading.blocks) == claims.count,
        colours=all_looks if coloured and claims.count == len(things) == 1 else None,
        position=composed(claims, reading).positions,
        colour_attribution=all_looks if two and coloured and things[0].colour != things[1].colour else None,
    )


@dataclass(frozen=True, slots=True)
class Edited:
    """`done`: what was asked for is there. `preserved`: everything else is as it was, and nothing else came."""

    done: bool
    preserved: bool


def edited(source: Scene, target: Scene, reading: Reading) -> Edited:
    """Return whether what was read is `source` edited as `target` shows.

    What the instruction does not say stays as it was. Done: the changed block has what changed of it (a block that is
    added all that was said of it), a block that was removed or moved is not in its old place, or the background is the
    one asked for. Preserved: every other block has its shape, colour, size, texture and third of the picture, the
    changed one whatever did not change, the background is the old one, and no other block is there.
    """
    old = [block for block in source.blocks if block not in target.blocks]
    found = verdict(Claims(tuple(described(block) for block in target.blocks)), reading)
    done, preserved = _gone(old, target, reading), _nothing_else(found, old, reading)
    for block, held in zip(target.blocks, found.held, strict=True):
        if block in source.blocks:
            preserved = preserved and all(right for _, right in held)
        else:
            asked, kept = _wishes(block, old)
            done = done and all(right for attribute, right in held if attribute in asked)
            preserved = preserved and all(right for attribute, right in held if attribute in kept)
    same_ground = reading.background == target.background
    if source.background != target.background:
        return Edited(done and same_ground, preserved)
    return Edited(done, preserved and same_ground)


def _wishes(new: Block, old: Sequence[Block]) -> tuple[frozenset[Attribute], frozenset[Attribute]]:
    """Return which attributes of the changed block `new` were asked for, and which were to be kept.

    Of a block that is added all are asked for but the texture where it is solid, for then it is not said.
    """
    every = frozenset(attribute for attribute, _ in _WEIGHTS)
    if not old:
        return every - {"texture"} if new.texture == "solid" else every, frozenset()
    before, after = described(old[0]), described(new)
    asked = frozenset(attribute for attribute in every if getattr(before, attribute) != getattr(after, attribute))
    return asked, every - asked


def _look(block: Block) -> Description:
    return Description(block.shape, block.colour, place=(block.row, block.column))


def _gone(old: Sequence[Block], target: Scene, reading: Reading) -> bool:
    """Return whether no more blocks than in `target` look like the old ones, in their places."""
    for look in map(_look, old):
        seen = sum(look.fits(found.block) for found in reading.blocks)
        if seen > sum(look.fits(block) for block in target.blocks):
            return False
    return True


def _nothing_else(found: Verdict, old: Sequence[Block], reading: Reading) -> bool:
    """Return whether every read block stands for one of the target's, or is an old one that has not gone."""
    others = [block for block in reading.blocks if not any(block is shown for shown in found.shown)]
    return all(any(_look(gone).fits(other.block) for gone in old) for other in others)
