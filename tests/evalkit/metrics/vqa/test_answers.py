"""The VQA metric: its laws as a `Metric`, its strata, its protocol, and its refusals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import stats
from evalkit.errors import DataError, NotEnoughSamples, RunError, UsageError
from evalkit.interfaces import AnyMetric, MetricResult, Scored
from evalkit.metrics.vqa.answers import ESTIMATES, VqaMetric
from evalkit.protocols import differences
from evalkit.types import Estimate, Generation, Sample, Text

QUESTIONS = [
    ("yes", ["yes"] * 10, "yes/no", "is the", "1"),
    ("no", ["yes"] * 10, "yes/no", "is the", "1"),
    ("2", ["two"] * 3 + ["3"] * 7, "number", "how many", "2"),
    ("a cat", ["cat"] * 2 + ["dog"] * 8, "other", "what", "3"),
    ("", ["cat"] * 9 + ["a"], "other", "what", "2"),
]
PERCENTS = [100.0, 0.0, 90.0, 60.0, 30.0]


def scored(name: str, said: str, people: Sequence[str], kind: str, start: str, picture: str) -> Scored:
    strata = (("answer_type", kind), ("question_type", start))
    sample = Sample(name, (), tuple(Text(answer) for answer in people), strata, picture)
    return Scored(sample, Generation((Text(said),)))


def asked() -> list[Scored]:
    return [scored(f"q{number}", *question) for number, question in enumerate(QUESTIONS)]


def metric(name: str = "vqa-official") -> VqaMetric:
    return VqaMetric(name, {"split": "val"})


def found(made: AnyMetric, *shards: Sequence[Scored]) -> MetricResult:
    made.prepare()
    state = made.start()
    for shard in shards:
        state = made.merge(state, made.update(made.start(), shard))
    return made.finish(state)


def estimate(result: MetricResult, name: str) -> Estimate:
    value = result.estimates[name]
    assert isinstance(value, Estimate)
    return value


def test_overall_and_strata_are_means_in_percent() -> None:
    result = found(metric(), asked())
    values = {name: estimate(result, name).value for name in result.estimates}
    assert values == pytest.approx(
        {
            "vqa_accuracy": 56,
            "vqa_accuracy[answer_type=number]": 90,
            "vqa_accuracy[answer_type=other]": 45,
            "vqa_accuracy[answer_type=yes/no]": 50,
            "vqa_accuracy[question_type=how many]": 90,
            "vqa_accuracy[question_type=is the]": 50,
            "vqa_accuracy[question_type=what]": 45,
        }
    )
    assert estimate(result, "vqa_accuracy[answer_type=other]").n == 2
    assert list(result.per_sample["vqa_accuracy"].values()) == pytest.approx(PERCENTS)


def test_interval_is_clustered_by_picture() -> None:
    result = found(metric(), asked())
    shares = [percent / 100 for percent in PERCENTS]
    expected = stats.rate_interval(sum(shares) / len(shares), shares, [question[-1] for question in QUESTIONS])
    interval = estimate(result, "vqa_accuracy").interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert estimate(result, "vqa_accuracy[answer_type=yes/no]").interval is None


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(len(QUESTIONS))), st.integers(0, len(QUESTIONS)))
def test_order_and_shards_change_no_bit(order: Sequence[int], cut: int) -> None:
    samples = [asked()[i] for i in order]
    assert found(metric(), samples[:cut], samples[cut:]) == found(metric(), asked())


def test_only_makes_what_was_asked() -> None:
    made: AnyMetric = metric()
    assert (made.estimator, made.names, made.backlog()) == ("mean", ESTIMATES, 0)
    some = found(made.only(["vqa_accuracy_by_answer_type"]), asked())
    assert {name.split("=")[0] for name in some.estimates} == {"vqa_accuracy[answer_type"}


def test_protocols_differ_between_normalisers_and_stand_on_the_estimates() -> None:
    official, lmms = (found(metric(name), asked()) for name in ("vqa-official", "lmms"))
    assert [one.digest for one in official.protocols] == [
        estimate(official, name).protocol for name in official.estimates
    ]
    assert set(differences(official.protocols[0], lmms.protocols[0])) == {"name", "normalised", "prediction_read"}


def test_fewer_questions_are_another_protocol() -> None:
    whole, part = found(metric(), asked()), found(metric(), asked()[:3])
    assert set(differences(whole.protocols[0], part.protocols[0])) == {"n_questions", "questions_digest"}


def test_empty_answers_count_and_are_told() -> None:
    assert estimate(found(metric(), asked()), "vqa_accuracy").warnings == ("1 of 5 answers are empty",)


def test_question_without_ten_answers_is_named() -> None:
    short = scored("q9", "x", ["x"] * 9, "other", "what", "1")
    with pytest.raises(DataError, match="question 'q9' has 9 answers"):
        found(metric(), [short])


def test_no_answers_are_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="no answer to score"):
        found(metric())


def test_question_scored_twice_is_an_error() -> None:
    with pytest.raises(RunError, match="'q0' was scored more than once"):
        found(metric(), asked(), asked()[:1])


def test_answer_of_no_text_is_an_error() -> None:
    silent = Scored(asked()[0].sample, Generation(()))
    with pytest.raises(RunError, match="'q0' holds 0 texts"):
        found(metric(), [silent])


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'vqa_accuracy'"):
        metric().only(["vqa_acuracy"])
    with pytest.raises(UsageError, match="did you mean 'lmms'"):
        VqaMetric("lmm", {})


def test_field_of_the_task_cannot_hide_one_of_the_metric() -> None:
    with pytest.raises(ValueError, match="annotators"):
        found(VqaMetric("evalai", {"annotators": 5}), asked())
