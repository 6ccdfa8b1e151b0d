r"""CLIP-FlanT5: how likely it answers "Yes" when it is asked whether a picture shows a text, which is VQAScore.

The picture is padded to a square in CLIP's mean colour, brought to 336 x 336, and seen by CLIP ViT-L/14-336: what its
second last block makes of each patch goes through two linear layers with GELU between them. These stand where the
prompt has `<image>`, among FLAN-T5's embeddings of

    SYSTEM " USER: " </s> <image> "\n" QUESTION " ASSISTANT: " </s>

and the score is exp of the mean log likelihood of the tokens of "Yes" and of the end after it. All of this is the
official code's, the end in the middle too; so are the cut at 2,048 tokens, the picture counting as one, and that the
rows of the output layer for which the tokeniser has no token are left out.

Source: Lin et al. 2024, arXiv:2404.01291; linzhiqiu/t2v_metrics 3.0 at 0bd9bfc, `models/vqascore_models`
(`clip_t5_model.py`, `mm_utils.py`), its last release with CLIP-FlanT5. Two things differ. That computes in bfloat16 on
a GPU, here it is float32 everywhere, on the same weights. And a text that itself holds `<image>` is an error there, and
text here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evalkit.errors import UsageError, WeightsError, nearest
from evalkit.features.backbones import CLIP_MEAN, CLIP_STD, EncoderInput
from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.extraction import cached_rows
from evalkit.features.fingerprints import fingerprint_of
from evalkit.features.pictures import Picture, identities, load
from evalkit.images import Pixels
from evalkit.keys import digest
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found, kept_sha256, missing_weights, require
from evalkit.workspace import Workspace

if TYPE_CHECKING:
    from evalkit.features.clip_flant5_network import ClipFlanT5Network

CODE_VERSION = 1
"""Raised with every change that moves a score by even one bit: cached scores of older code are then not found."""
TOKENS = "flan-t5-tokens"
"""Name of the tokeniser's file in the weights table."""
MODELS = ("clip-flant5-xl", "clip-flant5-xxl")
"""What can be asked, each also a name in the weights table."""

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
QUESTION = 'Does this figure show "{}"? Please answer yes or no.'
ANSWER = "Yes"
CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class FlanT5Shape:
    """What the tensors alone do not say: the side of what CLIP sees, and the widths of attention heads."""

    side: int = 336
    picture_head: int = 64
    text_head: int = 64

    @property
    def inputs(self) -> EncoderInput:
        """From a square to CLIP's input."""
        return EncoderInput("crop", self.side, self.side, CLIP_MEAN, CLIP_STD)


class ClipFlanT5:
    """One size of CLIP-FlanT5. Pairs go through it one at a time, so a score cannot depend on what it stands with."""

    def __init__(
        self,
        workspace: Workspace,
        name: str = MODELS[0],
        table: Mapping[str, Weight] = WEIGHTS,
        shape: FlanT5Shape | None = None,
    ) -> None:
        """Take a size by name.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in MODELS:
            raise UsageError(f"no model for VQAScore named {name!r}{nearest(name, MODELS)}")
        self.name = name
        self._workspace = workspace
        self._table = table
        self._shape = shape or FlanT5Shape()

    def prepare(self) -> None:
        """Find, or fetch, the weights and the tokeniser.

        Raises:
            WeightsError: they cannot be had; the message says how to get them.
        """
        _ = self._weights_digest, self._tokens_found

    def missing(self) -> str:
        """Return which weights are not on this machine and how to get them, empty where all are; nothing is fetched.

        Raises:
            WeightsError: what is here is damaged.
        """
        return missing_weights((self.name, TOKENS), self._workspace, self._table)

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a score by more than rounding.

        Raises:
            WeightsError: see `prepare`.
        """
        return {
            "extractor": self.name,
            "weights": self._weights_digest,
            "tokens": self._tokens_found.sha256,
            "dtype": "float32",
            "decoder": "pillow",
            "question": QUESTION,
            "answer": ANSWER,
            "padding": "square, mean colour",
            **self._shape.inputs.fields,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the protocol fields, of this code, and of the libraries and processor that may move the last bits.

        Raises:
            WeightsError: see `prepare`.
        """
        libraries = ("torch", "tokenizers")
        return fingerprint_of(self.protocol_fields, CODE_VERSION, self._workspace.device, libraries)

    def scores(self, pictures: Sequence[Picture], texts: Sequence[str], cache: FeatureCache | None = None) -> Vectors:
        """Return the score `(N,)`, 0 to 1, of each picture with the text at its place.

        Raises:
            WeightsError: see `prepare`; or a file is damaged or of another architecture.
            DataError: a picture cannot be read.
            CacheError: the cache is damaged or cannot be written.
        """
        names = [
            f"{picture} text:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
            for picture, text in zip(identities(pictures, cache), texts, strict=True)
        ]

        def compute(positions: list[int]) -> Iterator[tuple[list[int], Vectors]]:
            for position in positions:
                score = self.score(load(pictures[position]), texts[position])
                yield [position], np.array([[score]], np.float32)

        return cached_rows(names, cache, self.fingerprint, 1, compute)[:, 0]

    def score(self, picture: Pixels, text: str) -> float:
        """Return the score of pixels `(H, W, 3)` with a text; nothing is cached.

        Raises:
            WeightsError: see `scores`.
        """
        return self._network.likelihood(picture, QUESTION.format(text), ANSWER)

    @cached_property
    def _found(self) -> Found:
        return require(self.name, self._workspace, self._table)

    @cached_property
    def _weights_digest(self) -> str:
        """Digest of the file, or of an index and every file that it names."""
        parts = weight_parts(self._found)
        if len(parts) == 1:
            return self._found.sha256
        return digest([self._found.sha256, *(kept_sha256(part, self._workspace) for part in parts)])

    @cached_property
    def _tokens_found(self) -> Found:
        return require(TOKENS, self._workspace, self._table)

    @cached_property
    def _network(self) -> ClipFlanT5Network:
        from evalkit.features.clip_flant5_network import ClipFlanT5Network
        from evalkit.features.state_dicts import Tensors, read_tensors
        from evalkit.features.t5_tokens import read_t5_tokens

        tokens, path = read_t5_tokens(self._tokens_found.path), self._found.path
        tensors: Tensors = {}
        for part in weight_parts(self._found):
            tensors |= read_tensors(part, "clip-flant5")
        network = ClipFlanT5Network(tensors, tokens, self._shape, self._workspace.device, str(path))
        if tokens.size > network.tokens:
            raise WeightsError(
                f"{path} has {network.tokens:,} tokens, fewer than the {tokens.size:,} of {self._tokens_found.path}; "
                "they do not belong together"
            )
        return network


def weight_parts(found: Found) -> list[Path]:
    """Return the files of tensors that a weight consists of: itself, or those beside an index that it names.

    Raises:
        WeightsError: the index is damaged, or a file that it names is not beside it.
    """
    if found.file.layout != "clip-flant5-index":
        return [found.path]
    try:
        named = sorted(set(json.loads(found.path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{found.path} is not an index of weight files ({error!r}); get it again") from error
    if not named:
        raise WeightsError(f"{found.path} names no weight file; get it again")
    for name in named:
        if not isinstance(name, str) or Path(name).name != name:
            raise WeightsError(f"{found.path} names {name!r}, which is not a file beside it; get it again")
        if not (found.path.parent / name).is_file():
            raise WeightsError(f"{found.path} names {name}, which is not in {found.path.parent}; put it there")
    return [found.path.parent / name for name in named]
