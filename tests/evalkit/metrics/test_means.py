"""Means and pooled ratios of a judge's tallies: closed forms, intervals against the jackknife, the laws of a Metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit import stats
from evalkit.errors import NotEnoughSamples, RunError, UsageError
from evalkit.interfaces import AnyMetric, MetricResult, Scored
from evalkit.metrics.means import Judged, MeanMetric, Measure, Tally, ratios
from evalkit.protocols import differences
from evalkit.types import Estimate, Generation, Sample, Text, Unavailable

ANSWERS: dict[str, tuple[str, str, dict[str, Tally]]] = {
    "a": ("1", "easy", {"right": Tally(1), "boxes": Tally(1, 2), "red": Tally(4, 4), "blue": Tally(0, 0)}),
    "b": ("1", "hard", {"right": Tally(0), "boxes": Tally(3, 4), "red": Tally(1, 4), "blue": Tally(1, 2)}),
    "c": ("2", "hard", {"right": Tally(1), "boxes": Tally(0, 0), "red": Tally(0, 2), "blue": Tally(0, 2)}),
}
MEASURES = (
    Measure("right", by=("stratum",)),
    Measure("boxes", pooled=True),
    Measure("each_box", parts=("boxes",)),
    Measure("colours", unit="share", higher_is_better=None, pooled=True, parts=("red", "blue", "green")),
    Measure("never"),
)


def judge(scored: Scored) -> Mapping[str, Tally]:
    (text,) = scored.generation.parts
    assert isinstance(text, Text)
    return ANSWERS[text.text][2]


def asked(names: str = "abc") -> list[Scored]:
    return [
        Scored(Sample(name, (), strata=(("stratum", ANSWERS[name][1]),), cluster=ANSWERS[name][0]), said)
        for name in names
        for said in [Generation((Text(name),))]
    ]


def metric(*measures: Measure) -> MeanMetric:
    return MeanMetric("judge", {"prompt": "none"}, measures or MEASURES, judge)


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


def test_estimates_are_means_or_ratios_of_totals() -> None:
    result = found(metric(), asked())
    values = {name: one.value for name, one in result.estimates.items() if isinstance(one, Estimate)}
    assert values == pytest.approx(
        {
            "right": 2 / 3,
            "right[stratum=easy]": 1,
            "right[stratum=hard]": 1 / 2,
            "boxes": 4 / 6,
            "each_box": (1 / 2 + 3 / 4) / 2,
            "colours": (5 / 10 + 1 / 4) / 2,
        }
    )
    assert [estimate(result, name).n for name in ("right", "boxes", "colours")] == [3, 2, 3]


def test_each_sample_keeps_its_own_ratio() -> None:
    scores = found(metric(), asked()).per_sample
    assert scores["right"] == {"a": 1, "b": 0, "c": 1}
    assert scores["boxes"] == scores["each_box"] == pytest.approx({"a": 0.5, "b": 0.75})
    assert scores["colours"] == pytest.approx({"a": 1, "b": (1 / 4 + 1 / 2) / 2, "c": 0})
    assert "right_influence" not in scores
    # 2 samples of 6 boxes at R = 2/3: 2 (1 - 2 R) / 6 and 2 (3 - 4 R) / 6.
    assert scores["boxes_influence"] == pytest.approx({"a": -1 / 9, "b": 1 / 9})


def test_unasked_is_unavailable_and_never_a_zero() -> None:
    result = found(metric(), asked())
    assert result.estimates["never"] == Unavailable("none of the 3 answered samples asks for it")
    assert "never" not in result.per_sample


def test_a_share_has_the_clustered_wilson_interval_of_its_scores() -> None:
    expected = stats.rate_interval(2 / 3, [1, 0, 1], ["1", "1", "2"])
    interval = estimate(found(metric(), asked()), "right").interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert estimate(found(metric(), asked("ab")), "right").interval is None, "one cluster has no interval"


def test_a_mean_that_is_no_share_has_the_clustered_interval_of_its_scores() -> None:
    expected = stats.mean_interval([1, 0, 1], ["1", "1", "2"])
    interval = estimate(found(metric(Measure("right", unit="levels")), asked()), "right").interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def drawn(seed: int, clusters: int = 200) -> list[Judged]:
    """Samples in clusters of one to three, the ratio of a cluster's being alike, in two parts."""
    rng = np.random.default_rng(seed)
    judged = []
    for cluster in range(clusters):
        chance = rng.beta(4, 2)
        for number in range(rng.integers(1, 4)):
            of = rng.integers(0, 6, 2)
            got = rng.binomial(of, chance)
            tallies = {name: Tally(float(a), float(b)) for name, a, b in zip("xy", got, of, strict=True)}
            judged.append(Judged(f"{cluster}-{number}", str(cluster), (), tallies))
    return judged


