"""Laws of comparing two runs: what pairs, what is refused and why, and what the numbers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from evalkit import stats
from evalkit.comparison import ScoredRun, compare, compare_all, rank_tiers, seed_components
from evalkit.comparison.scored_run import scored_run
from evalkit.errors import DataError, NotComparable, UsageError
from evalkit.interfaces import Scored
from evalkit.metrics.captions.coco_caption import CaptionMetric
from evalkit.metrics.means import MeanMetric, Measure, Tally
from evalkit.protocols import protocol
from evalkit.results import Coverage, Run, SampleRecord
from evalkit.types import Estimate, Generation, Interval, Json, Sample, Text, Unavailable

N = 120


def record(i: int, scores: Mapping[str, float], failed: bool = False, prompt: str = "what?") -> SampleRecord:
    answer: tuple[Json, ...] | None = None if failed else ({"type": "Text", "text": "a"},)
    failure = ("exception", "no") if failed else None
    question: tuple[Json, ...] = ({"type": "Text", "text": f"{prompt} {i}"},)
    return SampleRecord(
        f"s{i}",
        str(i // 2),
        {"kind": "odd" if i % 2 else "even"},
        question,
        (),
        "k",
        i,
        False,
        0.0,
        answer,
        failure,
        scores,
    )


def run_of(
    estimates: Mapping[str, Estimate | Unavailable],
    records: Sequence[SampleRecord],
    fields: Mapping[str, str | int] | None = None,
    label: str = "run",
) -> ScoredRun:
    used = protocol("judge", {"resize": "bilinear", **(fields or {})})
    estimates = {n: replace(e, protocol=used.digest) if isinstance(e, Estimate) else e for n, e in estimates.items()}
    run = Run(
        "toy@1", label, "data", estimates, Coverage(len(records), len(records), 0, 0), (), {used.digest: used}, {}, {}
    )
    return scored_run(label, run, records)


def accuracy(right: Sequence[float], name: str = "accuracy", better: bool | None = True) -> dict[str, Estimate]:
    return {name: Estimate(float(np.mean(right)), len(right), "fraction", better, "")}


def answered(right: Sequence[float], label: str = "run", **fields: str | int) -> ScoredRun:
    records = [record(i, {"accuracy": value}) for i, value in enumerate(right)]
    return run_of(accuracy(right), records, {"n_samples": len(right), **fields}, label)


def coin(seed: int, chance: float, n: int = N) -> list[float]:
    return [float(draw < chance) for draw in np.random.default_rng(seed).random(n)]


def test_the_difference_is_the_paired_one_of_the_scores() -> None:
    a, b = coin(0, 0.5), coin(1, 0.7)
    (found,) = compare(answered(a), answered(b)).differences
    expected = stats.paired_difference(np.array(b) - np.array(a), [str(i // 2) for i in range(N)], span=1.0)
    assert found.difference == pytest.approx(expected.difference)
    assert found.interval == expected.interval
    assert (found.p, found.adjusted_p) == (expected.p, expected.p)
    assert (found.won, found.lost) == (
        sum(y > x for x, y in zip(a, b, strict=True)),
        sum(y < x for x, y in zip(a, b, strict=True)),
    )
    assert (found.n, found.clusters, found.better) == (N, N // 2, True)


def test_the_order_of_samples_does_not_matter() -> None:
    a, b = coin(0, 0.5), coin(1, 0.7)
    shuffled = run_of(
        accuracy(b), [record(i, {"accuracy": b[i]}) for i in np.random.default_rng(0).permutation(N)], {"n_samples": N}
    )
    (one,), (other,) = compare(answered(a), answered(b)).differences, compare(answered(a), shuffled).differences
    assert one.difference == pytest.approx(other.difference)
    assert one.p == pytest.approx(other.p)


def test_another_protocol_is_refused_and_the_field_named() -> None:
    found = compare(answered(coin(0, 0.5)), answered(coin(0, 0.5), resize="bicubic"))
    assert found.differences == ()
    assert found.incomparable[0].fields == {"resize": ("bilinear", "bicubic")}
    assert "resize: 'bilinear' against 'bicubic'" in found.incomparable[0].reason


def test_another_question_under_the_same_id_is_refused() -> None:
    right = coin(0, 0.5)
    other = run_of(
        accuracy(right), [record(i, {"accuracy": v}, prompt="why?") for i, v in enumerate(right)], {"n_samples": N}
    )
    found = compare(answered(right), other)
    assert found.differences == ()
    assert "120 samples of the same id, the first 's0'" in found.incomparable[0].reason


def test_a_mean_is_compared_on_the_samples_that_both_answered() -> None:
    a, b = coin(0, 0.5), coin(1, 0.6)
    short = [record(i, {"accuracy": b[i]}, failed=i < 20) for i in range(N)]
    fewer = run_of(accuracy(b[20:]), [replace(r, scores={}) if r.failure else r for r in short], {"n_samples": N - 20})
    found = compare(answered(a), fewer)
    assert found.differences[0].n == N - 20
    assert found.differences[0].baseline == pytest.approx(np.mean(a[20:]))
    assert found.only_baseline == tuple(f"s{i}" for i in range(20))


def test_a_number_of_the_whole_set_is_not_compared_on_a_part_of_it() -> None:
    def pooled(n: int) -> ScoredRun:
        records = [record(i, {"share_influence": 0.0}) for i in range(n)]
        return run_of(accuracy([1.0] * n, "share"), records, {"n_samples": n})

    (refused,) = compare(pooled(N), pooled(N - 10)).incomparable
    assert refused.fields == {"n_samples": (N, N - 10)}


def test_influences_give_the_difference_of_the_estimates_themselves() -> None:
    random = np.random.default_rng(0)

    def distance(value: float, seed: int) -> ScoredRun:
        moves = np.random.default_rng(seed).normal(size=N) * 0.1 + shared
        moves -= moves.mean()
        estimates = {"fid": Estimate(value, N, "squared distance", False, "")}
        return run_of(estimates, [record(i, {"fid_influence": m}) for i, m in enumerate(moves)])

    shared = random.normal(size=N)
    (found,) = compare(distance(30.0, 1), distance(31.0, 2)).differences
    assert found.difference == pytest.approx(1.0)
    assert found.better is False
    assert (found.won, found.lost) == (None, None)
    assert found.standard_error == pytest.approx(0.1 * np.sqrt(2 / N), rel=0.25), "what both share cancels"


def test_a_breakdown_is_compared_within_its_stratum() -> None:
    a, b = coin(0, 0.5), coin(1, 0.7)

    def broken_down(right: list[float]) -> ScoredRun:
        estimates = {"accuracy[kind=odd]": Estimate(float(np.mean(right[1::2])), N // 2, "fraction", True, "")}
        return run_of(estimates, [record(i, {"accuracy": v}) for i, v in enumerate(right)])

    (found,) = compare(broken_down(a), broken_down(b)).differences
    assert found.n == N // 2
    assert found.method.startswith("paired")
    assert found.difference == pytest.approx(np.mean(b[1::2]) - np.mean(a[1::2]))


def test_without_scores_intervals_are_compared_and_without_either_nothing_is_claimed() -> None:
    def bare(value: float, half: float | None) -> ScoredRun:
        interval = None if half is None else Interval(value - half, value + half, 0.95, "given")
        return run_of({"score": Estimate(value, N, "score", True, "", interval)}, [record(i, {}) for i in range(N)])

    (found,) = compare(bare(1.0, 1.959964), bare(4.0, 1.959964)).differences
    assert found.standard_error == pytest.approx(np.sqrt(2))
    assert found.method == "independent intervals, not paired"
    (unknown,) = compare(bare(1.0, None), bare(4.0, None)).differences
    assert (unknown.difference, unknown.p, unknown.interval) == (3.0, None, None)


def test_missing_and_unavailable_estimates_are_told() -> None:
    right = coin(0, 0.5)
    gone = run_of({"accuracy": Unavailable("no weights")}, [record(i, {}) for i in range(N)], {"n_samples": N})
    assert compare(answered(right), gone).missing == ("accuracy",)


def test_holm_is_over_all_tasks_together() -> None:
    a, b = coin(0, 0.5), coin(1, 0.62)
    alone = compare(answered(a), answered(b)).differences[0]
    three = compare_all([(answered(a), answered(b))] * 3)
    assert alone.p is not None
    assert three[0].differences[0].adjusted_p == pytest.approx(min(1, 3 * alone.p))


def test_tiers_join_what_cannot_be_told_apart() -> None:
    runs = [
        answered(coin(0, 0.9, 400), "best"),
        answered(coin(1, 0.9, 400), "as good"),
        answered(coin(2, 0.3, 400), "worse"),
    ]
    ranked = rank_tiers([runs[2], runs[0], runs[1]], "accuracy")
    assert {one.run.label: one.standing.tier for one in ranked} == {"best": 1, "as good": 1, "worse": 2}
    with pytest.raises(NotComparable, match="resize"):
        rank_tiers([runs[0], answered(coin(0, 0.9, 400), resize="bicubic")], "accuracy")
    with pytest.raises(UsageError, match="has no estimate 'fid'"):
        rank_tiers(runs, "fid")


def test_a_sample_that_stands_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="holds sample 's1' twice"):
        run_of(accuracy([1.0]), [record(1, {"accuracy": 1.0}), record(1, {"accuracy": 1.0})])


def captions(words: Sequence[str]) -> ScoredRun:
    """Captions of 40 pictures scored by the real metric."""
    metric = CaptionMetric({})
    people = tuple(Text(t) for t in ("a red ring on a gray ground", "one red ring above a blue square"))
    scored = [
        Scored(Sample(str(i), (Text("?"),), people, (), str(i)), Generation((Text(w),))) for i, w in enumerate(words)
    ]
    return _scored(metric.finish(metric.update(metric.start(), scored)), scored)


def _scored(result: object, scored: Sequence[Scored]) -> ScoredRun:
    from evalkit.interfaces import MetricResult

    assert isinstance(result, MetricResult)
    records = [
        SampleRecord(
            one.sample.id,
            one.sample.cluster,
            {},
            ({"type": "Text", "text": "?"},),
            (),
            "k",
            0,
            False,
            0.0,
            (),
            None,
            {name: column[one.sample.id] for name, column in result.per_sample.items() if one.sample.id in column},
        )
        for one in scored
    ]
    used = {p.digest: p for p in result.protocols}
    run = Run("toy@1", "model", "data", result.estimates, Coverage(len(records), len(records), 0, 0), (), used, {}, {})
    return scored_run("run", run, records)


def test_bleu_is_resampled_as_a_corpus_and_its_difference_is_that_of_the_corpora() -> None:
    good = ["a red ring on a gray ground" if i % 4 else "a ring on a red ground" for i in range(40)]
    bad = ["a red ring on a gray ground" if i % 2 else "a green star on the left of it" for i in range(40)]
    compared = compare(captions(good), captions(bad))
    found = {one.name: one for one in compared.differences}
    for name in ("bleu_1", "bleu_4"):
        before, after = compared.baseline.estimates[name], compared.candidate.estimates[name]
        assert isinstance(before, Estimate)
        assert isinstance(after, Estimate)
        assert found[name].difference == pytest.approx(after.value - before.value)
        assert found[name].method.startswith("paired bootstrap")
        assert found[name].significant()
    assert found["cider"].method.startswith("paired, clustered")


def test_a_pooled_number_counts_samples_that_were_not_asked_as_no_influence() -> None:
    def judged(got: Sequence[float], of: Sequence[float]) -> ScoredRun:
        tallies = {str(i): {"share": Tally(g, o)} for i, (g, o) in enumerate(zip(got, of, strict=True))}
        metric = MeanMetric("judge", {}, (Measure("share", pooled=True),), lambda scored: tallies[scored.sample.id])
        scored = [Scored(Sample(str(i), (), (), (), str(i)), Generation(())) for i in range(len(got))]
        return _scored(metric.finish(metric.update(metric.start(), scored)), scored)

    random = np.random.default_rng(0)
    of = random.integers(0, 3, (2, 300))
    got = random.binomial(of, [[0.5], [0.7]])
    (found,) = compare(judged(got[0].tolist(), of[0].tolist()), judged(got[1].tolist(), of[1].tolist())).differences
    assert found.difference == pytest.approx(got[1].sum() / of[1].sum() - got[0].sum() / of[0].sum())
    draws = [random.integers(0, 300, 300) for _ in range(800)]
    resampled = [got[1][d].sum() / of[1][d].sum() - got[0][d].sum() / of[0][d].sum() for d in draws]
    assert found.standard_error == pytest.approx(np.std(resampled), rel=0.1)


def test_repeats_tell_seeds_from_samples() -> None:
    ease = np.random.default_rng(0).uniform(0, 1, N)
    runs = [answered((np.random.default_rng(seed).random(N) < ease).astype(float).tolist()) for seed in range(4)]
    found = seed_components(runs)["accuracy"]
    assert found.seed_error > 0
    assert found.item_error > 0
    same = seed_components([runs[0], runs[0]])["accuracy"]
    assert same.seed_error == 0
