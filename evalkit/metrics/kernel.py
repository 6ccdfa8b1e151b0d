"""The kernel Inception distance, how each sample moves it, and the squared mean discrepancy that it estimates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import Doubles, Vectors, row_chunks
from evalkit.stats import jackknife_influence

_TILE = 2048


@dataclass(frozen=True, slots=True)
class KidConvention:
    """How a tool draws the subsets whose discrepancies are averaged. The kernel is (x·y / D + 1)³ in all of them.

    `shrinks` says that the tool itself takes fewer where there are not `subset_size` samples; the others refuse.
    `first` is the side whose indices are drawn first. Tools that do not fix a seed are given this one.
    """

    name: str
    subsets: int = 100
    subset_size: int = 1000
    seed: int = 2020
    first: Literal["generated", "reference"] = "generated"
    shrinks: bool = False


@dataclass(frozen=True, slots=True)
class Kid:
    """Mean and population standard deviation over the subsets, and the samples that each side gave to one."""

    mean: float
    std: float
    subset_size: int


def kid(generated: Vectors, reference: Vectors, convention: KidConvention) -> Kid:
    """Return the kernel Inception distance between `generated (N, D)` and `reference (M, D)`.

    The mean over random subsets, drawn without replacement, of the unbiased estimate of the squared maximum mean
    discrepancy. It is unbiased, so slightly negative values are right for like distributions.

    Raises:
        NotEnoughSamples: a side has fewer than two samples, or fewer than the subset size where that does not shrink.
        ValueError: the two sides have different D.

    Source: Bińkowski et al. 2018, arXiv:1801.01401; draws, kernel and estimator as torch-fidelity 0.4.0
    `metric_kid.py`. The sums are taken in double precision, there in single.
    """
    size = min(convention.subset_size, len(generated), len(reference)) if convention.shrinks else convention.subset_size
    _require(size, generated, reference)
    draws = _draws(convention, size, len(generated), len(reference))
    whole = len(generated) ** 2 + len(reference) ** 2 + len(generated) * len(reference)
    if whole <= 3 * convention.subsets * size**2:
        values = _discrepancies(generated, reference, _members(draws, generated, 0), _members(draws, reference, 1))
    else:
        one = np.ones((1, size))
        values = np.concatenate([_discrepancies(generated[i], reference[j], one, one) for i, j in draws])
    return Kid(float(values.mean()), float(values.std()), size)


def kid_influence(generated: Vectors, reference: Vectors, convention: KidConvention) -> Doubles:
    """Return how each generated sample `(N,)` moves the distance that `kid` returns, drawing the same subsets.

    Within a subset of b samples it is the exact delete-one jackknife of the U-statistic: without sample i it is

        (Sxx - 2 sᵢ) / ((b - 1) (b - 2)) - 2 (Sxy - tᵢ) / ((b - 1) b) + Syy / (b (b - 1)),

    sᵢ and tᵢ being the sums of kernels of i with the other generated and with the reference samples. A sample's
    influence is N / b times the mean over subsets of its influence there, 0 where it is not drawn. The mean over
    samples is 0; their standard deviation over root N is the standard error of the distance, the reference and the
    draws being held fixed.

    Raises:
        NotEnoughSamples: fewer than three samples a subset, or as `kid`.
        ValueError: the two sides have different D.

    Source: Gretton et al. 2012, Journal of Machine Learning Research 13; Arvesen 1969, Annals of Mathematical
    Statistics 40(6) (the jackknife of U-statistics).
    """
    size = min(convention.subset_size, len(generated), len(reference)) if convention.shrinks else convention.subset_size
    _require(max(size, 3), generated, reference)
    draws = _draws(convention, size, len(generated), len(reference))
    influence = np.zeros(len(generated))
    if size == len(generated):  # every subset holds all of them: only the references differ
        weights = _members(draws, reference, 1).mean(axis=0)
        return _subset_influence(_own_sums(generated), _weighted_sums(generated, reference, weights))
    for chosen, others in draws:
        subset = generated[chosen]
        across = _weighted_sums(subset, reference[others], np.ones(size))
        influence[chosen] += _subset_influence(_own_sums(subset), across)
    return influence * (len(generated) / (size * len(draws)))


def _subset_influence(own: Doubles, across: Doubles) -> Doubles:
    """Return the jackknife's influence `(b,)` from each sample's sums of kernels with its own side and the other."""
    b = len(own)
    without = (own.sum() - 2 * own) / ((b - 1) * (b - 2)) - 2 * (across.sum() - across) / ((b - 1) * b)
    return jackknife_influence(without)


def _own_sums(x: Vectors) -> Doubles:
    sums = _weighted_sums(x, x, np.ones(len(x)))
    norms = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    own: Doubles = sums - (norms / x.shape[1] + 1) ** 3
    return own


def _weighted_sums(x: Vectors, y: Vectors, weights: Doubles) -> Doubles:
    """Return each row's kernels with `y (M, D)` summed `(N,)`, weighted by `weights (M,)`."""
    sums = np.zeros(len(x))
    for rows in row_chunks(len(x), _TILE):
        for columns in row_chunks(len(y), _TILE):
            sums[rows] += _kernel(x[rows], y[columns]) @ weights[columns]
    return sums


