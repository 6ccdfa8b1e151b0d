"""From a caption back to what it claims: blocks with their attributes, their number, a relation, the background.

Every caption of `captions.py` is understood whole. Of other sentences, such as a model's, what is recognised is claimed
and what is not makes `understood` False.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from evalkit_tasks.blocksworld.scene import COLOURS, GROUNDS, STYLES, Colour, Ground, Relation, Style
from evalkit_tasks.blocksworld.shapes import SHAPES, SIZES, TEXTURES, Shape, Size, Texture
from evalkit_tasks.blocksworld.words import NUMBERS, PLACES, RELATIONS, Description, plural

MAX_CAPTION = 1_000
"""Characters of a caption that are read; the longest of the shipped ones has under 400."""

Standing: TypeAlias = Relation | Literal["in front of", "behind"]


@dataclass(frozen=True, slots=True)
class Related:
    """That thing number `first` stands so to thing number `second`."""

    first: int
    standing: Standing
    second: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What a caption says.

    `things` describes one block each, in the order that they are told in. `total` is the number that a bare `three
    shapes` gives. `understood` says that every word was recognised and that something is claimed at all.
    """

    things: tuple[Description, ...] = ()
    total: int | None = None
    relation: Related | None = None
    ground: Ground | None = None
    style: Style | None = None
    understood: bool = False

    @property
    def count(self) -> int:
        """How many blocks there are said to be."""
        return len(self.things) if self.total is None else self.total


def claims_of(caption: str) -> Claims:
    """Return what `caption` claims.

    >>> claims = claims_of("Three shapes, two red and one blue, on a mint background.")
    >>> claims.total, [thing.noun() for thing in claims.things], claims.ground
    (3, ['red shape', 'red shape', 'blue shape'], 'mint')
    """
    text = " ".join(caption.lower().split())
    listener = _Listener(understood=len(text) <= MAX_CAPTION)
    for phrase in _PHRASE.finditer(text[:MAX_CAPTION]):
        listener.hear(phrase)
    return listener.claims()


def _any_of(words: Iterable[str]) -> str:
    """Return a verbose pattern for any of these words; of two that fit the longer one is tried first."""
    return f"(?:{'|'.join(sorted(words, key=len, reverse=True))})".replace(" ", "[ ]")


_NUMBERS: Mapping[str, int] = {word: number for number, word in enumerate(NUMBERS) if number > 0}
_COUNTS: Mapping[str, int] = {
    **dict.fromkeys(("a", "an", "single", "a single", "just one", "another"), 1),
    **_NUMBERS,
}
_SHAPES: Mapping[str, Shape] = {plural(shape, count): shape for shape in SHAPES for count in (1, 2)}
_SIZES: Mapping[str, Size] = {**{size: size for size in SIZES}, "medium-sized": "medium"}
_TEXTURES: Mapping[str, Texture] = {texture: texture for texture in TEXTURES}
_COLOURS: Mapping[str, Colour] = {colour: colour for colour in COLOURS}
_GROUNDS: Mapping[str, Ground] = {ground: ground for ground in GROUNDS}
_STYLES: Mapping[str, Style] = {style: style for style in STYLES}
_PLACES: Mapping[str, tuple[int, int]] = {word: place for place, word in PLACES.items()}
_STANDINGS: Mapping[str, Standing] = {
    **{words: relation for relation, words in RELATIONS.items()},
    "in front of": "in front of",
    "behind": "behind",
}
_FILLERS = (
    *("a", "an", "the", "there", "is", "are", "also", "with", "along", "and", "on", "of"),
    *("picture", "image", "drawing", "scene"),
)

_AT = rf"(?:at|in|on)[ ]the[ ]{_any_of(_PLACES)}\b(?![ ]of\b)"
_LOOK = _any_of((*_SIZES, *_TEXTURES, *_COLOURS))
_PHRASE = re.compile(
    rf"""
    (?P<thing>
        (?:(?P<count>{_any_of(_COUNTS)})[ ])?
        (?P<looks>(?:{_LOOK}[ ])*)
        (?P<noun>{_any_of((*_SHAPES, "shape", "shapes"))})\b
        (?:[ ](?P<at>{_AT}))?
    )
    | (?P<background>
        (?:(?P<before>checkered|plain)[ ])?(?P<ground>{_any_of(_GROUNDS)})(?P<after>[ ]gradient)?[ ]background\b
        | background[ ]is[ ](?:(?P<is_style>checkered|plain|a)[ ])?(?P<is_ground>{_any_of(_GROUNDS)})\b
          (?P<is_after>[ ]gradient\b)?
    )
    | (?P<coloured>(?P<many>{_any_of(("all", "both", *_NUMBERS))})[ ](?P<colour>{_any_of(_COLOURS)})\b)
    | (?P<standing>(?:{_any_of(_STANDINGS)})\b)
    | (?P<lone_place>{_AT})
    | (?P<filler>{_any_of(_FILLERS)}\b)
    | (?P<unknown>[^\s,;:.]+)
    """,
    re.VERBOSE,
)


