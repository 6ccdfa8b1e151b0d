"""Captions of a scene, as five people would write them.

Each of the five tells something else: what there is, how many, where, what it looks like, and everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

from evalkit_tasks.blocksworld.draws import Draws
from evalkit_tasks.blocksworld.scene import Block, Scene, hides, relation
from evalkit_tasks.blocksworld.words import (
    NUMBERS,
    RELATIONS,
    Description,
    at,
    counted,
    described,
    ground,
    grouped,
    listed,
    sentence,
)


def captions(scene: Scene, seed: int) -> tuple[str, str, str, str, str]:
    """Return five captions of `scene`; between them they name every attribute of every block and the background.

    In order: the shapes and colours, the number, the places, the looks (size and texture), and everything. Another
    `seed` gives other words.
    """
    draws = Draws("captions", seed)
    return (
        terse_caption(scene, draws),
        number_caption(scene, draws),
        place_caption(scene, draws),
        looks_caption(scene, draws),
        full_caption(scene, draws),
    )


def terse_caption(scene: Scene, draws: Draws) -> str:
    """Return a caption that names shapes and colours, such as `A red circle and two blue stars.`."""
    descriptions = [Description(b.shape, b.colour) for b in draws.shuffled(scene.blocks)]
    things = _things(descriptions)
    verb = _is(descriptions)
    form = draws.one_of(("{things}", "there {verb} {things}", "a picture of {things}", "an image with {things}"))
    return sentence(form.format(things=things, verb=verb))


def number_caption(scene: Scene, draws: Draws) -> str:
    """Return a caption that counts, such as `Three shapes on a mint background: two circles and a star.`."""
    count = len(scene.blocks)
    behind = ground(scene.background)
    if count == 1:
        only = Description(scene.blocks[0].shape, scene.blocks[0].colour)
        form = draws.one_of(("a single {only} on a {behind}", "one {only} on a {behind}", "just one {only}"))
        return sentence(form.format(only=only.noun(), behind=behind))
    things = grouped(Description(b.shape) for b in draws.shuffled(scene.blocks))
    shapes = listed([counted(*thing) for thing in things])
    if len(things) == 1:
        return sentence(f"{shapes}, {_colours(scene.blocks)}, on a {behind}")
    form = draws.one_of(
        (
            "{number} shapes on a {behind}: {shapes}",
            "{number} shapes, {colours}, on a {behind}",
            "{number} shapes: {shapes}",
            "{shapes} on a {behind}",
        )
    )
    return sentence(form.format(number=NUMBERS[count], behind=behind, shapes=shapes, colours=_colours(scene.blocks)))


def place_caption(scene: Scene, draws: Draws) -> str:
    """Return a caption that tells where things are, such as `A red circle to the left of a blue star.`."""
    plain = {b: Description(b.shape, b.colour) for b in scene.blocks}
    pairs = [(a, b, words) for a, b in permutations(scene.blocks, 2) if (words := _related(a, b)) is not None]
    if not pairs or draws.percent(40):
        return _each_at_its_place(scene.blocks, draws)
    a, b, words = draws.one_of(pairs)
    others = [plain[c] for c in scene.blocks if c not in {a, b}]
    start = f"{plain[a].one()} {words} {_another(plain[b], plain[a])}"
    if not others:
        return sentence(draws.one_of((start, f"there is {start}", start.replace(words, f"is {words}", 1))))
    end = _things(others)
    form = draws.one_of(("{start}, with {end}", "{start}; there {verb} also {end}", "{start}, along with {end}"))
    return sentence(form.format(start=start, end=end, verb=_is(others)))


def _related(a: Block, b: Block) -> str | None:
    """Return the words between `a` and `b`: a relation where it is plain, in front or behind where they overlap."""
    if hides(a, b):
        return "in front of"
    if hides(b, a):
        return "behind"
    found = relation(a, b)
    return None if found is None else RELATIONS[found]


def _another(description: Description, first: Description) -> str:
    return f"another {description.noun()}" if description == first else description.one()


def _each_at_its_place(blocks: Sequence[Block], draws: Draws) -> str:
    descriptions = [replace(described(b), size=None, texture=None) for b in draws.shuffled(blocks)]
    things = _things(descriptions)
    if len(descriptions) == 1 and draws.percent(50):
        only = descriptions[0]
        place = at((blocks[0].row, blocks[0].column))
        return sentence(f"{place} there is {replace(only, place=None).one()}")
    form = draws.one_of(("{things}", "there {verb} {things}", "a drawing of {things}"))
    return sentence(form.format(things=things, verb=_is(descriptions)))


def looks_caption(scene: Scene, draws: Draws) -> str:
    """Return a caption that tells what things look like, such as `A small red circle and a large striped star.`."""
    named = [replace(described(b), place=None) for b in draws.shuffled(scene.blocks)]
    if draws.percent(50):
        named = [replace(d, size=None if d.size == "medium" else d.size) for d in named]
    descriptions = [replace(d, texture=None if d.texture == "solid" else d.texture) for d in named]
    things = _things(descriptions)
    form = draws.one_of(("{things}", "{things} on a {behind}", "a {behind} with {things}", "a scene with {things}"))
    return sentence(form.format(things=things, behind=ground(scene.background)))


def full_caption(scene: Scene, draws: Draws) -> str:
    """Return a caption that names everything, the blocks from top to bottom."""
    descriptions = [described(b) for b in scene.blocks]
    things = _things(descriptions)
    behind = ground(scene.background)
    form = draws.one_of(
        (
            "on a {behind}, there {verb} {things}",
            "{things}, on a {behind}",
            "a picture of {things}, on a {behind}",
            "{things}; the background is {colour}",
        )
    )
    return sentence(form.format(behind=behind, verb=_is(descriptions), things=things, colour=_backdrop(scene)))


def _backdrop(scene: Scene) -> str:
    style, colour = scene.background.style, scene.background.colour
    return {"plain": f"plain {colour}", "gradient": f"a {colour} gradient", "checkered": f"checkered {colour}"}[style]


def _things(descriptions: Sequence[Description]) -> str:
    return listed([counted(description, count) for description, count in grouped(descriptions)])


def _is(descriptions: Sequence[Description]) -> str:
    """Return the verb that agrees with the first thing of the list."""
    return "is" if grouped(descriptions)[0][1] == 1 else "are"


def _colours(blocks: Sequence[Block]) -> str:
    """Return how many have each colour: `two red and one blue`, or `all red`."""
    counts: dict[str, int] = {}
    for block in blocks:
        counts[block.colour] = counts.get(block.colour, 0) + 1
    if len(counts) == 1:
        return f"all {blocks[0].colour}" if len(blocks) > 2 else f"both {blocks[0].colour}"
    return listed([f"{NUMBERS[count]} {colour}" for colour, count in counts.items()])
