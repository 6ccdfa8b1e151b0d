"""Precision, recall, density and coverage: how two sets of features overlap as unions of balls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import Doubles, Vectors, row_chunks

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


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """How two sets overlap, sample by sample.

    `inside (N,)` says which generated samples lie in a reference ball, `balls (N,)` in how many. `recall_without` and
    `coverage_without (N,)` are what recall and coverage are without each generated sample; empty below five.
    """

    inside: npt.NDArray[np.bool_]
    balls: npt.NDArray[np.int64]
    recall: float
    coverage: float
    recall_without: Doubles
    coverage_without: Doubles

    @property
    def manifold(self) -> Manifold:
        """The four numbers."""
        density = int(self.balls.sum()) / (DENSITY_NEIGHBOURS * len(self.balls))
        return Manifold(int(self.inside.sum()) / len(self.inside), self.recall, density, self.coverage)


def manifold(generated: Vectors, reference: Vectors, reference_radii: Singles | None = None) -> Manifold:
    """Return precision and recall with 3 neighbours, density and coverage with 5: see `overlap`."""
    return overlap(generated, reference, reference_radii).manifold


def overlap(generated: Vectors, reference: Vectors, reference_radii: Singles | None = None) -> Overlap:
    """Return how `generated (N, D)` and `reference (M, D)` overlap, with what it would be without each generated one.

    `reference_radii` is `radii(reference)`, where it is known already. Memory beside the features is bounded;
    time is O((N² + NM + M²) D), leaving each one out included: without sample i the balls that had it among their 3
    nearest grow to their 4th, and its own ball is gone.

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
    theirs = radii(reference) if reference_radii is None else reference_radii
    return _overlap(x, y, _neighbours(x), theirs[0], theirs[1])


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


@dataclass(frozen=True, slots=True, eq=False)
class _Neighbours:
    """The 3 nearest other samples `(N, 3)` of each, and the squared distances to the 3rd and 4th; inf for no 4th."""

    nearest: npt.NDArray[np.int64]
    radii: Singles
    grown: Singles


def _neighbours(x: Singles) -> _Neighbours:
    k = PRECISION_NEIGHBOURS
    nearest = np.empty((len(x), k), np.int64)
    found = np.full((2, len(x)), np.inf, np.float32)
    norms = np.einsum("ij,ij->i", x, x)
    for rows in _row_blocks(len(x), len(x)):
        squares = _squared_distances(x[rows], x, norms[rows], norms)
        own = np.arange(rows.start, rows.stop)
        squares[own - rows.start, own] = -1  # before all others, equal ones too
        few = min(k + 2, len(x))
        candidates = np.argpartition(squares, few - 1, axis=1)[:, :few]
        distances = np.take_along_axis(squares, candidates, axis=1)
        order = np.argsort(distances, axis=1)
        nearest[rows] = np.take_along_axis(candidates, order[:, 1 : k + 1], axis=1)
        found[: few - k, rows] = np.take_along_axis(distances, order[:, k:], axis=1).T
    return _Neighbours(nearest, found[0], found[1])


def _overlap(x: Singles, y: Singles, own: _Neighbours, y_radii: Singles, y_wide_radii: Singles) -> Overlap:
    inside, balls = np.zeros(len(x), bool), np.zeros(len(x), np.int64)
    recalled, covered = _Holders(len(y)), _Holders(len(y))
    shells: list[npt.NDArray[np.int64]] = []
    x_norms, y_norms = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)
    for rows in _row_blocks(len(x), len(y)):
        squares = _squared_distances(x[rows], y, x_norms[rows], y_norms)
        inside[rows] = (squares <= y_radii).any(axis=1)
        holds = squares <= own.radii[rows, None]
        recalled.add(holds, rows.start)
        within = squares < y_wide_radii
        balls[rows] = np.count_nonzero(within, axis=1)
        covered.add(within, rows.start)
        if len(x) > PRECISION_NEIGHBOURS + 1:
            shell = np.argwhere((squares <= own.grown[rows, None]) & ~holds)
            shells.append(shell + np.array([rows.start, 0]))
    few = len(x) <= PRECISION_NEIGHBOURS + 1
    recall_lost = np.zeros(0) if few else _recall_lost(len(x), recalled, own.nearest, np.concatenate(shells))
    coverage_lost = np.zeros(0) if few else np.bincount(covered.sole[covered.count == 1], minlength=len(x))
    recall, coverage = float((recalled.count > 0).mean()), float((covered.count > 0).mean())
    return Overlap(inside, balls, recall, coverage, recall - recall_lost / len(y), coverage - coverage_lost / len(y))


class _Holders:
    """How many generated samples hold each reference sample, and which one does where it is one."""

    def __init__(self, count: int) -> None:
        self.count = np.zeros(count, np.int64)
        self.sole = np.zeros(count, np.int64)

    def add(self, holds: npt.NDArray[np.bool_], start: int) -> None:
        """Add the generated samples from `start` on, `holds (rows, M)`."""
        here = np.count_nonzero(holds, axis=0)
        self.count += here
        self.sole[here == 1] = start + holds[:, here == 1].argmax(axis=0)


def _recall_lost(
    n: int, recalled: _Holders, nearest: npt.NDArray[np.int64], shells: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return how many more reference samples are held with each generated one than without it `(n,)`.

    `shells (S, 2)` are the pairs of a ball and a reference sample that it holds only when it grows to its 4th
    neighbour: when one of its 3 nearest is left out.
    """
    ball, held = shells[recalled.count[shells[:, 1]] <= 1].T
    without, held = nearest[ball].ravel(), np.repeat(held, nearest.shape[1])
    gained = recalled.count[held] == 0
    pairs = np.unique(np.column_stack([without[gained], held[gained]]), axis=0)
    kept = np.zeros(len(recalled.count), bool)
    kept[held[~gained & (recalled.sole[held] == without)]] = True
    lost = np.bincount(recalled.sole[(recalled.count == 1) & ~kept], minlength=n)
    return lost - np.bincount(pairs[:, 0], minlength=n)


def _row_blocks(n: int, width: int) -> list[slice]:
    return list(row_chunks(n, max(_ENTRIES // width, 1)))


def _squared_distances(x: Singles, y: Singles, x_norms: Singles, y_norms: Singles) -> Singles:
    squares: Singles = x @ y.T
    squares *= -2
    squares += x_norms[:, None]
    squares += y_norms
    np.maximum(squares, 0, out=squares)
    return squares
