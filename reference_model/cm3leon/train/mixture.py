"""What the language stages read: documents of every job, drawn from prepared records.

Each document comes with the weight of each of its tokens in the loss. In pre-training every token weighs 1, as in CM3;
in fine-tuning only what the model is to answer weighs, words more than picture codes, because an answer is a word or
two and a picture many codes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from cm3leon.documents import (
    MASKED,
    Document,
    Picture,
    Segment,
    Slot,
    Structure,
    captioning,
    editing,
    from_boxes,
    from_structure,
    ids_of,
    question_answering,
    retrieved,
    text_to_image,
)
from cm3leon.objective import SpanLaw, Specials, draw_spans, mask
from cm3leon.train.shards import Codes, Prepared, Shards
from cm3leon.vocab import Vocabulary

WORD_SHARE = 1 / 16
"""Weight of a token of an answer in words as a share of a picture's, whose codes have 1 each."""
MASKED_SHARE = 0.1
"""Share of wishes whose text is taken away, so that there is a stream without it to guide against."""
MOST_QUESTIONS = 8
_STRATA = 3

Neighbours: TypeAlias = Sequence[Sequence[int]]
"""For each record the numbers of the records that retrieval finds for it."""


@dataclass(frozen=True, slots=True)
class Example:
    """One document's ids, and the weight of predicting each of them."""

    kind: str
    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Mixture:
    """Documents by number: the same number always gives the same document."""

    shards: Shards
    vocabulary: Vocabulary
    shares: dict[str, float]
    """How often each kind comes: `pair` in pre-training, the others (see `_KINDS`) in fine-tuning."""
    neighbours: Neighbours | None = None
    retrieval_share: float = 0.0
    """Share of pairs and wishes that one or two retrieved documents stand before."""
    seed: int = 0
    easy: int = 0
    """Documents, the first so many, that are of the first of the source's three strata, which has the least to tell."""

    def example(self, number: int) -> Example:
        """Return document `number`."""
        rng = random.Random(self.seed * 1_000_000_007 + number)
        document: Document | None = None
        kind = rng.choices(list(self.shares), list(self.shares.values()))[0]
        while document is None:
            place = rng.randrange(len(self.shards))
            if number < self.easy:
                place -= place % _STRATA
            document = _KINDS[kind](self.shards.record(place), rng)
        before: Document = ()
        if kind in _RETRIEVING and self.neighbours is not None and rng.random() < self.retrieval_share:
            before = self._retrieved(self.neighbours[place], rng)
        if kind == "pair":
            return self._hidden((*before, *document), rng)
        return self._asked(kind, before, document)

    def _retrieved(self, neighbours: Sequence[int], rng: random.Random) -> Document:
        found = rng.sample(list(neighbours), min(rng.choice((1, 2)), len(neighbours)))
        records = [self.shards.record(number) for number in found]
        return retrieved([(rng.choice(record.captions), _picture(record.picture)) for record in records])

    def _hidden(self, document: Document, rng: random.Random) -> Example:
        """Return a document with spans hidden as CM3 hides them; every token weighs 1."""
        marks = self.vocabulary.marks
        specials = Specials(marks.eod, marks.break_, marks.span_end, marks.sentinels)
        ids = ids_of(document, self.vocabulary)
        ids = mask(ids, draw_spans(ids, specials, _LAW, rng), specials).ids
        return Example("pair", ids, [1.0] * len(ids))

    def _asked(self, kind: str, before: Document, document: Document) -> Example:
        """Return a document in which only the last picture, or the words of the slots, weigh."""
        ids = ids_of((*before, *document), self.vocabulary)
        drawn = document[-1]
        cells = len(drawn.codes or ()) if isinstance(drawn, Picture) else 0
        if kind in _ANSWERED_IN_WORDS:
            asked = ids.index(self.vocabulary.marks.eod, 1) + 1
            return Example(kind, ids, [0.0] * asked + [WORD_SHARE * cells] * (len(ids) - asked))
        end = len(ids) - 1 - (ids[::-1].index(self.vocabulary.marks.eod))
        weights = [0.0] * (end - cells) + [1.0] * cells + [0.0] * (len(ids) - end)
        return Example(kind, ids, weights)


_LAW = SpanLaw(count="poisson", spans=1.0, whole_segments=0.7)


def _picture(codes: Codes) -> Picture:
    return Picture([int(code) for code in codes])


def _caption(record: Prepared, rng: random.Random) -> str:
    return rng.choice(record.captions)


def _wish(record: Prepared, rng: random.Random) -> Segment:
    return MASKED if rng.random() < MASKED_SHARE else (_caption(record, rng),)


def _pair(record: Prepared, rng: random.Random) -> Document:
    return text_to_image((_caption(record, rng),), _picture(record.picture))


def _text_to_image(record: Prepared, rng: random.Random) -> Document:
    return text_to_image(_wish(record, rng), _picture(record.picture))


def _captioning(record: Prepared, rng: random.Random) -> Document:
    return captioning(Slot(_caption(record, rng)), _picture(record.picture), rng.random() < 0.7)


def _questions(record: Prepared, rng: random.Random) -> Document:
    asked = rng.sample(record.questions, rng.randint(1, min(MOST_QUESTIONS, len(record.questions))))
    form = rng.choices((0, 1, 2), (0.7, 0.15, 0.15))[0]
    return question_answering([(q, Slot(a)) for q, a in asked], _picture(record.picture), form)


def _edit(record: Prepared, rng: random.Random) -> Document | None:
    if record.edited is None or record.instruction is None:
        return None
    instruction: Segment = MASKED if rng.random() < MASKED_SHARE else (record.instruction,)
    return editing(_picture(record.picture), instruction, _picture(record.edited))


def _from(kind: Structure, record: Prepared, rng: random.Random) -> Document | None:
    shown = {"edges": record.edges, "depth": record.depth, "segmentation": record.segmentation}[kind]
    if shown is None:
        return None
    caption = _wish(record, rng) if rng.random() < 0.6 else None
    return from_structure(kind, _picture(shown), caption, _picture(record.picture))


def _boxes(record: Prepared, rng: random.Random) -> Document:
    boxes = list(record.boxes)
    rng.shuffle(boxes)
    caption = _caption(record, rng) if rng.random() < 0.4 else ""
    return from_boxes(caption, boxes, _picture(record.picture))


_KINDS: dict[str, Callable[[Prepared, random.Random], Document | None]] = {
    "pair": _pair,
    "text-to-image": _text_to_image,
    "captioning": _captioning,
    "vqa": _questions,
    "editing": _edit,
    "edges": partial(_from, "edges"),
    "depth": partial(_from, "depth"),
    "segmentation": partial(_from, "segmentation"),
    "boxes": _boxes,
}
_ANSWERED_IN_WORDS = frozenset({"captioning", "vqa"})
_RETRIEVING = frozenset({"pair", "text-to-image"})
