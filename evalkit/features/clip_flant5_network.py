"""The network of CLIP-FlanT5: a picture's patches among the embeddings of a prompt, and the answer's likelihood.

The file holds three parts, each by its names: `vision_tower.vision_tower.` CLIP's picture tower as transformers names
it, `mm_projector.0` and `.2` the two linear layers, and FLAN-T5's own. See `evalkit.features.clip_flant5`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evalkit.features.backbones import CLIP_MEAN
from evalkit.features.clip_flant5 import CONTEXT, SYSTEM, FlanT5Shape
from evalkit.features.encoder_input import encoder_input
from evalkit.features.state_dicts import Tensors, require_tensors
from evalkit.features.t5 import T5
from evalkit.features.t5_tokens import T5Tokens
from evalkit.features.vit import BlockShape, Transformer
from evalkit.features.vit_tensors import tower
from evalkit.images import Pixels

PICTURE, PROJECTOR = "vision_tower.", "mm_projector."
COLOUR = tuple(int(mean * 255) for mean in CLIP_MEAN)
"""Of the padding: CLIP's mean, cut to whole levels."""


class ClipFlanT5Network:
    """The three parts on one device."""

    def __init__(self, tensors: Tensors, tokens: T5Tokens, shape: FlanT5Shape, device: str, where: str) -> None:
        """Take the tensors of a file that `where` names in errors.

        Raises:
            WeightsError: a tensor is missing, unknown, or of a shape that does not fit the others.
        """
        text = {name: value for name, value in tensors.items() if not name.startswith((PICTURE, PROJECTOR))}
        self._text = T5(text, device, where, shape.text_head)
        seen = tower(tensors, "clip-flant5", "picture", where)
        layers = sum(name.endswith(".norm1.weight") for name in seen)
        width = seen["norm.weight"].shape[0]
        # The last block is not run: what the one before it gives is what the projector was trained on.
        blocks = BlockShape(width // shape.picture_head, layers - 1, "quick-gelu", 1e-5)
        self._picture = Transformer(seen, blocks, device)
        self._projector = _projector(tensors, width, self._text.width, device, where)
        self._tokens, self._inputs = tokens, shape.inputs

    @property
    def tokens(self) -> int:
        """How many tokens the text part has a row for."""
        return self._text.tokens

    def likelihood(self, picture: Pixels, question: str, answer: str) -> float:
        """Return exp of the mean log likelihood of an answer's tokens to a question about pixels `(H, W, 3)`."""
        before = self._tokens(f"{SYSTEM} USER: ")
        after = self._tokens(f"\n{question} ASSISTANT: ")[: CONTEXT - len(before) - 1]
        with torch.inference_mode():
            read = torch.cat([self._text.embedded(before), self._projected(picture), self._text.embedded(after)])
            found = self._text.log_likelihoods(read, self._tokens(answer), self._tokens.size)
            return float(found.double().mean().exp())

    def _projected(self, picture: Pixels) -> Tensor:
        """Return the embeddings `(patches, d)` of a picture."""
        planes = encoder_input(square(picture), self._inputs)[None]
        x = self._picture.tokens(planes)[0, 1:]
        p = self._projector
        x = functional.gelu(functional.linear(x, p["mm_projector.0.weight"], p["mm_projector.0.bias"]))
        return functional.linear(x, p["mm_projector.2.weight"], p["mm_projector.2.bias"])


def square(picture: Pixels) -> Pixels:
    """Return a picture `(H, W, 3)` in the middle of a square of its longer side; of an odd rest the less comes first.

    >>> square(np.zeros((1, 4, 3), np.uint8))[:, 0, 0].tolist()
    [122, 0, 122, 122]
    """
    height, width, _ = picture.shape
    side = max(height, width)
    padded = np.empty((side, side, 3), np.uint8)
    padded[:] = COLOUR
    above, left = (side - height) // 2, (side - width) // 2
    padded[above : above + height, left : left + width] = picture
    return padded


def _projector(tensors: Tensors, into: int, width: int, device: str, where: str) -> dict[str, Tensor]:
    found = {name: value for name, value in tensors.items() if name.startswith(PROJECTOR)}
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, size in (("0", into), ("2", width)):
        shapes |= {f"{PROJECTOR}{layer}.weight": (width, size), f"{PROJECTOR}{layer}.bias": (width,)}
    require_tensors(found, shapes, where)
    return {name: torch.from_numpy(value).to(device) for name, value in found.items()}
