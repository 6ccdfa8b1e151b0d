"""The numbers of FID's family for one set of generated pictures and one reference, each computed once and then kept.

A finding is a few named arrays in the feature cache's statistics, under the digest of all that it follows from. A
damaged one is a `CacheError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evalkit.errors import CacheError
from evalkit.features.cache import FeatureCache
from evalkit.keys import digest
from evalkit.metrics.extrapolation import Extrapolation, extrapolation
from evalkit.metrics.frechet import Doubles, Gaussian, gaussian_distance, gaussian_of_features
from evalkit.metrics.inception_score import inception_score
from evalkit.metrics.jackknife import frechet_leave_one_out
from evalkit.metrics.kernel import Kid, KidConvention, kid, kid_influence
from evalkit.metrics.manifold import Overlap, overlap, radii
from evalkit.types import Json

METRIC_VERSION = 1
"""Raised with every change of this package's code that moves a number: findings of older code are then not found."""

Singles: TypeAlias = npt.NDArray[np.float32]
Arrays: TypeAlias = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Frechet:
    """The Fréchet distance, and what it is without each generated picture in turn `(N,)`; empty below three."""

    value: float
    leave_one_out: Doubles


class Findings:
    """FID's family between `generated (N, D)` and a reference, in the order that both are given in."""

    def __init__(
        self,
        cache: FeatureCache,
        generated: Singles,
        generated_key: Json,
        load_reference: Callable[[], Singles],
        reference_key: Json,
    ) -> None:
        """Use `cache`; the keys are what the vectors follow from, and the reference is loaded only if it is needed."""
        self._cache = cache
        self._generated = generated
        self._generated_key = generated_key
        self._load_reference = load_reference
        self._reference_key = reference_key

    def frechet(self) -> Frechet:
        """Return the Fréchet distance."""
        found = self._of_both("frechet", None, {"value", "leave_one_out"}, self._frechet)
        return Frechet(float(found["value"]), found["leave_one_out"])

    def kid(self, convention: KidConvention) -> Kid:
        """Return the kernel distance.

        Raises:
            NotEnoughSamples: see `evalkit.metrics.kernel.kid`.
        """

        def compute() -> Arrays:
            made = kid(self._generated, self._reference, convention)
            return _arrays({"mean": made.mean, "std": made.std, "size": made.subset_size})

        found = self._of_both("kid", _draw_settings(convention), {"mean", "std", "size"}, compute)
        return Kid(float(found["mean"]), float(found["std"]), int(found["size"]))

    def kid_influence(self, convention: KidConvention) -> Doubles:
        """Return how each generated picture moves the kernel distance `(N,)`.

        Raises:
            NotEnoughSamples: see `evalkit.metrics.kernel.kid_influence`.
        """

        def compute() -> Arrays:
            return {"influence": kid_influence(self._generated, self._reference, convention)}

        return self._of_both("kid influence", _draw_settings(convention), {"influence"}, compute)["influence"]

    def overlap(self) -> Overlap:
        """Return precision, recall, density and coverage, sample by sample.

        Raises:
            NotEnoughSamples: see `evalkit.metrics.manifold.overlap`.
        """

        def compute() -> Arrays:
            made = overlap(self._generated, self._reference, self._reference_radii())
            return {name: np.asarray(getattr(made, name)) for name in names}

        names = tuple(f.name for f in fields(Overlap))
        found = self._of_both("overlap", None, set(names), compute)
        return Overlap(
            found["inside"] > 0,
            found["balls"].astype(np.int64),
            float(found["recall"]),
            float(found["coverage"]),
            found["recall_without"],
            found["coverage_without"],
        )

    def inception_score(self, logits: Singles) -> float:
        """Return the mean Inception Score over splits of the generated pictures' `logits (N, C)`.

        Raises:
            NotEnoughSamples: fewer pictures than splits.
        """
        key: Json = {"what": "inception score", "generated": self._generated_key}
        return float(self._kept(key, {"mean"}, lambda: _arrays({"mean": inception_score(logits)[0]}))["mean"])

    def extrapolation(self) -> Extrapolation:
        """Return the extrapolation to infinitely many generated pictures.

        Raises:
            NotEnoughSamples: see `evalkit.metrics.extrapolation.extrapolation`.
        """
        names = {"value", "slope", "standard_error", "sizes", "distances"}
        found = self._of_both("extrapolation", None, names, self._extrapolation)
        return Extrapolation(
            float(found["value"]),
            float(found["slope"]),
            float(found["standard_error"]),
            tuple(int(size) for size in found["sizes"]),
            tuple(float(distance) for distance in found["distances"]),
        )

    @cached_property
    def _reference(self) -> Singles:
        return self._load_reference()

    @cached_property
    def _gaussian(self) -> Gaussian:
        def compute() -> Arrays:
            made = gaussian_of_features(self._reference)
            return {"n": np.array(made.n), "mean": made.mean, "factor": made.factor}

        key: Json = {"what": "gaussian", "reference": self._reference_key}
        found = self._kept(key, {"n", "mean", "factor"}, compute)
        return Gaussian(int(found["n"]), found["mean"], found["factor"])

    def _reference_radii(self) -> Singles:
        key: Json = {"what": "radii", "reference": self._reference_key}
        found = self._kept(key, {"radii"}, lambda: {"radii": radii(self._reference)})
        return found["radii"].astype(np.float32)

    def _frechet(self) -> Arrays:
        value = gaussian_distance(gaussian_of_features(self._generated), self._gaussian)
        few = len(self._generated) < 3
        without = np.empty(0) if few else frechet_leave_one_out(self._generated, self._gaussian)
        return {"value": np.array(value), "leave_one_out": without}

    def _extrapolation(self) -> Arrays:
        made = extrapolation(self._generated, self._gaussian)
        numbers = _arrays({"value": made.value, "slope": made.slope, "standard_error": made.standard_error})
        return {**numbers, "sizes": np.array(made.sizes), "distances": np.array(made.distances)}

    def _of_both(self, what: str, settings: Json, names: set[str], compute: Callable[[], Arrays]) -> dict[str, Doubles]:
        key: Json = {
            "what": what,
            "settings": settings,
            "generated": self._generated_key,
            "reference": self._reference_key,
        }
        return self._kept(key, names, compute)

    def _kept(self, key: Json, names: set[str], compute: Callable[[], Arrays]) -> dict[str, Doubles]:
        """Return the arrays kept under `key`, computed and kept first where there are none.

        Raises:
            CacheError: what is kept is damaged, or the cache cannot be written.
        """
        name = digest({"version": METRIC_VERSION, "key": key})
        arrays: Arrays | None = self._cache.get_statistics(name)
        if arrays is None:
            arrays = compute()
            self._cache.put_statistics(name, arrays)
        if set(arrays) != names or not all(np.isfinite(_doubles(a)).all() for a in arrays.values()):
            raise CacheError(
                f"statistics {name} in {self._cache.directory} hold {sorted(arrays)}, not the finite {sorted(names)}; "
                f"delete the file to make them again"
            )
        return {held: _doubles(array) for held, array in arrays.items()}


def _draw_settings(convention: KidConvention) -> Json:
    return {
        "subsets": convention.subsets,
        "size": convention.subset_size,
        "seed": convention.seed,
        "first": convention.first,
        "shrinks": convention.shrinks,
    }


def _doubles(array: npt.NDArray[np.generic]) -> Doubles:
    return np.asarray(array, dtype=np.float64)


def _arrays(numbers: Mapping[str, float]) -> dict[str, npt.NDArray[np.generic]]:
    return {name: np.array(number) for name, number in numbers.items()}
