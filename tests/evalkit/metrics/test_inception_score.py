"""Laws of the Inception Score: its bounds, and torch-fidelity's number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evalkit.errors import NotEnoughSamples
from evalkit.metrics.inception_score import inception_score


def test_equal_logits_score_one() -> None:
    assert list(inception_score(np.ones((30, 7)))) == pytest.approx([1, 0])


def test_sure_and_even_answers_score_the_number_of_classes() -> None:
    # However they are shuffled, a split of one sample has a mean equal to itself: many in a split, each class as often.
    mean, _ = inception_score(np.tile(np.eye(4) * 1000, (2500, 1)))
    assert mean == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize("n", [10, 57, 503])
def test_it_is_torch_fidelitys(n: int) -> None:
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = (2 * np.random.default_rng(0).normal(size=(n, 1008))).astype(np.float32)
    theirs = isc_features_to_metric(torch.from_numpy(logits))
    mean, std = inception_score(logits)
    assert mean == pytest.approx(theirs["inception_score_mean"], abs=1e-9)
    assert std == pytest.approx(theirs["inception_score_std"], abs=1e-9)


def test_fewer_samples_than_splits_are_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="9 samples"):
        inception_score(np.ones((9, 4)))
