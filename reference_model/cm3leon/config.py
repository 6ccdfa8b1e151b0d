"""What shapes a model: frozen configs, a table of names, and configs as JSON and back.

Source of the paper's sizes: CM3leon, arXiv:2309.02591, table 3; the heads are not in the paper and are metaseq's
generic ones, and so are the tied embeddings (metaseq, launcher/opt_baselines.py). Of the image tokenizer the paper
gives 256 pixels, 1,024 codes a picture and 8,192 codes; the channels are taming's at that size. Chameleon's shapes are
those of its released checkpoints (facebookresearch/chameleon, transformers' ChameleonConfig).
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from cm3leon.json_fields import parsed


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Shape of an image tokenizer's decoder; the fields are as `ImageTokenizerConfig` has them."""

    channels: int
    multipliers: tuple[int, ...]
    blocks: int
    patch: int


@dataclass(frozen=True, slots=True)
class ImageTokenizerConfig:
    """Shape of a VQ image tokenizer.

    A picture `(3, pixels, pixels)` becomes `grid * grid` codes, one for each square of `pixels / grid` pixels.
    """

    pixels: int
    """Side of the pictures."""
    codes: int
    """Size of the codebook."""
    code_channels: int
    """Length of a code's vector."""
    channels: int
    """Channels at full resolution."""
    multipliers: tuple[int, ...]
    """Channels of each level as multiples of `channels`; the resolution halves from each level to the next."""
    blocks: int
    """Residual blocks a level in the encoder."""
    latent_channels: int
    patch: int = 1
    """Side of the squares of pixels that are folded into channels before the first convolution: 1 is none."""
    levels: tuple[int, ...] = ()
    """Levels of each code channel where the codebook is the lattice of all their combinations; empty where the
    codebook is learnt."""
    local: bool = False
    """Whether a code tells of what is near its square alone, so that what is alike has the same code wherever it
    stands. Such a tokenizer has one level."""
    reach: int = 0
    """Squares on each side of its own that a local code tells of."""
    palette: int = 0
    """Code channels, the first, that tell which colours a square has and not where; the others then tell where and not
    which. 0 is for codes whose channels tell both."""
    decoder: DecoderConfig | None = None
    """Where it is not the encoder's mirror, which has one more block a level."""

    @property
    def drawn_by(self) -> DecoderConfig:
        """The decoder's shape."""
        return self.decoder or DecoderConfig(self.channels, self.multipliers, self.blocks + 1, self.patch)

    @property
    def down(self) -> int:
        """Pixels a code, each way: 8 for f8."""
        return self.patch << (len(self.multipliers) - 1)

    @property
    def grid(self) -> int:
        """Codes a row, and rows."""
        return self.pixels // self.down


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Shape of a decoder-only transformer.

    CM3leon is OPT-like: learned positions, LayerNorm without weights, ReLU, no bias. Chameleon is Llama-like: rotary
    positions, RMSNorm, SwiGLU, and a LayerNorm over each head's queries and keys.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    hidden: int
    """Width inside the MLP."""
    context: int
    """Longest sequence in tokens."""
    kv_heads: int | None = None
    """Heads of keys and values; None is as many as `heads`."""
    norm: Literal["layer-norm", "rms-norm"] = "layer-norm"
    position: Literal["learned", "rotary"] = "learned"
    mlp: Literal["relu", "swiglu"] = "relu"
    qk_norm: bool = False
    qk_norm_groups: int = 1
    """Parts that the original checkpoint was split into, each with its own weights for queries and keys."""
    swin_norm: bool = False
    """Norms after attention and MLP instead of before them (Chameleon-30B)."""
    norm_eps: float = 1e-5
    rope_theta: float = 10_000.0
    partial_rotary_factor: float = 1.0
    """Share of each head's channels that rotary positions turn; by the others words are found wherever they stand."""
    tied: bool = False
    """Whether the head is the embedding."""
    segments: int = 0
    """Learned marks of how many breaks stand before a token; 0 is none."""
    image_cells: int = 0
    """Learned places in a picture's grid, one for each of its codes. Positions, learned or rotary, then count from the
    last mark or the picture's start instead of the sequence's start, so that the same cell of two pictures has the same
    turn; 0 is none."""
    axial: bool = False
    """Whether rotary positions turn half of their channels by the row of a picture's cell and half by its column,
    instead of all by its number."""


@dataclass(frozen=True, slots=True)
class Config:
    """Shape of a whole model."""

    name: str
    image: ImageTokenizerConfig
    transformer: TransformerConfig
    licence: str = "Apache-2.0"
    """What the weights may be used for: to be named before any are fetched."""
    source: str = ""
    """Where the weights come from; empty where they are trained here."""


