"""Statistics of all answers: against scikit-learn, and the laws of their states and intervals."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from evalkit.errors import NotEnoughSamples, RunError, UsageError
from evalkit.interfaces import Scored
from evalkit.metrics.corpus import CorpusMetric
from evalkit.metrics.vqa.answerability import STATISTICS, Told, average_precision, f1, told_unanswerable
from evalkit.types import Estimate, Generation, Sample, Text, Unavailable

TOLD = st.lists(st.builds(Told, st.booleans(), st.booleans()), min_size=1, max_size=30)


@settings(deadline=None)  # scikit-learn takes its time on a busy machine
@given(TOLD)
def test_answerability_is_scikit_learn_s(told: list[Told]) -> None:
    truth, scores = [int(one.unanswerable) for one in told], [float(one.said) for one in told]
    if not any(truth):
        assert average_precision(told) is None
        assert f1(told) is None
        return
    assert average_precision(told) == pytest.approx(100 * average_precision_score(truth, scores), abs=1e-9)
    theirs = f1_score(truth, [score > 0.5 for score in scores], zero_division=0)
    assert f1(told) == pytest.approx(100 * theirs, abs=1e-9)


def scored(number: int, said: str, label: str) -> Scored:
    return Scored(Sample(str(number), (), (), (("answerable", label),)), Generation((Text(said),)))


def read(one: Scored) -> Told:
    return Told(("answerable", "0") in one.sample.strata, told_unanswerable(one))


def metric() -> CorpusMetric[Told]:
    return CorpusMetric("vizwiz-answerability", {"prompt": "none"}, read, STATISTICS)


ANSWERS = [scored(n, "Unanswerable. " if n % 3 == 0 else "cat", str(int(n % 2 == 0))) for n in range(24)]


def test_order_and_shards_change_nothing_and_intervals_hold_the_value() -> None:
    made = metric()
    whole = made.finish(made.update(made.start(), ANSWERS))
    shards = made.merge(made.update(made.start(), ANSWERS[::2]), made.update(made.start(), ANSWERS[1::2]))
    assert made.finish(shards) == whole
    for one in whole.estimates.values():
        assert isinstance(one, Estimate) and one.interval is not None
        assert one.interval.low <= one.value <= one.interval.high
        assert one.n == 24
    assert made.only(["answerability_f1"]).names == ("answerability_f1",)


def test_what_cannot_be_made_is_said() -> None:
    made = metric()
    with pytest.raises(NotEnoughSamples):
        made.finish(made.start())
    with pytest.raises(RunError, match="'0' was scored more than once"):
        made.finish(made.update(made.start(), [ANSWERS[0], ANSWERS[0]]))
    with pytest.raises(UsageError, match="did you mean 'answerability_ap'"):
        made.only(["answerability_app"])
    none = made.finish(made.update(made.start(), [scored(1, "cat", "1")]))
    assert isinstance(none.estimates["answerability_ap"], Unavailable)
    with pytest.raises(RunError, match="'7' holds 2 texts"):
        made.update(made.start(), [Scored(Sample("7", ()), Generation((Text("a"), Text("b"))))])
