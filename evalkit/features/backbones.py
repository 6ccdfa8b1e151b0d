"""The picture encoders that scores name, as data: which weights, which input, how many numbers.

The name of a backbone stands in the name of every score made with it: `clip_i[openai-vit-b32]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from evalkit.errors import UsageError, nearest
from evalkit.types import JsonScalar

Channels: TypeAlias = tuple[float, float, float]

CLIP_MEAN: Channels = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Channels = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class EncoderInput:
    """From uint8 pixels to an encoder's input of `size` by `size`.

    `crop`: the shorter side to `short_side` by Pillow's bicubic filter, then the centre. `squash-torch`: both sides to
    `size` by torch's bicubic without antialias. `fit-torch`: the longer side to `size` by torch's bicubic with
    antialias, and black on both sides of the rest. `shifted` feeds pixels in -1 to 1 where 0 to 1 are meant.
    """

    kind: Literal["crop", "squash-torch", "fit-torch"]
    size: int
    short_side: int
    mean: Channels
    std: Channels
    shifted: bool = False
    floor: bool = False
    """Whether a crop's odd rest is split by rounding down, as in transformers, not half to even, as in torchvision."""

    @property
    def fields(self) -> Mapping[str, JsonScalar]:
        """The choices by name, for a protocol."""
        how = {
            "crop": f"bicubic-pil, shorter side {self.short_side}",
            "squash-torch": "bicubic, no antialias, squash",
            "fit-torch": f"bicubic-torch, antialias, longer side {self.size}, rest black",
        }
        return {
            "encoder_resize": how[self.kind],
            "encoder_crop": ("centre, rounded down" if self.floor else "centre") if self.kind == "crop" else "none",
            "encoder_size": self.size,
            "encoder_range": "2x/255-1 normalised as x/255" if self.shifted else "x/255",
            "encoder_mean": ", ".join(map(str, self.mean)),
        }


@dataclass(frozen=True, slots=True)
class Backbone:
    """An encoder by name. `head` is the width of an attention head; `texts` tells whether it also encodes text.

    `text_head` is the width of a head for text, where it is another.
    """

    name: str
    weight: str
    dim: int
    inputs: EncoderInput
    activation: Literal["quick-gelu", "gelu"]
    epsilon: float
    texts: bool
    head: int = 64
    text_head: int | None = None


def _clip(name: str, dim: int, size: int) -> Backbone:
    inputs = EncoderInput("crop", size, size, CLIP_MEAN, CLIP_STD)
    return Backbone(name, f"clip-{name}", dim, inputs, "quick-gelu", 1e-5, texts=True)


def _dino(name: str, dim: int) -> Backbone:
    inputs = EncoderInput("crop", 224, 256, IMAGENET_MEAN, IMAGENET_STD)
    return Backbone(name, name, dim, inputs, "gelu", 1e-6, texts=False)


def _preference(name: str, kind: Literal["crop", "fit-torch"]) -> Backbone:
    """Return a CLIP ViT-H/14 of OpenCLIP's shape, which takes GELU, fine-tuned on people's preferences."""
    inputs = EncoderInput(kind, 224, 224, CLIP_MEAN, CLIP_STD, floor=kind == "crop")
    return Backbone(name, name, 1024, inputs, "gelu", 1e-5, texts=True, head=80, text_head=64)


BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        backbone.name: backbone
        for backbone in (
            _clip("openai-vit-b32", 512, 224),
            _clip("openai-vit-b16", 512, 224),
            _clip("openai-vit-l14", 768, 224),
            _clip("openai-vit-l14-336", 768, 336),
            _preference("pickscore-v1", "crop"),
            _preference("hps-v2.1", "fit-torch"),
            _preference("hps-v2.0", "fit-torch"),
            _dino("dino-vits16", 384),
            _dino("dino-vitb8", 768),
            _dino("dinov2-vits14", 384),
        )
    }
)
"""Every backbone by name. OpenAI's weights always take QuickGELU, whatever a configuration elsewhere says."""


def backbone(name: str) -> Backbone:
    """Return the backbone of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in BACKBONES:
        raise UsageError(f"no backbone named {name!r}{nearest(name, BACKBONES)}")
    return BACKBONES[name]
