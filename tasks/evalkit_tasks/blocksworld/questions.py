"""Questions about a scene with the answers of ten people, in the words and types of VQAv2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal, TypeAlias

from evalkit_tasks.blocksworld.draws import Draws
from evalkit_tasks.blocksworld.scene import COLOURS, GROUNDS, Block, Scene, relation
from evalkit_tasks.blocksworld.shapes import SHAPES, SIZES
from evalkit_tasks.blocksworld.words import PLACES, RELATIONS, Description, at, described, plural, reference

AnswerType: TypeAlias = Literal["yes/no", "number", "other"]
Confidence: TypeAlias = Literal["yes", "maybe", "no"]

QUESTION_TYPES = (
    "how many",
    "is the",
    "is there",
    "is there a",
    "are there",
    "are there any",
    "are the",
    "what",
    "what is",
    "what color is the",
    "what is the",
    "what is the color of the",
    "where is the",
)
"""The question types of VQAv2 that occur: the longest one that a question starts with is its own."""

_SYNONYMS = {
    "gray": ("grey",),
    "purple": ("violet",),
    "cyan": ("light blue", "teal"),
    "pink": ("magenta",),
    "beige": ("tan",),
    "mint": ("light green",),
    "lavender": ("light purple",),
    "diamond": ("rhombus",),
    "cross": ("plus sign", "plus"),
    "ring": ("circle", "donut"),
    "middle": ("center",),
    "top left": ("upper left", "top left corner"),
    "top right": ("upper right", "top right corner"),
    "bottom left": ("lower left", "bottom left corner"),
    "bottom right": ("lower right", "bottom right corner"),
    "large": ("big",),
    "stripes": ("striped", "lines"),
    "dots": ("dotted", "polka dots"),
    "0": ("none", "zero"),
    "1": ("one",),
    "2": ("two",),
    "3": ("three",),
    "4": ("four",),
    "5": ("five",),
}

_KINDS: tuple[tuple[str, ...], ...] = (
    COLOURS,
    GROUNDS,
    SHAPES,
    SIZES,
    ("stripes", "dots"),
    tuple(PLACES.values()),
    ("yes", "no"),
    ("0", "1", "2", "3", "4", "5"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one annotator answered, and how sure they were."""

    answer: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its VQAv2 types, its true answer, and ten annotators' replies, most of them true."""

    text: str
    question_type: str
    answer_type: AnswerType
    answer: str
    replies: tuple[Reply, ...]


_TRIES = 400
_Asked: TypeAlias = tuple[str, str]
_Form: TypeAlias = Callable[[Scene, Draws], _Asked | None]


def questions(scene: Scene, seed: int, count: int = 4) -> tuple[Question, ...]:
    """Return `count` different questions about `scene`, fewer where it has no more; another `seed` asks others.

    Of eight questions three are answered by yes or no, two by a number, and three otherwise, as far as there are such.
    """
    draws = Draws("questions", seed)
    found: dict[str, Question] = {}
    turn, failed = draws.below(8), 0
    while len(found) < count and failed < len(_TURNS):
        answer_type = _TURNS[turn % 8]
        asked = _new(scene, draws, answer_type, found)
        turn, failed = turn + 1, failed + 1 if asked is None else 0
        if asked is not None:
            text, answer = asked
            found[text] = Question(text, question_type(text), answer_type, answer, _replies(answer, draws))
    return tuple(found.values())


def _new(scene: Scene, draws: Draws, answer_type: AnswerType, known: Collection[str]) -> _Asked | None:
    """Return a question of a type that is not `known`, or None where hundreds of tries found none."""
    for _ in range(_TRIES):
        asked = draws.one_of(_FORMS[answer_type])(scene, draws)
        if asked is not None and asked[0] not in known:
            return asked
    return None


def question_type(text: str) -> str:
    """Return the VQAv2 type of a question, `none of the above` where none fits.

    >>> question_type("What color is the star?")
    'what color is the'
    """
    words = text.lower().rstrip("?").split()
    fitting = [kind for kind in QUESTION_TYPES if words[: len(kind.split())] == kind.split()]
    return max(fitting, key=len, default="none of the above")


