"""What of a mean's uncertainty is the choice of items, and what is the sampling of answers: repeats tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.errors import NotEnoughSamples
from evalkit.stats.means import clustered_standard_error
from evalkit.stats.student import Doubles


@dataclass(frozen=True, slots=True)
class Components:
    """The mean over all items and repeats, and three standard errors of it.

    `seed_error` is what other answers to the same items would move it by, `item_error` what other items would with
    infinitely many repeats, `standard_error` both together. `seed_deviation` is how far one repeat's own mean scatters.
    """

    mean: float
    standard_error: float
    item_error: float
    seed_error: float
    seed_deviation: float


def variance_components(scores: Doubles, clusters: Sequence[str]) -> Components:
    """Return the components of `scores (n, R)`: n items, each answered R times with seeds of its own.

    With y the score, the answers' variance is that within an item, s² = Σ (y - item's mean)² / (n (R - 1)). The whole
    error is the clustered one of the items' means; the seeds' part of its square is s² / (n R), and what is left is the
    items', 0 where less than nothing is left.

    Raises:
        NotEnoughSamples: fewer than two repeats or two clusters.
        ValueError: the lengths differ.

    Source: one-way random effects, Searle, Casella, McCulloch 1992, Variance Components, chapter 3.
    """
    n, repeats = scores.shape
    if repeats < 2:
        raise NotEnoughSamples(f"seeds need at least 2 repeats to be told from items, not {repeats}; add --repeats 2")
    means = scores.mean(axis=1)
    within = float(np.square(scores - means[:, None]).sum() / (n * (repeats - 1)))
    whole = clustered_standard_error(means, clusters)
    seed_square = within / (n * repeats)
    item_error = float(np.sqrt(max(whole**2 - seed_square, 0.0)))
    return Components(float(means.mean()), whole, item_error, float(np.sqrt(seed_square)), float(np.sqrt(within / n)))
