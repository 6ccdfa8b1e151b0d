"""The Inception Score of pictures, from the classifier's logits."""

from __future__ import annotations

import numpy as np
import scipy.special

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.frechet import Vectors

SPLITS = 10
SEED = 2020


def inception_score(logits: Vectors) -> tuple[float, float]:
    """Return mean and population standard deviation over 10 splits of the Inception Score of `logits (N, C)`.

    exp of the mean over a split of KL(p(y|x) ‖ p(y)), p(y) being the split's own mean; 1 to C. The logits are those
    without the classifier's bias, shuffled by a fixed seed.

    Raises:
        NotEnoughSamples: fewer logits than splits.

    Source: Salimans et al. 2016, arXiv:1606.03498, as torch-fidelity 0.4.0 `metric_isc.py`.
    """
    n = len(logits)
    if n < SPLITS:
        raise NotEnoughSamples(f"the Inception Score takes {SPLITS} splits and there are {n} samples; add samples")
    shuffled = logits[np.random.RandomState(SEED).permutation(n)].astype(np.float64)
    scores = [_split_score(shuffled[i * n // SPLITS : (i + 1) * n // SPLITS]) for i in range(SPLITS)]
    return float(np.mean(scores)), float(np.std(scores))


def _split_score(logits: Vectors) -> float:
    logs = scipy.special.log_softmax(logits, axis=1)
    probabilities = np.exp(logs)
    divergences = (probabilities * (logs - np.log(probabilities.mean(axis=0)))).sum(axis=1)
    return float(np.exp(divergences.mean()))