def _replies(answer: str, draws: Draws) -> tuple[Reply, ...]:
    """Return ten replies of which six or more are `answer`, the others its synonyms or mistakes."""
    misses = [other for kind in _KINDS if answer in kind for other in kind if other != answer]
    replies: list[Reply] = []
    for _ in range(10):
        chance = draws.below(100)
        given, sure = answer, 92
        if len([r for r in replies if r.answer != answer]) < 4 and chance < 16:
            other = _SYNONYMS.get(answer, ()) if chance < 10 else misses
            given, sure = (draws.one_of(other), 40) if other else (answer, 60)
        replies.append(Reply(given, "yes" if draws.percent(sure) else draws.one_of(("maybe", "maybe", "no"))))
    return tuple(replies)


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _some(scene: Scene, draws: Draws) -> Description:
    """Return one or two attributes of one block."""
    whole = described(draws.one_of(scene.blocks))
    shape, colour = Description(shape=whole.shape), Description(colour=whole.colour)
    both = Description(whole.shape, whole.colour)
    return draws.one_of((shape, colour, both, both, replace(shape, size=whole.size), replace(colour, size=whole.size)))


def _altered(scene: Scene, draws: Draws) -> Description:
    """Return a description like that of a block, which no block fits."""
    while True:
        near = _some(scene, draws)
        shape, colour = draws.one_of(SHAPES), draws.one_of(COLOURS)
        wrong = replace(near, shape=shape) if draws.percent(50) else replace(near, colour=colour)
        if not _count(scene, wrong):
            return wrong


def _count(scene: Scene, description: Description) -> int:
    return sum(description.fits(block) for block in scene.blocks)


def _the(scene: Scene, block: Block, draws: Draws, *avoid: str) -> str | None:
    """Return `the red star` in words that fit `block` alone, without the attributes in `avoid`."""
    found = reference(block, scene.blocks, draws, frozenset(avoid))
    return None if found is None else found.the()


def _there_is(scene: Scene, draws: Draws) -> _Asked:
    truth = draws.percent(50)
    description = _some(scene, draws) if truth else _altered(scene, draws)
    form = draws.one_of(("Is there {one}?", "Is there {one} in the picture?", "Are there any {many}?"))
    return form.format(one=description.one(), many=description.noun(2)), _yes(truth)


