"""Documents: the wording of every prompt, where slots stand, and where their words are told."""

from __future__ import annotations

import pytest

from cm3leon.documents import (
    MASKED,
    Document,
    Picture,
    Slot,
    captioning,
    editing,
    from_boxes,
    from_structure,
    ids_of,
    question_answering,
    retrieved,
    text_to_image,
)
from cm3leon.vocab import Vocabulary, trained_vocabulary

P, Q = Picture((1, 2)), Picture((3, 0))
OPEN = Picture()


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return trained_vocabulary(["a red star"], 270, codes=4, sentinels=2)


def told(document: Document, v: Vocabulary) -> str:
    """Return the ids of a document as people read them."""
    marks = v.marks
    names = {marks.eod: "|", marks.break_: "#", marks.span_end: "$"}
    names |= {token: f"<{i}>" for i, token in enumerate(marks.sentinels)}
    names |= {token: f"[{code}]" for code, token in enumerate(v.codes)}
    return "".join(names[token] if token in names else v.decode([token]) for token in ids_of(document, v))


CASES: list[tuple[Document, str]] = [
    (text_to_image(("A star.",), OPEN), "| A star.#"),
    (text_to_image(("A star.",), P), "| A star.#[1][2]|"),
    (text_to_image(MASKED, OPEN), "|<0>#"),
    (captioning(Slot(), P, described=True), "| Describe the given picture.<0>#[1][2]|<0>"),
    (captioning(Slot("A star."), P, described=False), "|<0>#[1][2]|<0> A star.$"),
    (question_answering([("Is it?", Slot())], P, 0), "| Question: Is it? Answer:<0>.#[1][2]|<0>"),
    (question_answering([("Is it?", Slot("no"))], P, 1), "| Question: Is it? The answer is<0>.#[1][2]|<0> no$"),
    (question_answering([("Is it?", Slot("no"))], P, 2), "| Question: Is it?\n<0>#[1][2]|<0> no$"),
    (
        question_answering([("A?", Slot("1")), ("B?", Slot("2"))], P, 0),
        "| Question: A? Answer:<0>. Question: B? Answer:<1>.#[1][2]|<0> 1$<1> 2$",
    ),
    (
        editing(P, ("Add a star.",), OPEN),
        "| Edit first image following the instruction#[1][2]# Add a star.#",
    ),
    (editing(P, MASKED, Q), "| Edit first image following the instruction#[1][2]#<0>#[3][0]|"),
    (
        from_structure("edges", P, ("A star.",), OPEN),
        "| Make high quality image from canny edge features#[1][2]# A star.#",
    ),
    (from_structure("segmentation", P, None, OPEN), "| Make high quality image from a segmentation map#[1][2]#"),
    (from_structure("depth", P, None, Q), "| Make high quality image from depth features#[1][2]#[3][0]|"),
    (
        from_boxes("a star", [("star", (1, 2, 13, 14)), ("ring", (0, 0, 5, 5))], OPEN),
        "| Generate high quality image of a star with segmentations star at location (1, 2) -> (13, 14), "
        "ring at location (0, 0) -> (5, 5)#",
    ),
    (
        from_boxes("", [("star", (1, 2, 13, 14))], OPEN),
        "| Generate high quality image with segmentations star at location (1, 2) -> (13, 14)#",
    ),
    ((*retrieved([("A ring.", Q)]), *text_to_image(("A star.",), OPEN)), "| A ring.#[3][0]# A star.#"),
]


@pytest.mark.parametrize(("document", "wanted"), CASES)
def test_a_document_reads_as_the_paper_has_it(vocabulary: Vocabulary, document: Document, wanted: str) -> None:
    assert told(document, vocabulary) == wanted


def test_more_slots_than_sentinels_are_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="2 sentinels"):
        ids_of(question_answering([(f"{i}?", Slot("1")) for i in range(3)], P, 0), vocabulary)


def test_two_open_slots_are_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="one slot"):
        ids_of(question_answering([("A?", Slot()), ("B?", Slot())], P, 0), vocabulary)


def test_an_open_picture_that_is_not_last_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="last"):
        ids_of(editing(OPEN, ("x",), Q), vocabulary)
