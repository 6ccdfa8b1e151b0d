"""95 % intervals of every estimator cover the true value of known distributions 93 to 97 times in a hundred."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from evalkit import stats
from evalkit.metrics.captions.bleu import BleuCounts, corpus_bleu
from evalkit.metrics.frechet import Gaussian, gaussian_distance, gaussian_of_features
from evalkit.metrics.jackknife import frechet_leave_one_out
from evalkit.metrics.kernel import KidConvention, kid, kid_influence
from evalkit.metrics.manifold import overlap
from evalkit.metrics.means import Judged, Tally, ratios
from evalkit.types import Interval

pytestmark = pytest.mark.slow

Doubles = npt.NDArray[np.float64]


def share_covered(
    draw: Callable[[np.random.Generator], tuple[Interval, float]], replicates: int, seed: int = 0
) -> float:
    """How often the interval of a draw covers the true value that comes with it."""
    random = np.random.default_rng(seed)
    draws = [draw(random) for _ in range(replicates)]
    return float(np.mean([interval.low <= truth <= interval.high for interval, truth in draws]))


def share_around(draws: list[tuple[float, Interval]]) -> float:
    """How often intervals cover the mean of all draws' values, for a statistic whose expectation has no formula."""
    truth = np.mean([value for value, _ in draws])
    return float(np.mean([interval.low <= truth <= interval.high for _, interval in draws]))


def own(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def test_means_of_clustered_values() -> None:
    clusters = [str(i // 4) for i in range(240)]

    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        values = np.repeat(random.normal(size=60), 4) + random.normal(size=240)
        return stats.mean_interval(values, clusters), 0.0

    assert 0.93 <= share_covered(draw, 2000) <= 0.97


def test_means_of_skewed_scores_such_as_cider() -> None:
    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        return stats.mean_interval(random.gamma(1.5, 0.5, 300), own(300)), 0.75

    assert 0.93 <= share_covered(draw, 2000) <= 0.97


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.6), (0.9, 0.995)])
def test_rates_near_one_too(low: float, high: float) -> None:
    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        rate = random.uniform(low, high)
        seen = (random.random(150) < rate).astype(float)
        return stats.rate_interval(float(seen.mean()), seen, own(150)), rate

    assert 0.93 <= share_covered(draw, 4000) <= 0.97


