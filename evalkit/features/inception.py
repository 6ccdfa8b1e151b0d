"""The FID Inception: 2048 features a picture, equal to each FID tool's own, from the cache or computed.

Neither torch nor the weights are loaded before they are needed: with everything in the cache, they are not.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import PIL
import PIL.features

from evalkit.features.cache import FeatureCache
from evalkit.features.extraction import cached_rows
from evalkit.features.inception_tensors import InceptionTensors, read_inception
from evalkit.features.inputs import NETWORK_SIZE, InputProtocol, Preparation, input_protocol, preparation
from evalkit.features.pictures import Picture, identities, load
from evalkit.keys import digest
from evalkit.progress import Progress
from evalkit.types import Json, JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.weights import require
from evalkit.workspace import Workspace

if TYPE_CHECKING:
    from evalkit.features.inception_network import InceptionNetwork

INCEPTION = "fid-inception-2015-12-05"
"""Name in the weights table."""
CODE_VERSION = 1
"""Raised with every change that moves a feature by even one bit: cached features of older code are then not found."""
DIM = 2048
CLASSES = 1008
BATCH = 4
GPU_BATCH = 64
"""Pictures in one forward pass. A short batch is padded, so that the shape, and with it each bit, stays the same.

On a processor a batch of 4 is within 3 % of the fastest, and little is wasted when answers arrive one by one.
"""
LOGIT_ROWS = 256


@dataclass(frozen=True, slots=True)
class Features:
    """Vectors `(N, 2048)` float32, unbiased logits `(N, 1008)` float32 where they were asked for and the weights hold a
    classifier, and the pictures' identities, all in the order asked.
    """

    vectors: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32] | None
    identities: tuple[str, ...]


class InceptionExtractor:
    """Pool3 features of the Inception of 2015-12-05 under one input protocol and preparation."""

    def __init__(
        self,
        workspace: Workspace,
        inputs: InputProtocol,
        prepared: Preparation,
        table: Mapping[str, Weight] = WEIGHTS,
    ) -> None:
        self._workspace = workspace
        self._inputs = inputs
        self._prepared = prepared
        self._table = table

    @property
    def _batch(self) -> int:
        return BATCH if self._workspace.device == "cpu" else GPU_BATCH

    @property
    def name(self) -> str:
        """What tables call it."""
        return INCEPTION

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return DIM

    def prepare(self) -> None:
        """Find, or fetch, the weights and read them.

        Raises:
            WeightsError: they cannot be had, or are damaged.
        """
        _ = self._tensors

    @property
    def has_classifier(self) -> bool:
        """Whether the weights hold the classifier, without which there are no logits.

        Raises:
            WeightsError: see `prepare`.
        """
        return self._tensors.classifier is not None

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a feature by more than rounding.

        Raises:
            WeightsError: see `prepare`.
        """
        return {
            "extractor": INCEPTION,
            "weights": self._tensors.digest,
            "dtype": "float32",
            "decoder": "pillow",
            **self._inputs.fields,
            **self._prepared.fields,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the protocol fields, of this code, and of the libraries and processor that may move the last bits.

        Raises:
            WeightsError: see `prepare`.
        """
        document: Json = {
            "protocol": dict(self.protocol_fields),
            "code": CODE_VERSION,
            "batch": self._batch,
            "device": self._workspace.device,
            "machine": platform.machine(),
            "torch": importlib.metadata.version("torch"),
            "pillow": PIL.__version__,
            "jpeg": PIL.features.version("libjpeg_turbo") or PIL.features.version("jpg"),
        }
        return digest(document)

    def extract(
        self,
        pictures: Sequence[Picture],
        cache: FeatureCache | None = None,
        progress: Progress | None = None,
        *,
        logits: bool = True,
    ) -> Features:
        """Return the features of `pictures`, those in `cache` read and the others computed and added to it.

        A picture's vector has the same bits whatever other pictures are asked with it. Each batch is committed as soon
        as it is computed. With `logits=False` no logits are made.

        Raises:
            WeightsError: see `prepare`.
            DataError: a picture cannot be read.
            CacheError: the cache is damaged or cannot be written.
        """
        names = identities(pictures, cache)
        told = progress or self._workspace.progress

        def compute(positions: list[int]) -> Iterator[tuple[list[int], npt.NDArray[np.float32]]]:
            yield from self._computed({position: pictures[position] for position in positions}, told)

        vectors = cached_rows(names, cache, self.fingerprint, DIM, compute)
        return Features(vectors, self._logits(vectors) if logits else None, tuple(names))

    def _computed(
        self, pictures: Mapping[int, Picture], progress: Progress
    ) -> Iterator[tuple[list[int], npt.NDArray[np.float32]]]:
        """Yield keys and vectors `(n, 2048)`, a batch at a time and in order.

        Each processor core takes whole batches, from decoding to pool3: nothing waits for the slowest of several
        threads, and decoding overlaps with convolutions. At most one batch a core is computed ahead.
        """
        network, size = self._network, self._batch
        names = list(pictures)
        batches = [names[start : start + size] for start in range(0, len(names), size)]
        ahead: deque[Future[npt.NDArray[np.float32]]] = deque()
        bar = progress.bar("Inception features", len(names), "image")
        with network.threads() as pool:
            try:
                for turn in range(len(batches) + network.cores):
                    if turn < len(batches):
                        ahead.append(pool.submit(self._vectors, [pictures[name] for name in batches[turn]]))
                    if turn >= network.cores:
                        some = batches[turn - network.cores]
                        yield some, ahead.popleft().result()
                        bar.advance(len(some))
            finally:
                pool.shutdown(cancel_futures=True)
                bar.close()

    def _vectors(self, pictures: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """Return vectors `(n, 2048)` of at most one batch of pictures."""
        from evalkit.features.resize import network_input

        batch = np.zeros((self._batch, 3, NETWORK_SIZE, NETWORK_SIZE), np.float32)
        for place, picture in enumerate(pictures):
            batch[place] = network_input(load(picture), self._prepared, self._inputs)
        return self._network(batch)[: len(pictures)]

    def _logits(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        """Return logits without their bias, as torch-fidelity's `logits_unbiased`.

        Products are summed in float64, so that a row has the same bits whatever rows it stands with.
        """
        classifier = self._tensors.classifier
        if classifier is None:
            return None
        weight = classifier.astype(np.float64).T
        logits = np.empty((len(vectors), CLASSES), np.float32)
        for start in range(0, len(vectors), LOGIT_ROWS):
            logits[start : start + LOGIT_ROWS] = vectors[start : start + LOGIT_ROWS].astype(np.float64) @ weight
        return logits

    @cached_property
    def _tensors(self) -> InceptionTensors:
        found = require(INCEPTION, self._workspace, self._table)
        return read_inception(found.path, found.file.layout)

    @cached_property
    def _network(self) -> InceptionNetwork:
        from evalkit.features.inception_network import InceptionNetwork

        return InceptionNetwork(self._tensors, self._workspace.device)


def inception(workspace: Workspace, protocol: str, prepared: str = "native") -> InceptionExtractor:
    """Return the extractor of a named input protocol (`torch-fidelity`, ...) and preparation (`resize-crop-256`, ...).

    Raises:
        UsageError: either name is unknown.
    """
    return InceptionExtractor(workspace, input_protocol(protocol), preparation(prepared))
