"""The texts that byte pairs are learnt from: all that the records say, in the wording of the prompts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from cm3leon.documents import FEATURES, spaced
from cm3leon.train.records import Source

_PROMPTS = (
    "Describe the given picture.",
    "Edit first image following the instruction",
    "Generate high quality image of with segmentations",
    "Question: Answer: The answer is",
    *(f"Make high quality image from {features}" for features in FEATURES.values()),
)


def texts(source: Source, records: int, pixels: int) -> Iterator[str]:
    """Yield the words of the first `records` records, and places in pictures of `pixels`, so that each is one piece."""
    for number in range(records):
        record = source(number)
        edit = record.edit()
        yield from (spaced(text) for text in (*_PROMPTS, *record.captions(), "" if edit is None else edit[0]))
        for question, answer in record.questions(4):
            yield f"{spaced(question)}{spaced(answer)}"
        for label, (x, y, width, height) in record.boxes():
            yield f" {label} at location ({x}, {y}) -> ({x + width}, {y + height}),"
    for place in range(pixels + 1):
        yield from repeat(f" ({place}, {place})", records // 4)
