"""What the model reads and writes, as documents: text and pictures with breaks between them, and slots to be filled.

A document is a row of segments. Its ids are

    <eod> segment <break> segment <break> ... <eod>

where a slot in the text is the mark `<sentinel:i>`, and its words stand behind the document:
`<sentinel:i> words <eoss>`. The CM3leon paper calls the first mark `<mask>` and the second `<infill>`. So the same
weights write a picture after its text, and an answer after the picture that the text before it speaks of.

The wording of the prompts is that of the paper's tables 4 and 5 (arXiv:2309.02591, appendix), word for word; the box
format is that of its figure 15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from cm3leon.vocab import Vocabulary

Structure: TypeAlias = Literal["edges", "depth", "segmentation"]

FEATURES: dict[Structure, str] = {
    "edges": "canny edge features",
    "depth": "depth features",
    "segmentation": "a segmentation map",
}
"""What the paper calls each map."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for words: known ones in training, none where the model is to find them."""

    words: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """The codes of a picture, row by row; none where the model is to draw it."""

    codes: Sequence[int] | None = None


Segment: TypeAlias = tuple[str | Slot, ...] | Picture
Document: TypeAlias = tuple[Segment, ...]
Box: TypeAlias = tuple[str, tuple[int, int, int, int]]
"""An object in words, and its left, top, right and bottom in pixels of the model's pictures."""

MASKED: Segment = (Slot(""),)
"""A text that was taken away: what the stream without guidance reads."""


def text_to_image(caption: Segment, picture: Picture) -> Document:
    """Return `caption <break> picture`."""
    return caption, picture


def captioning(caption: Slot, picture: Picture, described: bool) -> Document:
    """Return `Describe the given picture. caption <break> picture`, or the same without the first sentence."""
    return ("Describe the given picture.", caption) if described else (caption,), picture


def question_answering(asked: Sequence[tuple[str, Slot]], picture: Picture, form: int) -> Document:
    """Return `Question: q Answer: a. <break> picture`, with several questions one after the other.

    `form` 1 is `Question: q The answer is a.` instead, and 2 `Question: q [newline] a`.
    """
    text: list[str | Slot] = []
    for question, answer in asked:
        lead, tail = (("Answer:", ["."]), ("The answer is", ["."]), ("\n", []))[form]
        text += [f"Question: {question}{spaced(lead)}", answer, *tail]
    return tuple(text), picture


def editing(source: Picture, instruction: Segment, target: Picture) -> Document:
    """Return `Edit first image following the instruction <break> source <break> instruction <break> target`."""
    return ("Edit first image following the instruction",), source, instruction, target


def from_structure(kind: Structure, shown: Picture, caption: Segment | None, picture: Picture) -> Document:
    """Return `Make high quality image from ... <break> map <break> caption <break> picture`.

    Without a caption its segment is left out.
    """
    start: Document = ((f"Make high quality image from {FEATURES[kind]}",), shown)
    return (*start, picture) if caption is None else (*start, caption, picture)


def from_boxes(caption: str, boxes: Sequence[Box], picture: Picture) -> Document:
    """Return `Generate high quality image of caption with segmentations object at location ... <break> picture`.

    Without a caption, `of caption` is left out.
    """
    of = f" of {caption}" if caption else ""
    placed = ", ".join(f"{label} at location ({x0}, {y0}) -> ({x1}, {y1})" for label, (x0, y0, x1, y1) in boxes)
    return (f"Generate high quality image{of} with segmentations {placed}",), picture


def retrieved(found: Sequence[tuple[str, Picture]]) -> Document:
    """Return documents that were retrieved, to stand before a query: `text <break> picture` each."""
    return tuple(segment for text, picture in found for segment in ((text,), picture))


def ids_of(document: Document, vocabulary: Vocabulary) -> list[int]:
    """Return the ids of a whole document, the words of its slots told behind it.

    A slot whose words are empty is a mask that nothing tells. A slot or picture that is to be found must be the last
    thing: a document with a picture to be drawn ends where its codes begin, one with a slot to be filled behind
    `<sentinel:i>`.

    Raises:
        ValueError: more slots than there are sentinels, or more than one thing to be found.
    """
    marks = vocabulary.marks
    ids, slots = [marks.eod], list[tuple[int, str | None]]()
    for position, segment in enumerate(document):
        if position:
            ids.append(marks.break_)
        if isinstance(segment, Picture):
            if segment.codes is None:
                return _open_picture(ids, document, position)
            ids += vocabulary.image(segment.codes)
            continue
        for part in segment:
            if isinstance(part, str):
                ids += vocabulary.encode(spaced(part))
                continue
            if len(slots) == len(marks.sentinels):
                raise ValueError(f"a document has more slots than the {len(marks.sentinels)} sentinels; ask for less")
            sentinel = marks.sentinels[len(slots)]
            ids.append(sentinel)
            slots.append((sentinel, part.words))
    ids.append(marks.eod)
    return _with_slots(ids, slots, vocabulary)


def _open_picture(ids: list[int], document: Document, position: int) -> list[int]:
    if position + 1 != len(document):
        raise ValueError("a picture that is to be drawn must be the last segment")
    return ids


def _with_slots(ids: list[int], slots: Sequence[tuple[int, str | None]], vocabulary: Vocabulary) -> list[int]:
    for number, (sentinel, words) in enumerate(slots):
        if words == "":
            continue
        ids.append(sentinel)
        if words is None:
            if any(words is None for _, words in slots[number + 1 :]):
                raise ValueError("only one slot can be filled at a time")
            return ids
        ids += [*vocabulary.encode(spaced(words)), vocabulary.marks.span_end]
    return ids


def spaced(text: str) -> str:
    """Return `text` as it stands behind other text: with a space, unless it is punctuation or starts with white space.

    >>> spaced("a red star"), spaced(".")
    (' a red star', '.')
    """
    return text if not text or text[0] in ".,;:?! \n" else f" {text}"