def squared_discrepancy(x: Vectors, y: Vectors) -> float:
    """Return the unbiased estimate of the squared maximum mean discrepancy from all samples, `x (N, D)`, `y (M, D)`.

    Raises:
        NotEnoughSamples: a side has fewer than two samples.
        ValueError: the two sides have different D.

    Source: Gretton et al. 2012, Journal of Machine Learning Research 13, equation 3.
    """
    _require(2, x, y)
    return float(_discrepancies(x, y, np.ones((1, len(x))), np.ones((1, len(y))))[0])


def _require(size: int, x: Vectors, y: Vectors) -> None:
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"the two sides have {x.shape[1]} and {y.shape[1]} dimensions; they must agree")
    fewest = min(len(x), len(y))
    if fewest < max(size, 2):
        raise NotEnoughSamples(
            f"KID draws subsets of {max(size, 2)} and one side has {fewest} samples; add samples or draw fewer"
        )


_Draws = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]


def _draws(convention: KidConvention, size: int, n: int, m: int) -> _Draws:
    """Return the indices of each subset, `(generated, reference)`."""
    generator = np.random.RandomState(convention.seed)
    draws: _Draws = []
    for _ in range(convention.subsets):
        if convention.first == "generated":
            chosen = generator.choice(n, size, replace=False)
            draws.append((chosen, generator.choice(m, size, replace=False)))
        else:
            chosen = generator.choice(m, size, replace=False)
            draws.append((generator.choice(n, size, replace=False), chosen))
    return draws


def _members(draws: _Draws, side: Vectors, which: int) -> Doubles:
    """Return an indicator `(subsets, N)` of who is in each subset."""
    members = np.zeros((len(draws), len(side)))
    for row, draw in zip(members, draws, strict=True):
        row[draw[which]] = 1
    return members


def _discrepancies(x: Vectors, y: Vectors, in_x: Doubles, in_y: Doubles) -> Doubles:
    """Return the estimate `(S,)` for each of S subsets, given as indicators `(S, N)` and `(S, M)`."""
    n, m = in_x.sum(axis=1), in_y.sum(axis=1)
    values: Doubles = _kernel_sums(x, y, in_x, in_y) * (-2 / (n * m))
    values += _kernel_sums(x, None, in_x, in_x) / (n * (n - 1))
    values += _kernel_sums(y, None, in_y, in_y) / (m * (m - 1))
    return values


def _kernel_sums(x: Vectors, y: Vectors | None, in_x: Doubles, in_y: Doubles) -> Doubles:
    """Return the kernel summed over each subset's pairs `(S,)`; with `y` None over pairs of different ones of `x`."""
    other = x if y is None else y
    sums = np.zeros(len(in_x))
    for rows in row_chunks(len(x), _TILE):
        for columns in row_chunks(len(other), _TILE):
            if y is None and columns.start < rows.start:
                continue
            kernel = _kernel(x[rows], other[columns])
            if y is None and columns.start == rows.start:
                np.fill_diagonal(kernel, 0)
            twice = 2 if y is None and columns.start > rows.start else 1
            sums += twice * np.einsum("ij,ij->i", in_x[:, rows] @ kernel, in_y[:, columns])
    return sums


def _kernel(x: Vectors, y: Vectors) -> Doubles:
    """Return (x·y / D + 1)³ `(N, M)`; the products in the features' own precision, as the tools do."""
    base: Doubles = (x @ y.T).astype(np.float64)
    base /= x.shape[1]
    base += 1
    cube = np.square(base)
    cube *= base
    return cube