@pytest.mark.parametrize("parts", [("x",), ("x", "y")])
@pytest.mark.parametrize("pooled", [True, False])
def test_the_standard_error_is_that_of_the_jackknife_over_clusters(parts: tuple[str, ...], pooled: bool) -> None:
    for seed in range(3):
        judged = drawn(seed)
        whole = ratios(judged, parts, pooled=pooled)
        assert whole is not None
        error = stats.clustered_standard_error(whole.influence, whole.clusters)
        without = [
            left.value
            for cluster in range(200)
            if (left := ratios([one for one in judged if one.cluster != str(cluster)], parts, pooled=pooled))
        ]
        assert error == pytest.approx(stats.jackknife_standard_error(np.array(without)), rel=0.03)
        assert float(whole.influence.mean()) == pytest.approx(0, abs=1e-12)


def test_the_influence_is_how_the_estimate_moves_without_a_sample() -> None:
    judged = drawn(7)
    whole = ratios(judged, ("x",), pooled=True)
    assert whole is not None
    for position in range(0, len(whole.ids), 37):
        left = ratios([one for one in judged if one.id != whole.ids[position]], ("x",), pooled=True)
        assert left is not None
        moved = (whole.value - left.value) * (len(whole.ids) - 1)
        assert moved == pytest.approx(float(whole.influence[position]), rel=0.02, abs=0.01)


@settings(deadline=None, max_examples=25)
@given(st.permutations("abc"), st.integers(0, 3))
def test_order_and_shards_change_no_bit(order: Sequence[str], cut: int) -> None:
    samples = asked("".join(order))
    assert found(metric(), samples[:cut], samples[cut:]) == found(metric(), asked())


def test_only_makes_what_was_asked() -> None:
    made: AnyMetric = metric()
    names = ("right", "right_by_stratum", "boxes", "each_box", "colours", "never")
    assert (made.estimator, made.names, made.backlog()) == ("mean", names, 0)
    some = found(made.only(["right_by_stratum", "colours"]), asked())
    assert list(some.estimates) == ["right[stratum=easy]", "right[stratum=hard]", "colours"]
    assert set(some.per_sample) == {"colours", "colours_influence"}
    with pytest.raises(UsageError, match="did you mean 'boxes'"):
        made.only(["boxs"])


def test_protocols_stand_on_the_estimates_and_hold_the_choices() -> None:
    result = found(metric(), asked())
    numbers = [one for one in result.estimates.values() if isinstance(one, Estimate)]
    assert [one.digest for one in result.protocols] == [one.protocol for one in numbers]
    assert {dict(one.fields)["prompt"] for one in result.protocols} == {"none"}
    assert [(one.unit, one.higher_is_better) for one in numbers[-2:]] == [("fraction", True), ("share", None)]
    pooled = {dict(one.fields)["statistic"]: dict(one.fields)["pooling"] for one in result.protocols}
    assert pooled["boxes"] != pooled["each_box"] == pooled["right"]


def test_fewer_samples_are_another_protocol_but_worse_answers_are_not() -> None:
    whole, part = found(metric(), asked()), found(metric(), asked("ab"))
    assert set(differences(whole.protocols[0], part.protocols[0])) == {"n_samples", "samples_digest"}
    # "c" has no boxes: another answer that has some is still judged under the same protocol.
    mute = [*asked("ab"), Scored(asked("c")[0].sample, Generation((Text("b"),)))]
    assert estimate(found(metric(), mute), "boxes").protocol == estimate(whole, "boxes").protocol


def test_no_answers_are_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="no answer to judge"):
        found(metric())


def test_a_sample_scored_twice_is_an_error() -> None:
    with pytest.raises(RunError, match="'a' was scored more than once"):
        found(metric(), asked("ab"), asked("a"))


def test_a_task_cannot_overwrite_the_metrics_own_fields() -> None:
    made = MeanMetric("judge", {"n_samples": 3}, MEASURES, judge)
    with pytest.raises(ValueError, match="n_samples"):
        found(made, asked())