BLOCKSWORLD_IMAGE = ImageTokenizerConfig(
    pixels=64,
    codes=4096,
    code_channels=5,
    channels=128,
    multipliers=(1,),
    blocks=1,
    latent_channels=64,
    patch=4,
    levels=(8, 8, 4, 4, 4),
    local=True,
    palette=2,
    decoder=DecoderConfig(channels=32, multipliers=(2, 2), blocks=1, patch=2),
)

BLOCKSWORLD_TRANSFORMER = TransformerConfig(
    vocabulary=0,  # the tokenizer's size, once it is trained
    width=256,
    layers=8,
    heads=8,
    hidden=1024,
    context=1024,
    position="rotary",
    rope_theta=10.0,
    partial_rotary_factor=0.5,
    tied=True,
    segments=12,
    image_cells=256,
    axial=True,
)

CM3LEON_IMAGE = ImageTokenizerConfig(
    pixels=256, codes=8192, code_channels=256, channels=128, multipliers=(1, 1, 2, 4), blocks=2, latent_channels=256
)
CHAMELEON_IMAGE = ImageTokenizerConfig(
    pixels=512, codes=8192, code_channels=256, channels=128, multipliers=(1, 1, 2, 2, 4), blocks=2, latent_channels=256
)

CHAMELEON_LICENCE = (
    "Chameleon Research License (Meta): non-commercial research only; its section 3.2 forbids to enable what Meta "
    "disabled, and Meta released the weights with the drawing of pictures disabled"
)
ANOLE_LICENCE = (
    "Chameleon Research License (Meta), of which Anole's weights are a derivative, whatever a copy of them is tagged: "
    "non-commercial research only; its section 3.2 forbids to enable what Meta disabled, the drawing of pictures"
)


def _cm3leon(name: str, layers: int, width: int, heads: int) -> Config:
    transformer = TransformerConfig(
        vocabulary=65_536,
        width=width,
        layers=layers,
        heads=heads,
        hidden=4 * width,
        context=4096,
        tied=True,
    )
    return Config(name, CM3LEON_IMAGE, transformer, source="none: no weights of CM3leon were ever released")


_CHAMELEON_7B = TransformerConfig(
    vocabulary=65_536,
    width=4096,
    layers=32,
    heads=32,
    kv_heads=32,
    hidden=11_008,
    context=4096,
    norm="rms-norm",
    position="rotary",
    mlp="swiglu",
    qk_norm=True,
)
_CHAMELEON_30B = TransformerConfig(
    vocabulary=65_536,
    width=8192,
    layers=48,
    heads=64,
    kv_heads=8,
    hidden=22_016,
    context=4096,
    norm="rms-norm",
    position="rotary",
    mlp="swiglu",
    qk_norm=True,
    qk_norm_groups=4,
    swin_norm=True,
)
_CHAMELEON_SOURCE = "https://ai.meta.com/resources/models-and-libraries/chameleon-downloads"

CONFIGS: Mapping[str, Config] = types.MappingProxyType(
    {
        config.name: config
        for config in (
            _cm3leon("350m", layers=24, width=1024, heads=16),
            _cm3leon("760m", layers=24, width=1536, heads=16),
            _cm3leon("7b", layers=32, width=4096, heads=32),
            Config(
                "chameleon-7b",
                CHAMELEON_IMAGE,
                _CHAMELEON_7B,
                CHAMELEON_LICENCE,
                f"{_CHAMELEON_SOURCE} or https://huggingface.co/facebook/chameleon-7b",
            ),
            Config(
                "chameleon-30b",
                CHAMELEON_IMAGE,
                _CHAMELEON_30B,
                CHAMELEON_LICENCE,
                f"{_CHAMELEON_SOURCE} or https://huggingface.co/facebook/chameleon-30b",
            ),
            Config(
                "anole-7b",
                CHAMELEON_IMAGE,
                _CHAMELEON_7B,
                ANOLE_LICENCE,
                "https://huggingface.co/GAIR/Anole-7b-v0.1, or https://huggingface.co/leloy/Anole-7b-v0.1-hf with "
                "https://huggingface.co/leloy/Anole-7b-v0.1-vqvae-hf",
            ),
        )
    }
)
"""Every shape that has a name."""


def config_json(config: Config) -> dict[str, object]:
    """Return a config as JSON holds it; `config_of` reads it back."""
    return asdict(config)


