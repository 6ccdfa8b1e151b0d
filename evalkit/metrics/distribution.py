"""FID and its family over the pictures that a model made: features as they arrive, numbers at the end.

Vectors are cached by picture, the numbers by `evalkit.metrics.findings`: a run whose answers are all known costs the
reading of its features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from evalkit.errors import NotEnoughSamples, RunError, UsageError, nearest
from evalkit.features.cache import FeatureCache
from evalkit.features.inception import INCEPTION, Features, inception
from evalkit.features.pictures import Picture, identities
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.family import ESTIMATES, Comparison, Fields, family, sorted_features
from evalkit.metrics.findings import Findings, Singles
from evalkit.metrics.protocols import fid_protocol
from evalkit.progress import Progress, Silent
from evalkit.types import Image, Json, JsonScalar
from evalkit.weights import weight
from evalkit.workspace import Workspace


class Extractor(Protocol):
    """What turns pictures into vectors: `evalkit.features.inception.InceptionExtractor`, or another of its shape."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides its vectors."""
        ...

    @property
    def protocol_fields(self) -> Fields:
        """Its choices that move a vector by more than rounding."""
        ...

    def prepare(self) -> None:
        """Find its weights."""
        ...

    def extract(
        self,
        pictures: Sequence[Picture],
        cache: FeatureCache | None = None,
        progress: Progress | None = None,
        *,
        logits: bool = True,
    ) -> Features:
        """Return the pictures' vectors, and logits where they are asked for and can be had."""
        ...


@dataclass(slots=True)
class DistributionState:
    """The features of the samples so far, in the order that they came."""

    ids: list[str] = field(default_factory=list)
    chunks: list[Features] = field(default_factory=list)


