"""FID extrapolated to infinitely many samples, with the line that it is read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import Gaussian, Vectors, gaussian_distance, gaussian_of_features

POINTS = 15
SEED = 2020
FEWEST = 30
_FIRST = 5000


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """The line value + slope / N through the Fréchet distances at several N.

    `standard_error` is that of `value` from the scatter of the points about the line alone. The points share samples,
    so it is less than the error that another draw of samples would show.
    """

    value: float
    slope: float
    standard_error: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]

    def at(self, size: int) -> float:
        """Return the line's value at N = `size`."""
        return self.value + self.slope / size


def sizes(n: int) -> tuple[int, ...]:
    """Return the 15 numbers of samples that the line is fitted to, evenly spaced up to `n`.

    From 5,000 where there are at least 10,000, else from half of them: below that the bias is not linear in 1 / N.

    Raises:
        NotEnoughSamples: `n` is less than 30.
    """
    if n < FEWEST:
        raise NotEnoughSamples(f"{POINTS} sizes need at least {FEWEST} samples, not {n}; add samples")
    first = _FIRST if n >= 2 * _FIRST else n // 2
    return tuple(int(size) for size in np.linspace(first, n, POINTS))


def extrapolation(features: Vectors, reference: Gaussian) -> Extrapolation:
    """Return the extrapolation to infinite N of the Fréchet distance from `features (N, D)` to `reference`.

    Each size has its own random subset, drawn without replacement from a fixed seed.

    Raises:
        NotEnoughSamples: fewer than 30 vectors.

    Source: Chong and Forsyth 2020, arXiv:1911.07023, and dgm-eval's `fd.py`: 15 sizes, the first 5,000, least squares
    against 1 / N. Plain random subsets stand in for their Sobol sequences, which need the generator.
    """
    generator = np.random.default_rng(SEED)
    counts = sizes(len(features))
    subsets = (features[np.sort(generator.permutation(len(features))[:size])] for size in counts)
    distances = np.array([gaussian_distance(gaussian_of_features(subset), reference) for subset in subsets])
    inverse = 1 / np.asarray(counts, dtype=np.float64)
    spread = np.square(inverse - inverse.mean()).sum()
    slope = float((inverse - inverse.mean()) @ distances / spread)
    value = float(np.mean(distances) - slope * inverse.mean())
    residual = np.square(distances - value - slope * inverse).sum() / (POINTS - 2)
    error = float(np.sqrt(residual * (1 / POINTS + inverse.mean() ** 2 / spread)))
    return Extrapolation(value, slope, error, counts, tuple(distances.tolist()))
