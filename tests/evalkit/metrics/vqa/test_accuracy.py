"""The VQA accuracy against the leave-one-out rule written out, on drawn and on real answers."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.metrics.vqa.accuracy import VqaScorer, leave_one_out
from evalkit.metrics.vqa.normaliser import vqa_protocol
from tests.evalkit.metrics.vqa import published_rules
from tests.evalkit.metrics.vqa.test_normaliser import TEXTS


def score(protocol: str, prediction: str, answers: Sequence[str]) -> float:
    return VqaScorer(vqa_protocol(protocol))("q", prediction, answers)


def test_accuracy_by_how_many_agree() -> None:
    answers = ["cat"] * 4 + ["dog"] * 3 + ["cow"] * 2 + ["pig"]
    expected = {"cat": 1.0, "dog": 0.9, "cow": 0.6, "pig": 0.3, "emu": 0.0}
    assert {said: score("vqa-official", said, answers) for said in expected} == expected


@given(st.integers(0, 12), st.integers(0, 12))
def test_closed_form_is_leave_one_out(matches: int, others: int) -> None:
    if matches + others == 0:
        return
    answers = ["x"] * matches + [f"other {i}" for i in range(others)]
    assert leave_one_out(matches, len(answers)) == pytest.approx(
        float(published_rules.accuracy("x", answers)), abs=1e-15
    )


@given(st.lists(TEXTS, min_size=1, max_size=3), st.lists(st.integers(0, 2), min_size=10, max_size=10), TEXTS)
def test_official_accuracy_is_that_of_the_published_rules(pool: list[str], picks: list[int], other: str) -> None:
    answers = [pool[pick % len(pool)] for pick in picks]
    for said in (*pool, other):
        expected = float(published_rules.accuracy(said, answers))
        assert score("vqa-official", said, answers) == pytest.approx(expected, abs=1e-15)


def test_answers_that_all_agree_are_compared_raw_by_the_official_protocol_alone() -> None:
    agreed = ["The Dog"] * 10
    assert [score(name, "dog", agreed) for name in ("vqa-official", "evalai", "lmms")] == [0, 1, 0]
    assert [score(name, "The Dog", agreed) for name in ("vqa-official", "evalai", "lmms")] == [1, 1, 0]
    plain = ["dog"] * 10
    assert [score(name, "The dog.", plain) for name in ("vqa-official", "evalai", "lmms")] == [0, 1, 1]


def test_answers_that_differ_only_in_blanks_at_their_ends_agree() -> None:
    assert score("vqa-official", "dog", ["Dog"] * 9 + ["Dog\n"]) == 0
    assert score("vqa-official", "dog", ["Dog"] * 9 + ["dog"]) == 1


@pytest.mark.parametrize("count", [0, 9, 11])
def test_wrong_number_of_annotators_names_the_question(count: int) -> None:
    with pytest.raises(DataError, match=f"question '42' has {count} answers and vqa-official needs 10"):
        VqaScorer(vqa_protocol("vqa-official"))("42", "x", ["y"] * count)


def test_earlier_answers_do_not_change_a_score() -> None:
    scorer = VqaScorer(vqa_protocol("lmms"))
    answers = ["one", "1", "two", "a dog", "dog", "DOG", "dog.", "x", "y", "z"]
    first = scorer("q", "the dog", answers)
    scorer("q", "dog", ["dog"] * 10)
    assert scorer("q", "the dog", answers) == first == 1.0


def test_real_answers_have_the_accuracy_of_the_published_rules(shared_data: Path) -> None:
    with gzip.open(shared_data / "vqa" / "vqa_annotatons_test.gzip") as stream:
        annotations = json.load(stream)["annotations"]
    draw, scorer = random.Random(0), VqaScorer(vqa_protocol("vqa-official"))
    assert len(annotations) == 2962
    for one in annotations:
        answers = [answer["answer"] for answer in one["answers"]]
        spoilt = draw.choice(["The {}.", "{}", "{}!", " {}\n", "{},000", "two {}"]).format(draw.choice(answers).upper())
        for said in (draw.choice(answers), spoilt, one["multiple_choice_answer"]):
            expected = float(published_rules.accuracy(said, answers))
            assert scorer(str(one["question_id"]), said, answers) == pytest.approx(expected, abs=1e-15)
