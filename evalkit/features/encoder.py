"""CLIP and DINO vectors of pictures and texts, from the feature cache or computed, once for all scores that share them.

Neither torch nor the weights are loaded before they are needed: with everything in the cache, they are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import WeightsError
from evalkit.features.backbones import Backbone, backbone
from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.extraction import cached_rows
from evalkit.features.fingerprints import fingerprint_of
from evalkit.features.pictures import Picture, identities, load
from evalkit.images import Pixels
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found, missing_weights, require
from evalkit.workspace import Workspace

if TYPE_CHECKING:
    from evalkit.features.clip_tokens import ClipTokens
    from evalkit.features.vit import Transformer

CODE_VERSION = 1
"""Raised with every change that moves a vector by even one bit: cached vectors of older code are then not found."""
TOKENS = "clip-merges"
"""Name of the tokeniser's list in the weights table."""
GPU_BATCH = 32
"""Pictures in one pass on a GPU, a short batch being padded. A processor takes one at a time: a picture is many
patches, and so a vector's bits cannot depend on what it stands with."""


class Encoder:
    """The vectors of one backbone, not normalised."""

    def __init__(self, workspace: Workspace, encoder: Backbone, table: Mapping[str, Weight] = WEIGHTS) -> None:
        self._workspace = workspace
        self._backbone = encoder
        self._table = table

    @property
    def name(self) -> str:
        """The backbone's name, which stands in the name of each score."""
        return self._backbone.name

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._backbone.dim

    def prepare(self, *, texts: bool = False) -> None:
        """Find, or fetch, the weights, and the tokeniser if `texts` will be encoded.

        Raises:
            WeightsError: they cannot be had; the message says how to get them.
        """
        _ = self._found
        if texts:
            _ = self._tokens_found

    def missing(self, *, texts: bool = False) -> str:
        """Return which weights are not on this machine and how to get them, empty where all are; nothing is fetched.

        Raises:
            WeightsError: what is here is damaged.
        """
        needed = (self._backbone.weight, *((TOKENS,) if texts else ()))
        return missing_weights(needed, self._workspace, self._table)

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a vector by more than rounding.

        Raises:
            WeightsError: see `prepare`.
        """
        return {
            "extractor": self.name,
            "weights": self._found.sha256,
            "dtype": "float32",
            "decoder": "pillow",
            **self._backbone.inputs.fields,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the protocol fields, of this code, and of the libraries and processor that may move the last bits.

        Raises:
            WeightsError: see `prepare`.
        """
        return fingerprint_of(self.protocol_fields, CODE_VERSION, self._workspace.device, ("torch",))

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> Vectors:
        """Return the vectors `(N, dim)` of `pictures`.

        Raises:
            WeightsError: see `prepare`.
            DataError: a picture cannot be read.
            CacheError: the cache is damaged or cannot be written.
        """
        names = identities(pictures, cache)

        def compute(positions: list[int]) -> Iterator[tuple[list[int], Vectors]]:
            for some in self._batches(positions):
                yield some, self.of_pixels([load(pictures[position]) for position in some])

        return cached_rows(names, cache, self.fingerprint, self.dim, compute)

    def of_pixels(self, pictures: Sequence[Pixels]) -> Vectors:
        """Return the vectors `(N, dim)` of at most one batch of pixels `(H, W, 3)`; nothing is cached.

        Raises:
            WeightsError: see `prepare`.
        """
        return self._run(self._tower.pictures, pictures)

    def keys(self, planes: Vectors) -> Vectors:
        """Return the last block's keys `(1, 1 + patches, W)` of normalised planes `(1, 3, S, S)`.

        Raises:
            WeightsError: see `prepare`.
        """
        return self._tower.keys(planes)

    def texts(self, texts: Sequence[str], cache: FeatureCache | None = None) -> Vectors:
        """Return the vectors `(N, dim)` of `texts`.

        Raises:
            WeightsError: see `prepare`.
            CacheError: the cache is damaged or cannot be written.
        """
        names = [f"text:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}" for text in texts]

        def compute(positions: list[int]) -> Iterator[tuple[list[int], Vectors]]:
            for position in positions:
                yield [position], self._text_tower.texts(self._tokens([texts[position]]))

        return cached_rows(names, cache, self.fingerprint, self.dim, compute)

    def logit_scale(self, cache: FeatureCache | None = None) -> float:
        """Return what a CLIP multiplies its cosines with, e to the power of its tensor `logit_scale`.

        Raises:
            WeightsError: see `prepare`; or the file has no such tensor.
            CacheError: the cache is damaged or cannot be written.
        """

        def compute(_: list[int]) -> Iterator[tuple[list[int], Vectors]]:
            yield [0], self._stored_scale()

        row = cached_rows(["logit_scale"], cache, self.fingerprint, 1, compute)
        return float(np.exp(row[0, 0].astype(np.float64)))

    def _stored_scale(self) -> Vectors:
        from evalkit.features.state_dicts import read_tensors

        found = read_tensors(self._found.path, self._found.file.layout).get("logit_scale")
        if found is None or found.size != 1:
            raise WeightsError(f"{self._found.path} lacks the tensor logit_scale; it is of another architecture")
        return found.reshape(1, 1)

    def _batches(self, positions: list[int]) -> Iterator[list[int]]:
        size = 1 if self._workspace.device == "cpu" else GPU_BATCH
        for start in range(0, len(positions), size):
            yield positions[start : start + size]

    def _run(self, forward: Callable[[Vectors], Vectors], pictures: Sequence[Pixels]) -> Vectors:
        from evalkit.features.encoder_input import encoder_input

        rows = len(pictures) if self._workspace.device == "cpu" else max(GPU_BATCH, len(pictures))
        size = self._backbone.inputs.size
        batch = np.zeros((rows, 3, size, size), np.float32)
        for row, pixels in enumerate(pictures):
            batch[row] = encoder_input(pixels, self._backbone.inputs)
        return forward(batch)[: len(pictures)]

    @cached_property
    def _found(self) -> Found:
        return require(self._backbone.weight, self._workspace, self._table)

    @cached_property
    def _tokens_found(self) -> Found:
        return require(TOKENS, self._workspace, self._table)

    @cached_property
    def _tokens(self) -> ClipTokens:
        from evalkit.features.clip_tokens import read_clip_tokens

        return read_clip_tokens(self._tokens_found.path)

    @cached_property
    def _tower(self) -> Transformer:
        return self._transformer("picture")

    @cached_property
    def _text_tower(self) -> Transformer:
        return self._transformer("text")

    def _transformer(self, kind: str) -> Transformer:
        from evalkit.features.vit import BlockShape, Transformer
        from evalkit.features.vit_tensors import read_tower

        tensors = read_tower(self._found.path, self._found.file.layout, kind)
        layers = sum(name.endswith(".norm1.weight") for name in tensors)
        head = self._backbone.head if kind == "picture" else self._backbone.text_head or self._backbone.head
        heads = tensors["norm.weight"].shape[0] // head
        shape = BlockShape(heads, layers, self._backbone.activation, self._backbone.epsilon)
        return Transformer(tensors, shape, self._workspace.device)


def encoder(workspace: Workspace, name: str) -> Encoder:
    """Return the encoder of a named backbone.

    Raises:
        UsageError: there is no such backbone.
    """
    return Encoder(workspace, backbone(name))


def unit(vectors: Vectors) -> Vectors:
    """Return the rows of `vectors` `(N, D)` at length 1, float32; a row of zeros stays zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)
