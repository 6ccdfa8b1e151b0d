"""The mean of values that come in clusters: several questions about one picture are not independent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.errors import NotEnoughSamples
from evalkit.stats.student import Doubles, student_interval
from evalkit.types import Interval


def clustered_standard_error(values: Sequence[float] | Doubles, clusters: Sequence[str]) -> float:
    """Return the standard error of the mean of `values`, those that share a cluster being dependent.

    With every value its own cluster it is the usual standard error.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: the lengths differ.

    Source: Liang and Zeger 1986, Biometrika 73(1), with the factor G / (G - 1) for G clusters.
    """
    doubles = np.asarray(values, dtype=np.float64)
    return standard_error_of_sums(cluster_sums(doubles - doubles.mean(), clusters), len(doubles))


def cluster_sums(values: Doubles, clusters: Sequence[str]) -> Doubles:
    """Return the sum `(G,)` of `values` in each cluster, in the order of the clusters' names.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: the lengths differ.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} values and {len(clusters)} clusters; each value needs one")
    names, positions = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise NotEnoughSamples(f"a standard error needs at least 2 clusters, not {len(names)}; add samples")
    return np.bincount(positions, weights=values).astype(np.float64)


def standard_error_of_sums(sums: Doubles, n: float) -> float:
    """Return the standard error of the mean of `n` values from each cluster's sum of deviations from that mean."""
    return float(np.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()) / n)


def mean_interval(values: Sequence[float] | Doubles, clusters: Sequence[str], level: float = 0.95) -> Interval:
    """Return the interval of the mean of `values`, clustered, by Student's t with one degree less than clusters.

    Raises:
        NotEnoughSamples: fewer than two clusters.
        ValueError: the lengths differ, or `level` is not between 0 and 1.
    """
    error = clustered_standard_error(values, clusters)
    mean = float(np.mean(np.asarray(values, dtype=np.float64)))
    return student_interval(mean, error, len(set(clusters)) - 1, level, "clustered standard error")
