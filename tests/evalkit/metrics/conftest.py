"""Features like Inception's: non-negative, correlated, with a spectrum that falls by many orders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Singles = npt.NDArray[np.float32]
InceptionLike = Callable[..., Singles]


@pytest.fixture(scope="session")
def inception_like() -> InceptionLike:
    """Makes `(n, dimension)` float32 features: ReLU of random projections of falling latent directions."""

    def make(n: int, dimension: int = 256, seed: int = 0, shift: float = 0.0, decay: float = 0.8) -> Singles:
        projection = np.random.default_rng(99).normal(size=(dimension, dimension)) / np.sqrt(dimension)
        latent = np.random.default_rng(seed).normal(size=(n, dimension)) * np.arange(1, dimension + 1) ** -decay
        features: Singles = np.maximum(4 * latent @ projection + 0.3 + shift, 0).astype(np.float32)
        return features

    return make
