"""Prints what FID's family costs here: run `python tests/benchmarks/bench_frechet.py [PART ...]`.

Parts: `root` (our Fréchet distance against scipy's sqrtm and against eigvals, at 2048), `kid`, `prc` (both against
torch-fidelity), `interval` and `paired` (30,000 x 2,048). Wall time and, since a shared machine's wall time says
little, CPU time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch
from torch_fidelity.defaults import DEFAULTS
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from evalkit import stats
from evalkit.metrics.frechet import Moments, frechet_distance, gaussian_of_features, moments
from evalkit.metrics.jackknife import frechet_leave_one_out
from evalkit.metrics.kernel import KidConvention, kid, kid_influence
from evalkit.metrics.manifold import manifold

Singles = npt.NDArray[np.float32]
T = TypeVar("T")
SETTINGS = {**DEFAULTS, "verbose": False}


def features(n: int, seed: int, shift: float = 0.0) -> Singles:
    """Return `(n, 2048)` like Inception's: non-negative, correlated, of full rank."""
    projection = np.random.default_rng(99).normal(size=(256, 2048)).astype(np.float32) / 16
    random = np.random.default_rng(seed)
    latent = random.standard_normal((n, 256), np.float32) * (np.arange(1, 257) ** -0.6).astype(np.float32)
    noise = np.float32(0.2) * random.standard_normal((n, 2048), np.float32)
    made: Singles = np.maximum(4 * latent @ projection + noise + np.float32(0.1 + shift), 0)
    return made


def timed(what: str, work: Callable[[], T]) -> tuple[T, float, float]:
    """Run `work`, print its wall and CPU seconds, and return both with what it returned."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"  {what:<44} {wall:8.2f} s wall {processor:8.2f} s CPU", flush=True)
    return found, wall, processor


def _others_trace(a: Moments, b: Moments, root: Callable[[npt.NDArray[np.float64]], float]) -> float:
    gap = a.mean - b.mean
    first, second = a.covariance, b.covariance
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * root(first @ second))


def root() -> None:
    """Compare ways to the trace of the matrix root."""
    print("Fréchet distance at 2048, 10,000 against 10,000")
    a, b = moments(features(10_000, 0)), moments(features(10_000, 1, 0.02))
    ours, *our_seconds = timed("ours", lambda: frechet_distance(a, b))
    ways: dict[str, Callable[[npt.NDArray[np.float64]], float]] = {
        "eigvals (torch-fidelity, torchmetrics)": lambda m: float(
            np.sqrt(np.linalg.eigvals(m).astype(complex)).real.sum()
        ),
        "sqrtm (pytorch-fid, clean-fid)": lambda m: float(np.trace(scipy.linalg.sqrtm(m)).real),
    }
    for name, way in ways.items():
        theirs, wall, processor = timed(name, lambda way=way: _others_trace(a, b, way))  # type: ignore[misc]
        ratio = f"{wall / our_seconds[0]:.1f} x our wall time, {processor / our_seconds[1]:.1f} x our CPU time"
        print(f"    {ratio}; differs by {theirs - ours:.1e} of {ours:.6f}")


def kernel() -> None:
    """Compare KID with torch-fidelity's."""
    for n in (2000, 10_000):
        print(f"KID, 100 subsets of 1,000, {n} against {n}")
        x, y = features(n, 0), features(n, 1, 0.02)
        ours, our_wall, _ = timed("ours", lambda x=x, y=y: kid(x, y, KidConvention("torch-fidelity")))  # type: ignore[misc]
        sides = torch.from_numpy(x), torch.from_numpy(y)
        theirs, wall, _ = timed("torch-fidelity", lambda s=sides: kid_features_to_metric(*s, **SETTINGS))  # type: ignore[misc]
        gap = theirs["kernel_inception_distance_mean"] - ours.mean
        print(f"    {wall / our_wall:.1f} x our time; differs by {gap:.1e}")


def overlap() -> None:
    """Compare precision and recall with torch-fidelity's, which has no density and coverage."""
    print("precision, recall (and ours density, coverage), 8,000 against 8,000")
    x, y = features(8000, 0), features(8000, 1, 0.02)
    ours, our_wall, _ = timed("ours", lambda: manifold(x, y))
    sides = torch.from_numpy(x), torch.from_numpy(y)
    theirs, wall, _ = timed("torch-fidelity", lambda: prc_features_to_metric(*sides, **SETTINGS))
    print(f"    {wall / our_wall:.1f} x our time; precision {ours.precision:.6f} against {theirs['precision']:.6f}")


def interval() -> None:
    """Show the cost of the interval of FID-30K."""
    print("interval of FID by the exact jackknife, 30,000 x 2,048")
    x = features(30_000, 0)
    reference = gaussian_of_features(features(10_000, 1, 0.02))
    without, *_ = timed("leave one out, all 30,000", lambda: frechet_leave_one_out(x, reference))
    print(f"    standard error {stats.jackknife_standard_error(without):.4f} around {without.mean():.4f}")


def paired() -> None:
    """Show what it costs to compare two models' FID on the same 30,000 prompts, and KID's influences."""
    print("two models on the same 30,000 prompts, 2,048 dimensions")
    first, reference = features(30_000, 0), gaussian_of_features(features(10_000, 1, 0.02))
    second = first + np.float32(0.02)
    ids = [str(i) for i in range(30_000)]
    influences = []
    for x in (first, second):
        without, *_ = timed("influence on FID", partial(frechet_leave_one_out, x, reference))
        influences.append(stats.jackknife_influence(without))
    gaps = influences[1] - influences[0]
    found, *_ = timed("their difference", lambda: stats.paired_difference(gaps, ids))
    alone = [float(np.std(one, ddof=1)) / 30_000**0.5 for one in influences]
    print(f"    standard errors {alone[0]:.4f} and {alone[1]:.4f}, of the difference {found.standard_error:.4f}")
    others = features(10_000, 1, 0.02)
    timed("influence on KID", lambda: kid_influence(first, others, KidConvention("torch-fidelity")))


PARTS = {"root": root, "kid": kernel, "prc": overlap, "interval": interval, "paired": paired}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