def _is_colour(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    named = _the(scene, block, draws, "colour")
    if named is None or named.startswith("the shape"):
        return None
    colour = block.colour if draws.percent(50) else draws.one_of(COLOURS)
    return f"Is {named} {colour}?", _yes(colour == block.colour)


def _is_looking(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    look = draws.one_of(("striped", "dotted", "small", "large"))
    named = _the(scene, block, draws, "size", "texture")
    return None if named is None else (f"Is {named} {look}?", _yes(look in {block.size, block.texture}))


def _is_placed(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    named = _the(scene, block, draws, "place")
    place = (block.row, block.column) if draws.percent(50) else draws.one_of(list(PLACES))
    truth = place == (block.row, block.column)
    if named is None or (not truth and Description(place=place).could_fit(block)):
        return None
    return f"Is {named} {at(place)}?", _yes(truth)


def _is_related(scene: Scene, draws: Draws) -> _Asked | None:
    related = [(a, b, found) for a, b in permutations(scene.blocks, 2) if (found := relation(a, b)) is not None]
    if not related:
        return None
    a, b, found = draws.one_of(related)
    if draws.percent(50):
        asked, truth = found, True
    else:
        asked, truth = relation(b, a) or found, False
    first, second = _the(scene, a, draws, "place"), _the(scene, b, draws, "place")
    if first is None or second is None:
        return None
    return f"Is {first} {RELATIONS[asked]} {second}?", _yes(truth)


def _is_larger(scene: Scene, draws: Draws) -> _Asked | None:
    if len({block.size for block in scene.blocks}) == 1:
        return None
    a, b = draws.shuffled(scene.blocks)[:2]
    first, second = _the(scene, a, draws, "size", "place"), _the(scene, b, draws, "size", "place")
    if first is None or second is None or a.size == b.size:
        return None
    return f"Is {first} {draws.one_of(('larger', 'bigger'))} than {second}?", _yes(a.side > b.side)


def _is_ground(scene: Scene, draws: Draws) -> _Asked:
    colour = scene.background.colour if draws.percent(50) else draws.one_of(GROUNDS)
    if draws.percent(25):
        return "Is the background checkered?", _yes(scene.background.style == "checkered")
    return f"Is the background {colour}?", _yes(colour == scene.background.colour)


def _are_same(scene: Scene, draws: Draws) -> _Asked | None:
    shapes = [shape for shape, count in Counter(block.shape for block in scene.blocks).items() if count > 1]
    if not shapes:
        return None
    shape = draws.one_of(shapes)
    colours = {block.colour for block in scene.blocks if block.shape == shape}
    return f"Are the {plural(shape, 2)} the same color?", _yes(len(colours) == 1)


def _how_many(scene: Scene, draws: Draws) -> _Asked:
    some = [_some(scene, draws) for _ in range(6)]
    several = [description for description in some if _count(scene, description) > 1]
    description = _altered(scene, draws) if draws.percent(15) else draws.one_of(several or some)
    many = description.noun(2)
    form = draws.one_of(("are there", "are in the picture", "do you see"))
    return f"How many {many} {form}?", str(_count(scene, description))


def _how_many_shapes(scene: Scene, draws: Draws) -> _Asked:
    blocks = scene.blocks
    return draws.one_of(
        (
            ("How many shapes are there?", str(len(blocks))),
            ("How many shapes are in the picture?", str(len(blocks))),
            ("How many different colors do the shapes have?", str(len({block.colour for block in blocks}))),
            ("How many of the shapes are striped?", str(sum(block.texture == "striped" for block in blocks))),
        )
    )


def _what_colour(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    named = _the(scene, block, draws, "colour")
    form = draws.one_of(("What color is {named}?", "What color is {named}?", "What is the color of {named}?"))
    return None if named is None else (form.format(named=named), block.colour)


def _what_ground(scene: Scene, draws: Draws) -> _Asked:
    return "What color is the background?", scene.background.colour


def _what_shape(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    found = reference(block, scene.blocks, draws, frozenset({"shape"}))
    if found is None:
        return None
    if found.place is not None and found.named() == 1:
        return f"What shape is {at(found.place)}?", block.shape
    return f"What shape is the {found.noun().replace('shape', 'object')}?", block.shape


def _where(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    named = _the(scene, block, draws, "place")
    return None if named is None else (f"Where is {named}?", PLACES[block.row, block.column])


def _what_size(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    named = _the(scene, block, draws, "size")
    return None if named is None else (f"What size is {named}?", block.size)


def _what_pattern(scene: Scene, draws: Draws) -> _Asked | None:
    block = draws.one_of(scene.blocks)
    named = _the(scene, block, draws, "texture")
    if named is None or block.texture == "solid":
        return None
    return f"What pattern is on {named}?", "stripes" if block.texture == "striped" else "dots"


def _what_is_beside(scene: Scene, draws: Draws) -> _Asked | None:
    if len(scene.blocks) != 2:
        return None
    a, b = draws.shuffled(scene.blocks)
    found, named = relation(a, b), _the(scene, b, draws, "place")
    return None if found is None or named is None else (f"What is {RELATIONS[found]} {named}?", a.shape)


_FORMS: dict[AnswerType, tuple[_Form, ...]] = {
    "yes/no": (
        _there_is,
        _there_is,
        _is_colour,
        _is_looking,
        _is_placed,
        _is_related,
        _is_larger,
        _is_ground,
        _are_same,
    ),
    "number": (_how_many, _how_many, _how_many, _how_many_shapes),
    "other": (
        _what_colour,
        _what_colour,
        _what_ground,
        _what_shape,
        _what_shape,
        _where,
        _what_size,
        _what_pattern,
        _what_is_beside,
    ),
}
_TURNS: tuple[AnswerType, ...] = ("yes/no", "other", "number", "other", "yes/no", "number", "other", "yes/no")