def config_of(value: object) -> Config:
    """Return the config that parsed JSON holds.

    Raises:
        ValueError: a field is missing, unknown, of another type or impossible; the message names it.
    """
    config: Config = parsed(Config, value, "")
    _check_image(config.image)
    _check_transformer(config.transformer)
    return config


_LARGEST = 2**24
_MOST_LAYERS = 1024
"""Bounds that no damaged number may pass: beyond them a model could not even be laid out."""


def _check_range(where: str, name: str, value: int, largest: int, least: int = 1) -> None:
    if not least <= value <= largest:
        raise ValueError(f"{where}.{name} is {value}; it must lie between {least} and {largest}")


def _check_image(image: ImageTokenizerConfig) -> None:
    for name in ("pixels", "codes", "code_channels", "channels", "latent_channels"):
        _check_range("image", name, getattr(image, name), _LARGEST)
    for name, value in (("multipliers", len(image.multipliers)), ("blocks", image.blocks), ("patch", image.patch)):
        _check_range("image", name, value, 64)
    for i, factor in enumerate(image.multipliers):
        _check_range("image", f"multipliers[{i}]", factor, 1024)
    for i, count in enumerate(image.levels):
        _check_range("image", f"levels[{i}]", count, image.codes, least=2)
    if image.levels and (len(image.levels), math.prod(image.levels)) != (image.code_channels, image.codes):
        raise ValueError(f"image.levels is {image.levels}, which makes no {image.codes} codes of {image.code_channels}")
    _check_local(image)
    _check_decoder(image.drawn_by, image.down)
    if image.pixels % image.down:
        raise ValueError(f"image.pixels is {image.pixels}, which {image.down} pixels a code do not divide")
    for name, channels in (("channels", image.channels), ("decoder.channels", image.drawn_by.channels)):
        if channels % 32:
            raise ValueError(f"image.{name} is {channels}, not a multiple of the 32 groups of each norm")


def _check_local(image: ImageTokenizerConfig) -> None:
    _check_range("image", "reach", image.reach, 8, least=0)
    if image.local and len(image.multipliers) != 1:
        raise ValueError(f"image.multipliers is {image.multipliers}; a local tokenizer has one level")
    if image.reach and not image.local:
        raise ValueError(f"image.reach is {image.reach}, which means nothing for a tokenizer that is not local")
    _check_range("image", "palette", image.palette, image.code_channels - 1, least=0)
    if image.palette and (image.reach or not image.local):
        raise ValueError(f"image.palette is {image.palette}, but only local codes without reach have a palette")


def _check_decoder(decoder: DecoderConfig, down: int) -> None:
    where = "image.decoder"
    _check_range(where, "channels", decoder.channels, _LARGEST)
    _check_range(where, "multipliers", len(decoder.multipliers), 64)
    _check_range(where, "blocks", decoder.blocks, 64)
    _check_range(where, "patch", decoder.patch, 64)
    for i, factor in enumerate(decoder.multipliers):
        _check_range(where, f"multipliers[{i}]", factor, 1024)
    if decoder.patch << (len(decoder.multipliers) - 1) != down:
        raise ValueError(f"{where} draws a square of another size for a code than the encoder's {down} pixels")


def _check_transformer(transformer: TransformerConfig) -> None:
    for name in ("vocabulary", "width", "heads", "hidden", "context", "qk_norm_groups"):
        _check_range("transformer", name, getattr(transformer, name), _LARGEST)
    _check_range("transformer", "layers", transformer.layers, _MOST_LAYERS)
    _check_range("transformer", "kv_heads", transformer.kv_heads or transformer.heads, transformer.heads)
    for name in ("segments", "image_cells"):
        _check_range("transformer", name, getattr(transformer, name), _LARGEST, least=0)
    for whole, part in (("width", "heads"), ("heads", "kv_heads"), ("heads", "qk_norm_groups")):
        many, few = getattr(transformer, whole), getattr(transformer, part) or transformer.heads
        if many % few:
            raise ValueError(f"transformer.{whole} is {many}, which transformer.{part} {few} does not divide")
    if transformer.position == "rotary" and transformer.width // transformer.heads % 2:
        raise ValueError("transformer.width gives each head an odd number of channels, which cannot be turned in pairs")
    if transformer.norm_eps <= 0 or transformer.rope_theta <= 0:
        raise ValueError("transformer.norm_eps and transformer.rope_theta must be above 0")
    cells = transformer.image_cells
    if transformer.axial and (not cells or math.isqrt(cells) ** 2 != cells):
        raise ValueError(f"transformer.axial is set, but {cells} transformer.image_cells make no square picture")
