"""How far the FID of n pictures would move with another draw of n: the exact delete-one jackknife, for one FID's cost.

What the interval is for: the expected FID of n pictures of this model against this reference, held fixed, as a
leaderboard holds it. FID depends on n, so it says nothing of FID at another n.

Why not the bootstrap: a resample of n pictures has about 0.63 n distinct ones, and the plug-in FID of fewer pictures
is larger. With n = D = 50 Gaussian vectors the true standard deviation is 0.25, the bootstrap's 0.70, and its centre
lies 3.9 too high; the jackknife gives 0.29. Leaving out one picture changes neither the rank nor the bias by much, and
its variance is on average not too small (Efron and Stein 1981, Annals of Statistics 9(3)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import Doubles, Gaussian, Vectors, row_chunks

_STEP = 0.3
_REACH = 26.0


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """The centred, reference-weighted features in their own principal axes.

    `variances (k,)` are the non-zero eigenvalues of Frᵀ Σg Fr, ascending; `weights (N, k)` the share of each sample in
    each: leaving sample i out takes away a rank-one term whose squared coordinates are `weights[i] * variances`.
    """

    variances: Doubles
    weights: Doubles


def frechet_leave_one_out(features: Vectors, reference: Gaussian) -> Doubles:
    """Return the Fréchet distance `(N,)` to `reference` without each of the vectors in turn, `features (N, D)`.

    Equal to N calls of the plug-in distance on N - 1 vectors, in one pass of O(N D²) (O(N² D) below N = D). Leaving a
    vector out changes the covariance by a rank-one term u uᵀ, and for such a change

        tr (M - u uᵀ)^½ - tr M^½ = (1 / 2π) ∫ t^-½ log(1 - uᵀ (M + t)⁻¹ u) dt over t > 0,

    which follows from the integral form of the root and the determinant lemma. With t = exp(2y) the integrand is
    analytic in a strip of half-width π/2 and falls off exponentially on both sides, so the trapezoidal rule of step h
    errs by exp(-π²/h).

    Raises:
        NotEnoughSamples: fewer than three vectors.
        ValueError: `features` holds a value that is not finite.
    """
    n = len(features)
    if n < 3:
        raise NotEnoughSamples(f"leaving one out needs at least 3 vectors, not {n}; add samples")
    mean = features.mean(axis=0, dtype=np.float64)
    if not np.isfinite(mean).all():
        raise ValueError("features hold a value that is not finite; extract them again")
    directions = _directions(features, mean, reference)
    grown = (n - 1) / (n - 2)
    roots = np.sqrt(directions.variances).sum() + _root_changes(directions)
    gap = mean - reference.mean
    norms, along = np.empty(n), np.empty(n)
    for rows in row_chunks(n):
        away = features[rows] - mean
        norms[rows] = np.einsum("ij,ij->i", away, away)
        along[rows] = away @ gap
    means = gap @ gap - 2 / (n - 1) * along + norms / (n - 1) ** 2
    variances = grown * (norms.sum() / (n - 1) - n / (n - 1) ** 2 * norms)
    without: Doubles = means + variances + reference.variance - 2 * np.sqrt(grown) * roots
    return without


def _directions(features: Vectors, mean: Doubles, reference: Gaussian) -> Directions:
    n, rank = len(features), reference.factor.shape[1]
    projected = np.empty((n, rank))
    for rows in row_chunks(n):
        projected[rows] = (features[rows] - mean) @ reference.factor
    projected /= np.sqrt(n - 1)
    if n <= rank:
        values, sides = _without_common_direction(projected @ projected.T)
    else:
        values, vectors = _positive(*scipy.linalg.eigh(projected.T @ projected, check_finite=False))
        sides = projected @ (vectors / np.sqrt(values))
    return Directions(values, np.square(sides) * (n / (n - 1)))


def _without_common_direction(gram: Doubles) -> tuple[Doubles, Doubles]:
    """Return eigenvalues and eigenvectors of the centred `gram (N, N)`, less the null one of equal entries.

    Rounding would make that one a small variance in which every sample has a share: it is lifted above all and dropped.
    """
    lifted = gram + 2 * np.trace(gram) / len(gram)
    values, vectors = scipy.linalg.eigh(lifted, check_finite=False)
    return _positive(values[:-1], vectors[:, :-1])


def _positive(values: Doubles, vectors: Doubles) -> tuple[Doubles, Doubles]:
    """Return those eigenvalues that are positive to working precision, with their vectors."""
    keep = values > len(values) * np.finfo(np.float64).eps * values.max(initial=0.0)
    return values[keep], vectors[:, keep]


def _root_changes(directions: Directions) -> Doubles:
    """Return by how much the trace of the root changes as each sample's rank-one term is taken away."""
    variances, weights = directions.variances, directions.weights
    if variances.size == 0:
        return np.zeros(len(weights))
    offsets = np.arange(-_REACH, _REACH, _STEP)
    scales = np.sqrt(variances[-1]) * np.exp(offsets)
    nodes = np.square(scales)
    below = offsets < 0
    # Below the largest variance 1 - uᵀ(M + t)⁻¹u is summed from positive terms; above it the logarithm of nearly one is
    # taken from the small part. Either form alone loses all digits on the other side.
    near = nodes[below] / (variances[:, None] + nodes[below])
    far = variances[:, None] / (variances[:, None] + nodes[~below])
    changes = np.empty(len(weights))
    for rows in row_chunks(len(weights)):
        share = weights[rows]
        slack = (1 - share.sum(axis=1, keepdims=True)).clip(min=0.0)
        logs = np.hstack([np.log((slack + share @ near).clip(min=1e-300)), np.log1p(-(share @ far))])
        changes[rows] = logs @ scales
    return changes * (_STEP / np.pi)