class DistributionMetric:
    """How far the pictures that a model made are from a reference set, as distributions of features."""

    estimator: Literal["mean", "corpus", "distribution"] = "distribution"

    def __init__(
        self,
        workspace: Workspace,
        extractor: Extractor,
        reference: Sequence[Picture],
        protocol_name: str,
        fields: Mapping[str, JsonScalar],
        estimates: Sequence[str] = ESTIMATES,
    ) -> None:
        """Compare with `reference`; `fields` are the task's own choices, which go into every protocol.

        Raises:
            UsageError: no such protocol, or `estimates` holds an unknown name.
        """
        for wanted in estimates:
            if wanted not in ESTIMATES:
                raise UsageError(f"no estimate named {wanted!r}{nearest(wanted, ESTIMATES)}")
        self._workspace = workspace
        self._extractor = extractor
        self._reference = tuple(reference)
        self._named = fid_protocol(protocol_name)
        self._fields = dict(fields)
        self._estimates = frozenset(estimates)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, in the order that they are shown in."""
        return tuple(name for name in ESTIMATES if name in self._estimates)

    def only(self, names: Collection[str]) -> DistributionMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        named = self._named.name
        return DistributionMetric(self._workspace, self._extractor, self._reference, named, self._fields, tuple(names))

    def backlog(self) -> int:
        """Return how many reference pictures have no features in the cache yet.

        Raises:
            WeightsError: the weights, which features are stored under, cannot be had.
            DataError: a reference picture is missing.
        """
        with self._cache() as cache:
            return cache.missing(identities(self._reference, cache), self._extractor.fingerprint)

    def prepare(self) -> None:
        """Find the weights and every reference picture.

        Raises:
            WeightsError: the weights cannot be had.
            DataError: a reference picture is missing.
            NotEnoughSamples: there are fewer than two reference pictures.
        """
        if len(self._reference) < 2:
            raise NotEnoughSamples(f"FID needs at least 2 reference pictures, not {len(self._reference)}; add some")
        self._extractor.prepare()
        _ = self._reference_digest

    def start(self) -> DistributionState:
        """Return the state of no samples."""
        return DistributionState()

    def update(self, state: DistributionState, scored: Sequence[Scored]) -> DistributionState:
        """Return `state` with the features of these samples' pictures added.

        Raises:
            RunError: an answer does not hold exactly one picture.
            CacheError: a picture cannot be read, or the cache is damaged.
        """
        if not scored:
            return state
        pictures = [_picture(one) for one in scored]
        with self._cache() as cache:
            features = self._extractor.extract(pictures, cache, Silent(), logits="inception_score" in self._estimates)
        state.ids.extend(one.sample.id for one in scored)
        state.chunks.append(features)
        return state

    def merge(self, left: DistributionState, right: DistributionState) -> DistributionState:
        """Return the state of both sides' samples."""
        return DistributionState(left.ids + right.ids, left.chunks + right.chunks)

    def finish(self, state: DistributionState) -> MetricResult:
        """Return the estimates; they have the same bits whatever order and shards the samples came in.

        Raises:
            NotEnoughSamples: fewer than two generated or reference pictures.
            RunError: a sample was scored twice.
        """
        if min(len(state.ids), len(self._reference)) < 2:
            raise NotEnoughSamples(
                f"FID needs at least 2 generated and 2 reference pictures, not {len(state.ids)} and "
                f"{len(self._reference)}; raise the limit or see why samples failed"
            )
        twice = [name for name, count in Counter(state.ids).items() if count > 1]
        if twice:
            raise RunError(f"sample {twice[0]!r} was scored more than once; shards must not overlap")
        ids, features = sorted_features(state.ids, state.chunks)
        comparison = Comparison(
            ids, features, len(self._reference), self._named, self._all_fields(), self._estimates, self._classifier()
        )
        fingerprint = self._extractor.fingerprint
        generated_key: Json = [fingerprint, list(features.identities)]
        reference_key: Json = [fingerprint, self._reference_digest]
        with self._cache() as cache:
            findings = Findings(cache, features.vectors, generated_key, lambda: self._vectors(cache), reference_key)
            return family(comparison, findings, self._workspace.progress)

    def _vectors(self, cache: FeatureCache) -> Singles:
        return self._extractor.extract(self._reference, cache, self._workspace.progress, logits=False).vectors

    def _all_fields(self) -> Fields:
        own: Fields = {
            **self._extractor.protocol_fields,
            "n_real": len(self._reference),
            "reference_digest": self._reference_digest,
        }
        for name in own.keys() & self._fields.keys():
            if own[name] != self._fields[name]:
                raise ValueError(
                    f"the task's field {name}={self._fields[name]!r} contradicts the metric's {own[name]!r}"
                )
        return {**self._fields, **own}

    def _classifier(self) -> str:
        for file in weight(INCEPTION).files:
            if "classifier" in file.offers:
                return f"put {file.file} ({file.size / 1e6:.0f} MB), which has one, into {self._workspace.weights}"
        raise LookupError(f"no file of {INCEPTION} offers a classifier")

    @cached_property
    def _reference_digest(self) -> str:
        with self._cache() as cache:
            return digest(list(identities(self._reference, cache)))

    def _cache(self) -> FeatureCache:
        return FeatureCache(self._workspace.cache / "features")


def _picture(scored: Scored) -> Image:
    pictures = [part for part in scored.generation.parts if isinstance(part, Image)]
    if len(pictures) != 1:
        raise RunError(
            f"the answer to sample {scored.sample.id!r} holds {len(pictures)} pictures and FID takes exactly one; "
            f"mend the model, or ask it for one"
        )
    return pictures[0]


def distribution_metric(
    workspace: Workspace,
    protocol_name: str,
    reference: Sequence[Picture],
    fields: Mapping[str, JsonScalar],
    estimates: Sequence[str] = ESTIMATES,
) -> DistributionMetric:
    """Return the metric of a named FID protocol against `reference`, with that protocol's Inception extractor.

    Raises:
        UsageError: no such protocol, or an unknown estimate.
    """
    named = fid_protocol(protocol_name)
    extractor = inception(workspace, named.input, named.preparation)
    return DistributionMetric(workspace, extractor, reference, protocol_name, fields, estimates)