def test_rates_of_clustered_answers() -> None:
    clusters = [str(i // 4) for i in range(600)]

    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        chance = np.repeat(random.beta(8, 2, 150), 4)
        seen = (random.random(600) < chance).astype(float)
        return stats.rate_interval(float(seen.mean()), seen, clusters), 0.8

    assert 0.93 <= share_covered(draw, 2000) <= 0.97


def test_ratios_of_totals() -> None:
    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        of = random.integers(1, 8, 200)
        got = random.binomial(of, 0.3 + 0.1 * (of > 4))
        judged = [Judged(str(i), str(i), (), {"x": Tally(float(got[i]), float(of[i]))}) for i in range(200)]
        found = ratios(judged, ("x",), pooled=True)
        assert found is not None
        return stats.rate_interval(found.value, found.value + found.influence, found.clusters), RATIO

    RATIO = float(sum(of * (0.3 + 0.1 * (of > 4)) for of in range(1, 8)) / sum(range(1, 8)))  # noqa: N806
    assert 0.93 <= share_covered(draw, 1500) <= 0.97


def bleu_rows(random: np.random.Generator, n: int, skill: Doubles) -> Doubles:
    """Counts of captions of 6 to 14 words, whose n-grams are right with a chance that falls with their length."""
    length = random.integers(6, 15, n)
    guessed = np.maximum(length[:, None] - np.arange(4), 0)
    correct = random.binomial(guessed, skill[:, None] ** (1 + 0.7 * np.arange(4)))
    return np.column_stack([length, length + random.integers(-2, 3, n), guessed, correct]).astype(np.float64)


def bleu_4(rows: Doubles) -> float:
    sums = rows.sum(axis=0, keepdims=True).astype(np.int64)
    return float(corpus_bleu(BleuCounts(sums[:, 0], sums[:, 1], sums[:, 2:6], sums[:, 6:10]))[3])


def test_bleu_by_the_corpus_bootstrap() -> None:
    big = np.random.default_rng(9)
    truth = bleu_4(bleu_rows(big, 400_000, big.uniform(0.5, 0.9, 400_000)))

    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        rows = bleu_rows(random, 200, random.uniform(0.5, 0.9, 200))
        return stats.percentile_bootstrap(lambda i: bleu_4(rows[i]), 200, 0, 300), truth

    assert 0.93 <= share_covered(draw, 1000) <= 0.97


def test_differences_of_bleu_by_the_paired_bootstrap() -> None:
    big = np.random.default_rng(9)
    ease = big.uniform(0.5, 0.85, 400_000)
    truth = bleu_4(bleu_rows(big, 400_000, ease + 0.05)) - bleu_4(bleu_rows(big, 400_000, ease))

    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        ease = random.uniform(0.5, 0.85, 200)
        first, second = bleu_rows(random, 200, ease), bleu_rows(random, 200, ease + 0.05)
        found = stats.paired_bootstrap(lambda i: bleu_4(second[i]) - bleu_4(first[i]), 200, 0, 200)
        return found.interval, truth

    assert 0.93 <= share_covered(draw, 1000) <= 0.97


@pytest.mark.parametrize("flipped", [0.01, 0.04, 0.2])
def test_paired_differences_of_answers_that_are_right_or_wrong(flipped: float) -> None:
    clusters = [str(i // 2) for i in range(400)]

    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        lost = random.uniform(0, flipped)
        steps = random.choice([-1.0, 0.0, 1.0], 400, p=[lost, 1 - flipped, flipped - lost])
        return stats.paired_difference(steps, clusters, span=1.0).interval, flipped - 2 * lost

    covered = share_covered(draw, 3000)
    assert covered >= 0.93
    assert covered <= (0.97 if flipped > 0.1 else 0.985)  # few flips are discrete: the two added ones widen


def features(random: np.random.Generator, n: int, dimension: int) -> Doubles:
    return np.asarray(random.normal(size=(n, dimension)) * np.arange(1, dimension + 1) ** -0.25)


def test_paired_differences_of_fid_on_the_same_prompts() -> None:
    random = np.random.default_rng(0)
    n, dimension = 250, 12
    reference = gaussian_of_features(features(random, 20_000, dimension))
    draws, unpaired = [], []
    for _ in range(700):
        prompts = features(random, n, dimension)
        values, influences = [], []
        for shift in (0.15, 0.25):
            x = 0.9 * prompts + 0.5 * features(random, n, dimension) + shift
            values.append(gaussian_distance(gaussian_of_features(x), reference))
            influences.append(stats.jackknife_influence(frechet_leave_one_out(x, reference)))
        moved = values[1] - values[0] + influences[1] - influences[0]
        draws.append((values[1] - values[0], stats.mean_interval(moved, own(n))))
        unpaired.append(np.std(influences, axis=1, ddof=1).max() / np.std(moved, ddof=1))
    assert 0.93 <= share_around(draws) <= 0.97
    assert np.mean(unpaired) > 1, "a paired difference is surer than either of the two numbers"


def test_fid_against_a_fixed_reference() -> None:
    random = np.random.default_rng(0)
    reference = Gaussian(10**9, np.zeros(12), np.eye(12))
    draws = []
    for _ in range(1000):
        x = features(random, 300, 12) + 0.2
        value = gaussian_distance(gaussian_of_features(x), reference)
        draws.append((value, stats.jackknife_interval(value, frechet_leave_one_out(x, reference))))
    assert 0.93 <= share_around(draws) <= 0.97


@pytest.mark.parametrize(
    ("n", "size", "shift", "most"),
    # Of equal distributions the U-statistic is degenerate: the jackknife counts its second-order part twice.
    [(300, 60, 0.2, 0.97), (300, 60, 0.0, 0.985), (120, 120, 0.3, 0.97)],
)
def test_kid_with_its_subsets(n: int, size: int, shift: float, most: float) -> None:
    random = np.random.default_rng(0)
    reference = random.normal(size=(300, 8))
    convention = KidConvention("small", subsets=50, subset_size=size)
    draws = []
    for _ in range(500):
        x = random.normal(size=(n, 8)) + shift
        value = kid(x, reference, convention).mean
        draws.append((value, stats.mean_interval(value + kid_influence(x, reference, convention), own(n))))
    assert 0.93 <= share_around(draws) <= most


def overlaps(n: int, spread: float, shift: float) -> list[tuple[float, ...]]:
    random = np.random.default_rng(0)
    reference = random.normal(size=(250, 8))
    return [_overlap(random.normal(size=(n, 8)) * spread + shift, reference) for _ in range(400)]


def _overlap(x: Doubles, reference: Doubles) -> tuple[float, ...]:
    found = overlap(x, reference)
    four = found.manifold
    each = own(len(x))
    precise = stats.rate_interval(four.precision, found.inside.astype(float), each)
    dense = stats.mean_interval(found.balls / 5, each)
    moved = four.recall + stats.jackknife_influence(found.recall_without)
    recalled = stats.rate_interval(four.recall, moved, each)
    moved = four.coverage + stats.jackknife_influence(found.coverage_without)
    covered = stats.rate_interval(four.coverage, moved, each)
    return tuple(
        number
        for value, one in (
            (four.precision, precise),
            (four.density, dense),
            (four.recall, recalled),
            (four.coverage, covered),
        )
        for number in (value, one.low, one.high)
    )


@pytest.mark.parametrize(("n", "spread", "shift"), [(250, 0.8, 0.3), (250, 1.3, 0.0)])
def test_precision_and_density_cover_and_recall_and_coverage_are_never_too_narrow(
    n: int, spread: float, shift: float
) -> None:
    table = np.array(overlaps(n, spread, shift)).reshape(-1, 4, 3)
    truth = table[:, :, 0].mean(axis=0)
    shares = ((table[:, :, 1] <= truth) & (truth <= table[:, :, 2])).mean(axis=0)
    assert (shares[:2] >= 0.93).all(), shares
    assert (shares[:2] <= 0.97).all(), shares
    assert (shares[2:] >= 0.95).all(), shares  # the jackknife of a statistic of nearest neighbours errs on this side


def test_means_over_items_and_seeds() -> None:
    truth = 0.3

    def draw(random: np.random.Generator) -> tuple[Interval, float]:
        scores = truth + random.normal(size=(120, 1)) + 0.7 * random.normal(size=(120, 3))
        found = stats.variance_components(scores, own(120))
        return stats.student_interval(found.mean, found.standard_error, 119, 0.95, "both"), truth

    assert 0.93 <= share_covered(draw, 2000) <= 0.97
