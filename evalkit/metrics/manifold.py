"""Precision, recall, density and coverage: how two sets of features overlap as unions of balls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import Vectors, row_chunks

Singles: TypeAlias = npt.NDArray[np.float32]

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5
_ENTRIES = 32_000_000
"""Distances held at once: 128 MB."""


@dataclass(frozen=True, slots=True)
class Manifold:
    """Shares, 0 to 1, and a ratio, 0 upwards, that say how two sets overlap.

    `precision` is the share of generated samples inside reference balls, `recall` of reference samples inside generated
    balls, `coverage` of reference balls that hold a generated sample. `density` is the mean number of reference balls
    that hold a generated sample over the number of neighbours: 1 is expected of equal distributions.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(generated: Vectors, reference: Vectors, reference_radii: Singles | None = None) -> Manifold:
    """Return precision and recall with 3 neighbours, density and coverage with 5, of `(N, D)` against `(M, D)`.

    `reference_radii` is `radii(reference)`, where it is known already. Memory beside the features is bounded;
    time is O((N² + NM + M²) D).

    Raises:
        NotEnoughSamples: N is not over 3 or M not over 5.
        ValueError: the two sides have different D.

    Source: precision and recall Kynkäänniemi et al. 2019, arXiv:1904.06991, as torch-fidelity 0.4.0 `metric_prc.py`:
    a ball holds its surface (<=). Density and coverage Naeem et al. 2020, arXiv:2002.09797, as its authors' code: a
    ball does not hold its surface (<).
    """
    if generated.shape[1] != reference.shape[1]:
        raise ValueError(
            f"the two sides have {generated.shape[1]} and {reference.shape[1]} dimensions; they must agree"
        )
    centre = reference.mean(axis=0, dtype=np.float64)
    x, y = _about(generated, centre), _about(reference, centre)
    _require(len(x), PRECISION_NEIGHBOURS, "generated")
    own = _radii(x, (PRECISION_NEIGHBOURS,))[0]
    theirs = radii(reference) if reference_radii is None else reference_radii
    return _overlap(x, y, own, theirs[0], theirs[1])


def radii(reference: Vectors) -> Singles:
    """Return the squared distances `(2, M)` of each reference sample to its 3rd and 5th nearest other one.

    Raises:
        NotEnoughSamples: M is not over 5.
    """
    _require(len(reference), DENSITY_NEIGHBOURS, "reference")
    centre = reference.mean(axis=0, dtype=np.float64)
    return _radii(_about(reference, centre), (PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS))


def _require(n: int, neighbours: int, side: str) -> None:
    if n <= neighbours:
        raise NotEnoughSamples(f"{neighbours} neighbours need more than {neighbours} {side} samples, not {n}; add some")


def _about(features: Vectors, centre: npt.NDArray[np.float64]) -> Singles:
    """Return the features about `centre` in single precision: less is cancelled in their distances."""
    return (features - centre).astype(np.float32)


def _radii(x: Singles, neighbours: tuple[int, ...]) -> Singles:
    found = np.empty((len(neighbours), len(x)), np.float32)
    norms = np.einsum("ij,ij->i", x, x)
    for rows in _row_blocks(len(x), len(x)):
        squares = _squared_distances(x[rows], x, norms[rows], norms)
        squares[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = 0
        found[:, rows] = np.partition(squares, neighbours, axis=1)[:, neighbours].T
    return found


def _overlap(x: Singles, y: Singles, x_radii: Singles, y_radii: Singles, y_wide_radii: Singles) -> Manifold:
    precise, inside = 0, 0
    recalled, covered = np.zeros(len(y), bool), np.zeros(len(y), bool)
    x_norms, y_norms = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)
    for rows in _row_blocks(len(x), len(y)):
        squares = _squared_distances(x[rows], y, x_norms[rows], y_norms)
        precise += int((squares <= y_radii).any(axis=1).sum())
        recalled |= (squares <= x_radii[rows, None]).any(axis=0)
        within = squares < y_wide_radii
        inside += int(within.sum())
        covered |= within.any(axis=0)
    density = inside / (DENSITY_NEIGHBOURS * len(x))
    return Manifold(precise / len(x), float(recalled.mean()), density, float(covered.mean()))


def _row_blocks(n: int, width: int) -> list[slice]:
    return list(row_chunks(n, max(_ENTRIES // width, 1)))


def _squared_distances(x: Singles, y: Singles, x_norms: Singles, y_norms: Singles) -> Singles:
    squares: Singles = x @ y.T
    squares *= -2
    squares += x_norms[:, None]
    squares += y_norms
    np.maximum(squares, 0, out=squares)
    return squares
