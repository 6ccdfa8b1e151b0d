"""The words that byte pairs are learnt from: what the records say, and every place in a picture."""

from __future__ import annotations

from cm3leon.train.plans import PLANS
from cm3leon.train.records import source
from cm3leon.train.words import texts
from cm3leon.vocab import trained_vocabulary

SOURCE = source("evalkit_tasks.blocksworld.training:training_record")


def test_every_place_in_a_picture_is_one_piece() -> None:
    vocabulary = trained_vocabulary(texts(SOURCE, 400, 64), PLANS["cpu"].pieces, 4, 1)
    for x in range(65):
        opened, across, y = vocabulary.encode(f" ({x}, {x}")[:2], vocabulary.encode(","), vocabulary.encode(f" {x}")
        assert vocabulary.encode(f" ({x}, {x}") == [*opened, *across, *y] and len(y) == 1 == len(opened) - 1


def test_what_records_say_is_all_there() -> None:
    told = list(texts(SOURCE, 8, 64))
    for number in range(8):
        record = SOURCE(number)
        assert {f" {caption}" for caption in record.captions()} <= set(told)
        assert all(f" {question} {answer}" in told for question, answer in record.questions(4))
        assert all(
            any(text.startswith(f" {label} at location ({box[0]}, ") for text in told) for label, box in record.boxes()
        )