@dataclass(slots=True)
class _Listener:
    """What has been claimed up to now.

    `group` is how many blocks the last thing without a colour stood for, and `uncoloured` which of them still have
    none; `standing` and `place` wait for the thing that they belong to.
    """

    things: list[Description] = field(default_factory=list)
    total: int | None = None
    relation: Related | None = None
    ground: Ground | None = None
    style: Style | None = None
    understood: bool = True
    group: int = 0
    uncoloured: list[int] = field(default_factory=list)
    standing: Standing | None = None
    place: tuple[int, int] | None = None

    def claims(self) -> Claims:
        """Return what has been claimed."""
        claimed = bool(self.things) or self.total is not None
        whole = self.understood and claimed and self.standing is None and self.place is None
        return Claims(tuple(self.things), self.total, self.relation, self.ground, self.style, whole)

    def hear(self, phrase: re.Match[str]) -> None:
        """Take in the next phrase."""
        if phrase["thing"]:
            self._thing(phrase)
        elif phrase["background"]:
            self._background(phrase)
        elif phrase["coloured"]:
            self._coloured(phrase["many"], _COLOURS[phrase["colour"]])
        elif phrase["standing"]:
            self._expect(self.things and self.standing is None and self.relation is None)
            self.standing = _STANDINGS[phrase["standing"]]
        elif phrase["lone_place"]:
            self._lone_place(_place(phrase["lone_place"]))
        elif phrase["unknown"]:
            self._expect(False)

    def _expect(self, fits: object) -> None:
        self.understood = self.understood and bool(fits)

    def _thing(self, phrase: re.Match[str]) -> None:
        count = _COUNTS[phrase["count"] or "a"]
        place = _place(phrase["at"]) if phrase["at"] else self.place
        described = replace(self._looks(phrase["looks"].split()), shape=_SHAPES.get(phrase["noun"]), place=place)
        if not phrase["at"]:
            self.place = None
        first = len(self.things)
        self.group, self.uncoloured = 0 if described.colour else count, []
        if described.named() == 0:
            self._expect(self.total is None)
            self.total = count
            return
        self.things += [described] * count
        self.uncoloured = list(range(first, first + count))
        if self.standing is not None and first > 0 and self.relation is None:
            self.relation = Related(first - 1, self.standing, first)
        self.standing = None

    def _looks(self, words: list[str]) -> Description:
        looks = Description()
        for word in words:
            if word in _SIZES:
                looks = replace(looks, size=_SIZES[word])
            elif word in _TEXTURES:
                looks = replace(looks, texture=_TEXTURES[word])
            else:
                looks = replace(looks, colour=_COLOURS[word])
        self._expect(looks.named() == len(words))
        return looks

    def _coloured(self, many: str, colour: Colour) -> None:
        """Give a colour to some blocks of the last group: `two red and one blue`, `all red`."""
        self._expect(self.group)
        for _ in range(_NUMBERS.get(many, self.group) if self.group else 0):
            if self.uncoloured:
                index = self.uncoloured.pop(0)
                self.things[index] = replace(self.things[index], colour=colour)
            else:
                self.things.append(Description(colour=colour))

    def _background(self, phrase: re.Match[str]) -> None:
        self._expect(self.ground is None)
        self.ground = _GROUNDS[phrase["ground"] or phrase["is_ground"]]
        gradient = phrase["after"] or phrase["is_after"]
        self.style = "gradient" if gradient else _STYLES.get(phrase["before"] or phrase["is_style"] or "")

    def _lone_place(self, place: tuple[int, int]) -> None:
        """Keep a place for the thing to come or, where there is one, give it to the last thing."""
        if not self.things:
            self.place = place
        else:
            self._expect(self.things[-1].place is None)
            self.things[-1] = replace(self.things[-1], place=self.things[-1].place or place)


def _place(words: str) -> tuple[int, int]:
    return _PLACES[words.split(" the ", 1)[1]]
