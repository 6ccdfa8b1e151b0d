"""Laws of decoding: slow transcriptions of the formulas, closed forms, and that no row feels its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from cm3leon.decoding import (
    Rows,
    Sampling,
    best_of,
    contrastive,
    guided,
    guided_by_image_and_text,
    inverse_cdf,
    mixture,
    restricted,
    sample,
    tempered,
    top_k,
    top_p,
)

Doubles = npt.NDArray[np.float64]
SIZES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)
FINE = st.integers(-3000, 3000).map(lambda hundredths: hundredths / 100)
COARSE = st.integers(-3, 3).map(float)
LOGITS = hnp.arrays(np.float64, SIZES, elements=st.one_of(FINE, COARSE))
"""With and without ties; logits too close for their likelihoods to differ are left out."""
SHARES = st.floats(0.01, 1)


def rows_of(logits: Doubles) -> Tensor:
    return torch.from_numpy(logits)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def left(logits: Tensor) -> list[list[int]]:
    """Ids that can be drawn, row by row."""
    return [row.isfinite().nonzero().flatten().tolist() for row in logits]


def slow_top_p(row: Doubles, p: float) -> list[int]:
    likelihoods, mass, kept = scipy.special.softmax(row), 0.0, list[int]()
    for token in sorted(range(len(row)), key=lambda i: (-row[i], i)):
        if kept and mass >= p:
            break
        kept.append(token)
        mass += likelihoods[token]
    return sorted(kept)


def slow_contrast(expert: Doubles, amateur: Doubles, alpha: float, k: int) -> Doubles:
    exp, ama = scipy.special.softmax(expert), scipy.special.softmax(amateur)
    kmax = sorted(exp, reverse=True)[min(k, len(exp)) - 1]
    return np.array([np.log(e / a) if e >= alpha * kmax else -np.inf for e, a in zip(exp, ama, strict=True)])


def test_guidance_is_its_formula() -> None:
    u, c, w = noise(4, 9), noise(4, 9, seed=1), noise(4, seed=2)
    np.testing.assert_allclose(guided(u, c, w), u.numpy() + w.numpy()[:, None] * (c.numpy() - u.numpy()), rtol=1e-14)
    np.testing.assert_allclose(guided(u, c, 3.0), 3 * c.numpy() - 2 * u.numpy(), rtol=1e-12)


@given(LOGITS, st.integers(0, 9))
def test_guidance_by_weight_one_is_conditional_and_by_zero_is_not(logits: Doubles, seed: int) -> None:
    u, c = rows_of(logits), noise(*logits.shape, seed=seed)
    assert torch.equal(guided(u, c, 1.0), c)
    assert torch.equal(guided(u, c, 0.0), u)


def test_guidance_by_image_and_text_is_its_formula() -> None:
    u, i, f = noise(4, 9), noise(4, 9, seed=1), noise(4, 9, seed=2)
    expected = u.numpy() + 1.5 * (i.numpy() - u.numpy()) + 7.5 * (f.numpy() - i.numpy())
    np.testing.assert_allclose(guided_by_image_and_text(u, i, f, 1.5, 7.5), expected, rtol=1e-12)
    weights = torch.tensor([1.5, 0.0, 1.0, 2.0]), torch.tensor([7.5, 1.0, 1.0, 0.0])
    mixed = guided_by_image_and_text(u, i, f, *weights)
    np.testing.assert_allclose(mixed[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(mixed[1], (u + f - i)[1], rtol=1e-12)
    np.testing.assert_allclose(mixed[2], f[2], rtol=1e-12)
    np.testing.assert_allclose(mixed[3], (2 * i - u)[3], rtol=1e-12)


def test_guidance_by_two_without_an_image_of_its_own_is_guidance_by_one() -> None:
    u, c = noise(4, 9), noise(4, 9, seed=1)
    np.testing.assert_allclose(guided_by_image_and_text(u, u, c, 1.2, 3.0), guided(u, c, 3.0), rtol=1e-12)
    assert torch.equal(guided_by_image_and_text(u, c, c, 3.0, 7.5), guided(u, c, 3.0))


def test_only_admissible_ids_are_left() -> None:
    logits = noise(2, 5)
    assert left(restricted(logits, torch.tensor([True, False, True, False, False]))) == [[0, 2], [0, 2]]
    each = torch.tensor([[True, False, False, False, False], [False, True, True, True, True]])
    assert left(restricted(logits, each)) == [[0], [1, 2, 3, 4]]
    assert torch.equal(restricted(logits, each)[1, 1:], logits[1, 1:])


@given(LOGITS, st.floats(0.1, 10))
def test_temperature_divides(logits: Doubles, temperature: float) -> None:
    np.testing.assert_array_equal(tempered(rows_of(logits), temperature), logits / temperature)


@given(LOGITS)
def test_temperature_zero_leaves_the_lowest_of_the_largest(logits: Doubles) -> None:
    assert left(tempered(rows_of(logits), 0.0)) == [[int(np.flatnonzero(row == row.max())[0])] for row in logits]


def test_top_p_of_a_known_row() -> None:
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64).log()
    assert [left(top_p(logits, p))[0] for p in (0.1, 0.5, 0.6, 0.8, 0.9, 1.0)] == [
        [0],
        [0],
        [0, 1],
        [0, 1, 2],
        [0, 1, 2, 3],
        [0, 1, 2, 3],
    ]


@given(LOGITS, SHARES)
def test_top_p_is_its_definition(logits: Doubles, p: float) -> None:
    for row in logits:
        cumulated = np.cumsum(np.sort(scipy.special.softmax(row))[::-1])
        assume(np.abs(cumulated - p).min() > 1e-9)
    assert left(top_p(rows_of(logits), p)) == [slow_top_p(row, p) for row in logits]


@given(LOGITS, SHARES, SHARES)
def test_a_smaller_nucleus_lies_in_a_larger(logits: Doubles, one: float, other: float) -> None:
    smaller, larger = (left(top_p(rows_of(logits), p)) for p in sorted((one, other)))
    assert all(set(few) <= set(more) for few, more in zip(smaller, larger, strict=True))
    assert all(smaller)


@given(LOGITS, SHARES, st.integers(1, 25))
def test_what_truncation_leaves_it_leaves_alone(logits: Doubles, p: float, k: int) -> None:
    rows = rows_of(logits)
    for kept in (top_p(rows, p), top_k(rows, k)):
        assert torch.equal(kept[kept.isfinite()], rows[kept.isfinite()])
    assert torch.equal(top_p(rows, 1.0), rows)
    assert torch.equal(top_p(top_p(rows, p), 1.0), top_p(rows, p))


def test_a_whole_nucleus_keeps_what_is_too_rare_to_draw() -> None:
    logits = torch.tensor([[0.0, -800.0, -torch.inf]])
    assert left(top_p(logits, 1.0)) == [[0, 1]]


@given(LOGITS, st.integers(1, 25))
def test_top_k_keeps_the_k_largest_the_lowest_ids_of_equals(logits: Doubles, k: int) -> None:
    expected = [sorted(np.argsort(-row, stable=True)[:k].tolist()) for row in logits]
    assert left(top_k(rows_of(logits), k)) == expected


@pytest.mark.parametrize("count", [17, 300, 5000])
def test_equals_are_kept_in_order_however_many(count: int) -> None:
    equals = torch.zeros(2, count)
    assert left(top_k(equals, 9)) == [list(range(9))] * 2
    assert left(top_p(equals, 8.5 / count)) == [list(range(9))] * 2


@given(LOGITS, st.integers(0, 9), st.floats(0, 1), st.integers(1, 25))
def test_contrastive_decoding_is_its_formula(logits: Doubles, seed: int, alpha: float, k: int) -> None:
    amateur = noise(*logits.shape, seed=seed)
    for row in logits:
        likelihoods = scipy.special.softmax(row)
        threshold = alpha * np.sort(likelihoods)[::-1][min(k, len(row)) - 1]
        assume(alpha in (0, 1) or bool((np.abs(likelihoods - threshold) > 1e-9 * likelihoods).all()))
    expected = [slow_contrast(row, ama, alpha, k) for row, ama in zip(logits, amateur.numpy(), strict=True)]
    np.testing.assert_allclose(contrastive(rows_of(logits), amateur, alpha, k), expected, rtol=1e-9, atol=1e-12)


def test_contrast_of_a_known_row() -> None:
    expert = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64).log()
    amateur = torch.tensor([[0.25, 0.25, 0.25, 0.25]], dtype=torch.float64).log()
    found = contrastive(expert, amateur, 0.5)
    np.testing.assert_allclose(found, [[math.log(2), 0, -math.inf, -math.inf]], atol=1e-15)
    assert left(contrastive(expert, amateur, 0.5, 2)) == [[0, 1, 2, 3]]
    assert left(contrastive(expert, amateur, 0.75, 2)) == [[0, 1]]


@given(LOGITS, st.integers(0, 9), st.floats(0, 1), st.integers(1, 25))
def test_a_larger_k_leaves_more(logits: Doubles, seed: int, alpha: float, k: int) -> None:
    expert, amateur = rows_of(logits), noise(*logits.shape, seed=seed)
    plain, wide = contrastive(expert, amateur, alpha), contrastive(expert, amateur, alpha, k)
    assert all(set(few) <= set(more) for few, more in zip(left(plain), left(wide), strict=True))
    assert torch.equal(plain[plain.isfinite()], wide[plain.isfinite()])
    assert torch.equal(contrastive(expert, amateur, alpha, 1), plain)


@given(LOGITS)
def test_full_contrast_leaves_the_likeliest_and_none_leaves_all(logits: Doubles) -> None:
    rows = rows_of(logits)
    assert left(contrastive(rows, rows, 1.0)) == [np.flatnonzero(row == row.max()).tolist() for row in logits]
    assert left(contrastive(rows, rows, 0.0)) == [list(range(logits.shape[1]))] * len(logits)
    np.testing.assert_array_equal(contrastive(rows, rows, 0.0), 0.0)


def test_contrast_never_leaves_an_inadmissible_id() -> None:
    admissible = torch.tensor([True, False, True, False])
    expert, amateur = restricted(noise(3, 4), admissible), restricted(noise(3, 4, seed=1), admissible)
    for k in (1, 2, 3, 9):
        found = contrastive(expert, amateur, 0.0, k)
        assert left(found) == [[0, 2]] * 3
        assert not found.isnan().any()


def test_each_row_has_its_own_mode() -> None:
    guide, expert, amateur = noise(5, 12), noise(5, 12, seed=1), noise(5, 12, seed=2)
    settings = [
        Sampling("greedy", temperature=0.7),
        Sampling("top-p", 0.5, top_p=0.6),
        Sampling("cd", 2.0, alpha=0.2),
        Sampling("cd-k", 0.0, alpha=0.3, k=4),
        Sampling("cd-k", 1.5, top_p=0.1, alpha=0.3, k=4),
    ]
    found = Rows.of(settings).scores(guide, expert, amateur)
    expected = [
        tempered(guide[:1], 0.0),
        top_p(guide[1:2] / 0.5, 0.6),
        contrastive(expert[2:3], amateur[2:3], 0.2) / 2.0,
        tempered(contrastive(expert[3:4], amateur[3:4], 0.3, 4), 0.0),
        contrastive(expert[4:], amateur[4:], 0.3, 4) / 1.5,
    ]
    assert torch.equal(found, torch.cat(expected))


def test_contrastive_rows_need_both_streams_and_others_none() -> None:
    logits = noise(1, 4)
    assert torch.equal(Rows.of([Sampling()]).scores(logits), logits)
    for expert, amateur in ((None, None), (logits, None), (None, logits)):
        with pytest.raises(ValueError, match="give the logits of both"):
            Rows.of([Sampling("cd")]).scores(logits, expert, amateur)


@pytest.mark.parametrize("n", range(10))
def test_a_mixture_is_half_and_half_the_odd_one_first(n: int) -> None:
    first, second = Sampling("top-p", top_p=0.9), Sampling("cd-k", k=5)
    rows = mixture(first, second, n)
    assert len(rows) == n
    assert rows.count(first) - rows.count(second) == n % 2


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ({"mode": "beam"}, "mode is 'beam'"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"alpha": 1.1}, "alpha is 1.1"),
        ({"mode": "cd-k", "k": 0}, "k is 0 in mode cd-k"),
        ({"mode": "cd", "k": 2}, "k is 2 in mode cd;"),
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Sampling(**bad)  # type: ignore[arg-type]


@given(LOGITS, st.integers(0, 9))
def test_an_id_is_where_the_cumulated_softmax_first_exceeds_its_uniform(logits: Doubles, seed: int) -> None:
    uniforms = np.random.default_rng(seed).random(len(logits))
    for row, uniform, token in zip(logits, uniforms, sample(rows_of(logits), torch.from_numpy(uniforms)), strict=True):
        cumulated = np.cumsum(scipy.special.softmax(row))
        assert uniform < cumulated[token] + 1e-12
        assert token == 0 or uniform >= cumulated[token - 1] - 1e-12


def test_a_uniform_on_a_border_takes_the_id_above_it() -> None:
    logits = torch.tensor([[0.25, 0.5, 0.25]], dtype=torch.float64).log().expand(6, 3)
    uniforms = torch.tensor([0.0, 0.25 - 1e-9, 0.25 + 1e-9, 0.75 - 1e-9, 0.75 + 1e-9, 1 - 2**-53], dtype=torch.float64)
    assert sample(logits, uniforms).tolist() == [0, 0, 1, 1, 2, 2]
    quarters = torch.zeros(4, 4)
    assert sample(quarters, torch.tensor([0.0, 0.25, 0.5, 0.75])).tolist() == [0, 1, 2, 3]


@given(LOGITS, st.data())
def test_an_id_that_is_left_out_is_never_drawn(logits: Doubles, data: st.DataObject) -> None:
    out = data.draw(hnp.arrays(np.bool_, logits.shape))
    out[np.arange(len(out)), data.draw(hnp.arrays(np.int64, len(out), elements=st.integers(0, out.shape[1] - 1)))] = (
        False
    )
    rows = restricted(rows_of(logits), torch.from_numpy(~out))
    for uniform in (0.0, 0.5, 1 - 2**-53):
        ids = sample(rows, torch.full((len(rows),), uniform, dtype=torch.float64))
        assert not out[np.arange(len(out)), ids.numpy()].any()


@pytest.mark.parametrize("size", [2, 50, 600])
def test_drawn_ids_follow_the_softmax(size: int) -> None:
    logits, draws = noise(1, size) * 2, 10000
    uniforms = torch.rand(draws, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    seen = sample(logits.expand(draws, size), uniforms)
    counts = np.bincount(seen.numpy(), minlength=size)
    expected = scipy.special.softmax(logits[0].numpy()) * draws
    rare = expected < 5
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    common = expected > 0
    assert scipy.stats.chisquare(counts[common], expected[common]).pvalue > 0.01


def test_temperature_zero_takes_the_lowest_of_equals_whatever_is_drawn() -> None:
    logits = torch.tensor([[0.0, 3.0, 3.0, 1.0]])
    for uniform in (0.0, 0.5, 0.999):
        assert sample(tempered(logits, 0.0), torch.tensor([uniform])).tolist() == [1]


PATHS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda logits: logits,
    "tempered": lambda logits: tempered(logits, 0.5),
    "greedy": lambda logits: Rows.of([Sampling("greedy")] * 2).scores(logits),
    "top-p": lambda logits: top_p(logits, 0.5),
    "whole nucleus": lambda logits: top_p(logits, 1.0),
    "cd": lambda logits: contrastive(logits, torch.zeros(2, 3), 0.1),
    "cd-k": lambda logits: contrastive(logits, torch.zeros(2, 3), 0.1, 2),
    "amateur": lambda logits: contrastive(torch.zeros(2, 3), logits, 0.1, 2),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", range(3))
def test_a_broken_row_is_an_error_on_every_path(path: str, place: int) -> None:
    logits = torch.zeros(2, 3)
    logits[1, place] = torch.nan
    with pytest.raises(ValueError, match="row 1 holds NaN"):
        sample(PATHS[path](logits), torch.tensor([0.1, 0.1]))


@pytest.mark.parametrize("value", [torch.inf, -torch.inf])
def test_a_row_with_no_softmax_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="row 0 holds NaN"):
        sample(torch.full((1, 3), value), torch.tensor([0.1]))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_unchecked_a_row_with_no_softmax_gets_an_id_that_is_none(value: float) -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0], [value] * 3])
    assert inverse_cdf(logits, torch.tensor([0.5, 0.5])).tolist() == [1, 3]


@given(LOGITS)
def test_the_largest_uniform_still_has_an_id(logits: Doubles) -> None:
    largest = torch.full((len(logits),), 1 - 2**-53, dtype=torch.float64)
    assert (inverse_cdf(rows_of(logits), largest) < logits.shape[1]).all()


@pytest.mark.parametrize("uniform", [-0.1, 1.0, math.nan])
def test_uniforms_out_of_range_are_refused(uniform: float) -> None:
    with pytest.raises(ValueError, match=r"uniforms must lie in \[0, 1\)"):
        sample(torch.zeros(1, 3), torch.tensor([uniform]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    for logits, uniforms in ((torch.zeros(2, 3), torch.zeros(3)), (torch.zeros(3), torch.zeros(3))):
        with pytest.raises(ValueError, match=r"are not \(B, V\) and \(B,\)"):
            sample(logits, uniforms)


def each_row(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """`function` of every row alone."""
    return torch.cat([function(*(batch[i : i + 1] for batch in batches)) for i in range(len(batches[0]))])


def settings_of(rows: int) -> list[Sampling]:
    kinds = [
        Sampling("top-p", 0.9, top_p=0.8),
        Sampling("cd-k", 1.1, alpha=0.3, k=7),
        Sampling("greedy"),
        Sampling("cd", alpha=0.1),
        Sampling("top-p", 0.0),
        Sampling("top-p", 1.3),
    ]
    return [kinds[i % len(kinds)] for i in range(rows)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(("rows", "size"), [(2, 1), (3, 5), (7, 17), (9, 33), (16, 300), (5, 8192)])
def test_no_row_feels_its_neighbours(rows: int, size: int, dtype: torch.dtype) -> None:
    a, b, c = ((noise(rows, size, seed=seed) * 4).to(dtype) for seed in (0, 1, 2))
    weight, other = noise(rows, seed=3).abs() * 3, noise(rows, seed=4).abs()
    share, k = torch.linspace(0.05, 1, rows), torch.arange(1, rows + 1)
    uniforms = torch.rand(rows, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    allowed = noise(rows, size, seed=6) > 0
    functions: list[tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = [
        (guided, (a, b, weight)),
        (guided_by_image_and_text, (a, b, c, weight, other)),
        (restricted, (a, allowed)),
        (tempered, (a, other * (torch.arange(rows) % 3))),
        (top_p, (a, share)),
        (top_k, (a, k)),
        (contrastive, (a, b, share, k)),
        (sample, (a, uniforms)),
        (inverse_cdf, (a, uniforms)),
        (best_of, (a.double(),)),
    ]
    for function, batches in functions:
        assert torch.equal(function(*batches), each_row(function, *batches)), function


@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 99))
def test_a_whole_step_has_the_same_answer_in_any_batch(rows: int, size: int, seed: int) -> None:
    u, c = (noise(rows, size, seed=seed + i) * 4 for i in (0, 1))
    settings = settings_of(rows)
    uniforms = torch.rand(rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def step(members: list[int]) -> tuple[Tensor, Tensor]:
        mine = Rows.of([settings[i] for i in members])
        scores = mine.scores(guided(u[members], c[members], 3.0), c[members], u[members])
        return scores, sample(scores, uniforms[members])

    scores, ids = step(list(range(rows)))
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).tolist()
    for members in (*([i] for i in range(rows)), order, order[: rows // 2 + 1], order * 2):
        again, drawn = step(members)
        assert torch.equal(again, scores[members])
        assert torch.equal(drawn, ids[members])


def test_the_best_answer_is_the_first_of_the_highest() -> None:
    scores = torch.tensor([[0.1, 0.3, 0.3], [0.5, 0.2, 0.1], [-torch.inf, -2.0, -3.0]])
    assert best_of(scores).tolist() == [1, 0, 1]


@given(LOGITS)
def test_no_answer_beats_the_best(scores: Doubles) -> None:
    assert best_of(rows_of(scores)).tolist() == [int(np.flatnonzero(row == row.max())[0]) for row in scores]


@pytest.mark.parametrize("scores", [torch.zeros(3), torch.zeros(3, 0), torch.tensor([[0.1, torch.nan]])])
def test_answers_that_cannot_be_ranked_are_refused(scores: Tensor) -> None:
    with pytest.raises(ValueError, match=r"not \(B, n\) of at least one|a score is NaN"):
        best_of(scores)
