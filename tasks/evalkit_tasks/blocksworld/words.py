"""The words for blocks, places and backgrounds that captions, questions and edits share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from evalkit_tasks.blocksworld.draws import Draws
from evalkit_tasks.blocksworld.scene import Background, Block, Colour, Relation
from evalkit_tasks.blocksworld.shapes import Shape, Size, Texture

NUMBERS = ("no", "one", "two", "three", "four", "five")

PLACES: dict[tuple[int, int], str] = {
    (0, 0): "top left",
    (0, 1): "top",
    (0, 2): "top right",
    (1, 0): "left",
    (1, 1): "middle",
    (1, 2): "right",
    (2, 0): "bottom left",
    (2, 1): "bottom",
    (2, 2): "bottom right",
}
"""Names of the thirds of the picture by row and column."""

RELATIONS: dict[Relation, str] = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}


@dataclass(frozen=True, slots=True)
class Description:
    """Some attributes of a block; None stands for one that is not named. `place` is a row and a column of thirds."""

    shape: Shape | None = None
    colour: Colour | None = None
    size: Size | None = None
    texture: Texture | None = None
    place: tuple[int, int] | None = None

    def fits(self, block: Block) -> bool:
        """Return whether `block` has every attribute that is named."""
        return (
            self.shape in {None, block.shape}
            and self.colour in {None, block.colour}
            and self.size in {None, block.size}
            and self.texture in {None, block.texture}
            and self.place in {None, (block.row, block.column)}
        )

    def could_fit(self, block: Block) -> bool:
        """Return whether someone might say it of `block`: what is at the top left is also at the top."""
        loose = self.place in {(0, 1), (1, 0), (1, 2), (2, 1)}
        if self.place is None or not loose:
            return self.fits(block)
        row, column = self.place
        return replace(self, place=None).fits(block) and (block.row == row if column == 1 else block.column == column)

    def named(self) -> int:
        """Return how many attributes are named."""
        return sum(part is not None for part in (self.shape, self.colour, self.size, self.texture, self.place))

    def noun(self, count: int = 1) -> str:
        """Return it without an article, `large striped red circles at the top left`; `count` decides the number."""
        size = "medium-sized" if self.size == "medium" else self.size
        words: list[str] = [word for word in (size, self.texture, self.colour) if word is not None]
        words.append(plural(self.shape or "shape", count))
        if self.place is not None:
            words.append(at(self.place))
        return " ".join(words)

    def one(self) -> str:
        """Return it with the indefinite article: `an orange star`."""
        return with_article(self.noun())

    def the(self) -> str:
        """Return it with the definite article: `the orange star`."""
        return f"the {self.noun()}"


def described(block: Block) -> Description:
    """Return the description that names everything about `block`."""
    return Description(block.shape, block.colour, block.size, block.texture, (block.row, block.column))


def with_article(noun: str) -> str:
    """Return `noun` behind `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str, count: int) -> str:
    """Return `noun` in the number that `count` asks for.

    >>> plural("cross", 2), plural("star", 1), plural("star", 0)
    ('crosses', 'star', 'stars')
    """
    if count == 1:
        return noun
    return noun + ("es" if noun.endswith("s") else "s")


def at(place: tuple[int, int]) -> str:
    """Return a third of the picture with its preposition: `at the top left`, `on the right`, `in the middle`."""
    row, column = place
    preposition = "in" if (row, column) == (1, 1) else "on" if row == 1 else "at"
    return f"{preposition} the {PLACES[place]}"


def counted(description: Description, count: int) -> str:
    """Return `a red star` for one and `two red stars` for more."""
    return description.one() if count == 1 else f"{NUMBERS[count]} {description.noun(count)}"


def grouped(descriptions: Iterable[Description]) -> list[tuple[Description, int]]:
    """Return each different description with how often it comes, in order of first coming."""
    counts: dict[Description, int] = {}
    for description in descriptions:
        counts[description] = counts.get(description, 0) + 1
    return list(counts.items())


def listed(items: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def ground(background: Background) -> str:
    """Return `white background`, `checkered mint background` or `gray gradient background`."""
    if background.style == "gradient":
        return f"{background.colour} gradient background"
    return f"{'checkered ' if background.style == 'checkered' else ''}{background.colour} background"


def sentence(text: str) -> str:
    """Return `text` with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def reference(
    block: Block, blocks: Sequence[Block], draws: Draws, avoid: frozenset[str] = frozenset()
) -> Description | None:
    """Return a description that nobody would take for another block than `block`, in as few words as do, or one more.

    It names none of the attributes in `avoid` (`shape`, `colour`, `size`, `texture`, `place`); None where there is no
    such description.
    """
    found = [d for d in _partial(block, avoid) if sum(d.could_fit(other) for other in blocks) == 1]
    if not found:
        return None
    fewest = min(d.named() for d in found)
    return draws.one_of([d for d in found if d.named() <= fewest + 1])


def _partial(block: Block, avoid: frozenset[str]) -> Iterator[Description]:
    """Yield descriptions of `block` that a person might use: by shape or colour and more, or by the place alone."""
    parts = [name for name in ("shape", "colour", "size", "texture", "place") if name not in avoid]
    for length in range(1, len(parts) + 1):
        for kept in combinations(parts, length):
            if "shape" in kept or "colour" in kept or kept == ("place",):
                yield Description(
                    shape=block.shape if "shape" in kept else None,
                    colour=block.colour if "colour" in kept else None,
                    size=block.size if "size" in kept else None,
                    texture=block.texture if "texture" in kept else None,
                    place=(block.row, block.column) if "place" in kept else None,
                )
