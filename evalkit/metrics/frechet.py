"""The Fréchet distance between Gaussians fitted to features: FID, when the features are Inception's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg

from evalkit.errors import NotEnoughSamples

Vectors: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""Features `(N, D)`, one row a picture."""
Doubles: TypeAlias = npt.NDArray[np.float64]

_CHUNK = 4096
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The first two moments of `n` vectors: `mean (D,)` and `scatter (D, D)`, summed outer products about the mean."""

    n: int
    mean: Doubles
    scatter: Doubles

    @property
    def covariance(self) -> Doubles:
        """The unbiased covariance `(D, D)`, scatter / (n - 1)."""
        _require_two(self.n)
        return self.scatter / (self.n - 1)

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sides' vectors.

        Source: Chan, Golub, LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample variances.
        """
        if other.n == 0 or self.n == 0:
            return self if other.n == 0 else other
        n = self.n + other.n
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(gap, gap * (self.n * other.n / n))
        return Moments(n, self.mean + gap * (other.n / n), scatter)


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """A normal distribution: `mean (D,)` and a `factor (D, r)` of its covariance, Σ = factor @ factor.T."""

    n: int
    mean: Doubles
    factor: Doubles

    @property
    def variance(self) -> float:
        """The trace of the covariance."""
        return float(np.vdot(self.factor, self.factor))


def moments(features: Vectors) -> Moments:
    """Return the moments of `features (N, D)`, in double precision whatever their own.

    Each chunk of rows is centred before its product is taken, so that a large common offset costs no digits.

    Raises:
        ValueError: `features` is not `(N, D)`, or holds a value that is not finite.
    """
    _require_vectors(features)
    found = Moments(0, np.zeros(features.shape[1]), np.zeros((features.shape[1], features.shape[1])))
    for start in range(0, len(features), _CHUNK):
        found = found.merge(_chunk_moments(features[start : start + _CHUNK]))
    return found


def _chunk_moments(chunk: Vectors) -> Moments:
    doubles = chunk.astype(np.float64)
    mean = doubles.mean(axis=0)
    doubles -= mean
    return Moments(len(chunk), mean, doubles.T @ doubles)


def gaussian(fitted: Moments) -> Gaussian:
    """Return the Gaussian of these moments, its covariance factored by Cholesky where that is safe, else by `eigh`.

    Raises:
        NotEnoughSamples: fewer than two vectors.
    """
    return Gaussian(fitted.n, fitted.mean, _factor(fitted.covariance))


def gaussian_of_features(features: Vectors) -> Gaussian:
    """Return the Gaussian fitted to `features (N, D)`; up to N = D its factor is made of the features themselves.

    Raises:
        NotEnoughSamples: fewer than two vectors.
        ValueError: `features` is not `(N, D)`, or holds a value that is not finite.
    """
    n, dimension = features.shape
    if n > dimension:
        return gaussian(moments(features))
    _require_two(n)
    _require_vectors(features)
    mean = features.mean(axis=0, dtype=np.float64)
    return Gaussian(n, mean, _contrasts(features - mean).T / np.sqrt(n - 1))


def _contrasts(rows: Doubles) -> Doubles:
    """Return N - 1 vectors of the same scatter about 0 as the N centred `rows (N, D)` have, by Helmert's rotation.

    N centred vectors have rank N - 1: the null direction that is left out here would cost half of the digits in a root.
    """
    count = np.arange(1, len(rows))[:, None]
    contrasts: Doubles = np.cumsum(rows, axis=0)[:-1] - count * rows[1:]
    contrasts /= np.sqrt(count * (count + 1))
    return contrasts


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance between the Gaussians fitted to `a` and `b`.

    |μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½), in squared feature units; 0 for equal moments.

    The tools take the trace from the product Σa Σb, which is not symmetric: torch-fidelity and torchmetrics from its
    eigenvalues, pytorch-fid and clean-fid from scipy's sqrtm, adding 1e-6 to both diagonals and trying again where it
    is singular to working precision. On full-rank covariances all agree to about 1e-9. Below rank D (N <= D) each
    null direction costs the tools about the root of the rounding error, up to 1e-3 in all; here it costs nothing.

    Raises:
        NotEnoughSamples: either side has fewer than two vectors.
        ValueError: the two sides have different D.

    Source: Heusel et al. 2017, arXiv:1706.08500. With Σ = F Fᵀ on both sides the trace of the root is the sum of
    the singular values of Faᵀ Fb, so no complex part arises to be dropped.
    """
    return gaussian_distance(gaussian(a), gaussian(b))


def frechet_distance_of_features(x: Vectors, y: Vectors) -> float:
    """Return the squared Fréchet distance between the Gaussians fitted to `x (N, D)` and `y (M, D)`.

    Equal to `frechet_distance(moments(x), moments(y))`. A side of at most D vectors is never turned into a covariance:
    with both below D the trace comes from the N by M products of their vectors, in O(N M D).

    Raises:
        NotEnoughSamples: either side has fewer than two vectors.
        ValueError: the two sides have different D.
    """
    return gaussian_distance(gaussian_of_features(x), gaussian_of_features(y))


def gaussian_distance(a: Gaussian, b: Gaussian) -> float:
    """Return the squared Fréchet distance between `a` and `b`: see `frechet_distance`.

    Raises:
        ValueError: the two sides have different D.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"the two sides have {a.mean.size} and {b.mean.size} dimensions; they must agree")
    gap = a.mean - b.mean
    distance = float(gap @ gap) + a.variance + b.variance - 2 * _nuclear_norm(a.factor.T @ b.factor)
    return max(distance, 0.0)


def _factor(covariance: Doubles) -> Doubles:
    """Return F `(D, r)` with F Fᵀ = `covariance`, r being its rank to working precision."""
    try:
        lower = scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return _eigen_factor(covariance)
    pivots = np.diagonal(lower)
    return lower if pivots.min() > 1e-5 * pivots.max() else _eigen_factor(covariance)


def _eigen_factor(covariance: Doubles) -> Doubles:
    values, vectors = scipy.linalg.eigh(covariance, check_finite=False)
    keep = values > len(values) * _EPSILON * values[-1]
    return np.asarray(vectors[:, keep] * np.sqrt(values[keep]), dtype=np.float64)


def _nuclear_norm(matrix: Doubles) -> float:
    """Return the sum of the singular values of `matrix`.

    As roots of the eigenvalues of its Gram matrix, which is several times faster than the singular values, unless
    squaring could cost more than 1e-9 of the sum.
    """
    if matrix.size == 0:
        return 0.0
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    values = scipy.linalg.eigvalsh(gram, check_finite=False).clip(min=0.0)
    roots = np.sqrt(values)
    rounding = 4 * _EPSILON * values[-1]
    lost = np.minimum(np.sqrt(rounding), rounding / np.maximum(roots, 1e-300)).sum()
    if lost <= 1e-9 * roots.sum():
        return float(roots.sum())
    return float(scipy.linalg.svdvals(matrix, check_finite=False).sum())


def row_chunks(n: int, size: int = _CHUNK) -> Iterator[slice]:
    """Yield slices that cover `range(n)` in order, each at most `size` long."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _require_two(n: int) -> None:
    if n < 2:
        raise NotEnoughSamples(f"a covariance needs at least 2 vectors, not {n}; add samples")


def _require_vectors(features: Vectors) -> None:
    if features.ndim != 2:
        raise ValueError(f"features must be (N, D), not {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features hold a value that is not finite; extract them again")
