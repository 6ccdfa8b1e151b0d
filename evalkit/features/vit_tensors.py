"""From the names that a weight file gives its tensors to those of `evalkit.features.vit`.

OpenAI's CLIP, CLIP and ViT as transformers saves them, DINO's and DINOv2's own, and the tower inside CLIP-FlanT5. What
is not computed with here (a mask token, a pooler, the scale of CLIP's logits) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.errors import WeightsError
from evalkit.features.state_dicts import Tensors, read_tensors, require_tensors
from evalkit.features.torchscript import Tensor
from evalkit.weight_files import Layout

_TRANSFORMERS_CLIP = {
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "self_attn.out_proj": "out",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
}
_PARTS = {
    "clip-openai": {
        "ln_1": "norm1",
        "ln_2": "norm2",
        "attn.out_proj": "out",
        "mlp.c_fc": "fc1",
        "mlp.c_proj": "fc2",
    },
    "clip-transformers": _TRANSFORMERS_CLIP,
    "clip-flant5": _TRANSFORMERS_CLIP,
    "vit-transformers": {
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.output.dense": "out",
        "intermediate.dense": "fc1",
        "output.dense": "fc2",
    },
    "dino": {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.qkv": "qkv",
        "attn.proj": "out",
        "mlp.fc1": "fc1",
        "mlp.fc2": "fc2",
    },
}
_SAME_NAMES: Mapping[Layout, Layout] = {"clip-safetensors": "clip-transformers", "open-clip": "clip-openai"}
"""Layouts that name their tensors as another does and only pack them otherwise."""
_SPLIT = {
    "clip-transformers": "self_attn.{}_proj",
    "clip-flant5": "self_attn.{}_proj",
    "vit-transformers": "attention.attention.{}",
}
_SPLIT_NAMES = {
    "clip-transformers": ("q", "k", "v"),
    "clip-flant5": ("q", "k", "v"),
    "vit-transformers": ("query", "key", "value"),
}


@dataclass(frozen=True, slots=True)
class Tower:
    """Where a layout keeps one tower: the start of its blocks' names, and its other tensors by our names."""

    blocks: str
    others: Mapping[str, str]
    transposed: bool = False
    """Whether the projection is stored `(D, W)`."""


_PICTURE_OTHERS = {
    "patches.weight": "vision_model.embeddings.patch_embedding.weight",
    "class": "vision_model.embeddings.class_embedding",
    "positions": "vision_model.embeddings.position_embedding.weight",
    "before.weight": "vision_model.pre_layrnorm.weight",
    "before.bias": "vision_model.pre_layrnorm.bias",
    "norm.weight": "vision_model.post_layernorm.weight",
    "norm.bias": "vision_model.post_layernorm.bias",
}
"""Where transformers keeps the rest of a CLIP's picture tower."""
_INSIDE_FLANT5 = "vision_tower.vision_tower."

_TOWERS: Mapping[tuple[str, str], Tower] = {
    ("clip-openai", "picture"): Tower(
        "visual.transformer.resblocks.",
        {
            "patches.weight": "visual.conv1.weight",
            "class": "visual.class_embedding",
            "positions": "visual.positional_embedding",
            "before.weight": "visual.ln_pre.weight",
            "before.bias": "visual.ln_pre.bias",
            "norm.weight": "visual.ln_post.weight",
            "norm.bias": "visual.ln_post.bias",
            "projection": "visual.proj",
        },
    ),
    ("clip-openai", "text"): Tower(
        "transformer.resblocks.",
        {
            "tokens.weight": "token_embedding.weight",
            "positions": "positional_embedding",
            "norm.weight": "ln_final.weight",
            "norm.bias": "ln_final.bias",
            "projection": "text_projection",
        },
    ),
    ("clip-transformers", "picture"): Tower(
        "vision_model.encoder.layers.",
        {**_PICTURE_OTHERS, "projection": "visual_projection.weight"},
        transposed=True,
    ),
    ("clip-flant5", "picture"): Tower(
        f"{_INSIDE_FLANT5}vision_model.encoder.layers.",
        {ours: _INSIDE_FLANT5 + theirs for ours, theirs in _PICTURE_OTHERS.items()},
    ),
    ("clip-transformers", "text"): Tower(
        "text_model.encoder.layers.",
        {
            "tokens.weight": "text_model.embeddings.token_embedding.weight",
            "positions": "text_model.embeddings.position_embedding.weight",
            "norm.weight": "text_model.final_layer_norm.weight",
            "norm.bias": "text_model.final_layer_norm.bias",
            "projection": "text_projection.weight",
        },
        transposed=True,
    ),
    ("vit-transformers", "picture"): Tower(
        "encoder.layer.",
        {
            "patches.weight": "embeddings.patch_embeddings.projection.weight",
            "patches.bias": "embeddings.patch_embeddings.projection.bias",
            "class": "embeddings.cls_token",
            "positions": "embeddings.position_embeddings",
            "norm.weight": "layernorm.weight",
            "norm.bias": "layernorm.bias",
        },
    ),
    ("dino", "picture"): Tower(
        "blocks.",
        {
            "patches.weight": "patch_embed.proj.weight",
            "patches.bias": "patch_embed.proj.bias",
            "class": "cls_token",
            "positions": "pos_embed",
            "norm.weight": "norm.weight",
            "norm.bias": "norm.bias",
        },
    ),
}
_SHAPED = {"class": -1, "positions": -2}
"""Tensors that some layouts keep with leading axes of 1: how many axes are theirs, from the end."""


def read_tower(path: Path, layout: Layout, kind: str) -> Tensors:
    """Return the tensors of a file's `picture` or `text` tower under the names of `evalkit.features.vit`.

    Raises:
        WeightsError: the file is damaged, or of another layout or architecture.
    """
    return tower(read_tensors(path, layout), layout, kind, str(path))


def tower(tensors: Tensors, layout: Layout, kind: str, where: str) -> Tensors:
    """Return the tensors of one tower of a state dict under the names of `evalkit.features.vit`.

    Raises:
        WeightsError: a tensor is missing, unknown, or of a shape that does not fit the others.
    """
    layout = _SAME_NAMES.get(layout, layout)
    place = _TOWERS[layout, kind]
    try:
        found = {ours: _leading_ones_off(ours, tensors[theirs]) for ours, theirs in place.others.items()}
        if place.transposed:
            found["projection"] = np.ascontiguousarray(found["projection"].T)
        layers = _layers(tensors, place.blocks)
        for layer in range(layers):
            found |= _block(tensors, layout, f"{place.blocks}{layer}.", f"blocks.{layer}.")
    except KeyError as error:
        raise WeightsError(
            f"{where} lacks the tensor {error}; it is of another architecture than its name says"
        ) from error
    require_tensors(found, _shapes(found, layers), where)
    return found


def _leading_ones_off(name: str, value: Tensor) -> Tensor:
    return value.reshape(value.shape[_SHAPED[name] :]) if name in _SHAPED else value


def _layers(tensors: Tensors, start: str) -> int:
    numbers = {int(match[1]) for name in tensors if (match := re.match(re.escape(start) + r"(\d+)\.", name))}
    return max(numbers, default=-1) + 1


def _block(tensors: Tensors, layout: Layout, theirs: str, ours: str) -> Tensors:
    found: Tensors = {}
    for end in ("weight", "bias"):
        for part, name in _PARTS[layout].items():
            found[f"{ours}{name}.{end}"] = tensors[f"{theirs}{part}.{end}"]
        if layout in _SPLIT:
            each = [f"{theirs}{_SPLIT[layout].format(name)}.{end}" for name in _SPLIT_NAMES[layout]]
            found[f"{ours}qkv.{end}"] = np.concatenate([tensors[name] for name in each])
        elif layout == "clip-openai":
            found[f"{ours}qkv.{end}"] = tensors[f"{theirs}attn.in_proj_{end}"]
    for number in (1, 2):
        if f"{theirs}ls{number}.gamma" in tensors:
            found[f"{ours}scale{number}"] = tensors[f"{theirs}ls{number}.gamma"]
    return found


def _shapes(found: Tensors, layers: int) -> dict[str, tuple[int, ...]]:
    """Return the shape that each tensor must have for the tower's width and depth; free sizes are its own."""
    width = found["norm.weight"].shape[0]
    shapes: dict[str, tuple[int, ...]] = {
        name: (*value.shape[:-1], width) if name in {"positions", "tokens.weight"} else (width, *value.shape[1:])
        for name, value in found.items()
        if not name.startswith("blocks.")
    }
    for layer in range(layers):
        name = f"blocks.{layer}."
        hidden = found[f"{name}fc1.weight"].shape[0]
        rows = {"qkv": (3 * width, width), "out": (width, width), "fc1": (hidden, width), "fc2": (width, hidden)}
        for part, (out, into) in rows.items():
            shapes |= {f"{name}{part}.weight": (out, into), f"{name}{part}.bias": (out,)}
        for part in ("norm1", "norm2"):
            shapes |= {f"{name}{part}.weight": (width,), f"{name}{part}.bias": (width,)}
        shapes |= {f"{name}{scale}": (width,) for scale in ("scale1", "scale2") if f"{name}{scale}" in found}
    return shapes
