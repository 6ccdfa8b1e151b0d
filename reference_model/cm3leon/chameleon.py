"""The published successors of CM3leon: Chameleon-7B and 30B, and Anole-7B, as they are downloaded.

Each comes in two layouts, transformers' and Meta's, which `chameleon_files` describes. Their weights are under Meta's
research licence, which `CONFIGS` names: read it before you fetch them.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from cm3leon.chameleon_files import layout
from cm3leon.chameleon_hf import hf_config, hf_weights
from cm3leon.chameleon_meta import metas_config, metas_weights
from cm3leon.checkpoints import Checkpoint, config_at, matched, read_tokenizer
from cm3leon.config import CHAMELEON_LICENCE, Config, config_json
from cm3leon.tensor_files import CheckpointError

Picture: TypeAlias = Image.Image | npt.NDArray[np.uint8]


class AnotherModel(CheckpointError):
    """A checkpoint of other sizes than those of the model that was asked for."""


def load(
    folder: Path,
    published: Config | None = None,
    vqgan: Path | None = None,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
) -> Checkpoint:
    """Return a published model, the transformer as `dtype` and the image tokenizer as float32.

    No logit is masked: transformers sets those of picture codes to the least there is, the weights do not. Without a
    decoder, which `layout` tells how to give, `image_tokenizer.decoder` is None and `decode` raises.

    Args:
        folder: as `layout` takes it.
        published: what it should hold, `CONFIGS["chameleon-7b"]` say, whose name, licence and source it then gets.
        vqgan: as `layout` takes it.
        dtype: of the transformer.
        device: of both.

    Raises:
        CheckpointError: a file is missing or damaged, a tensor is missing, unexpected, wrongly shaped or not finite, or
            it is another model than `published` (AnotherModel).
    """
    found = layout(folder, vqgan)
    vocabulary = read_tokenizer(found.tokenizer)
    image, transformer_config = (metas_config if found.metas else hf_config)(found, vocabulary)
    config = Config("chameleon", image, transformer_config, CHAMELEON_LICENCE, str(folder))
    config = config_at(config_json(config), found.config)
    if published is not None:
        config = _as_published(config, published, found.config)
    matched(found.tokenizer, config, vocabulary)
    weights = metas_weights if found.metas else hf_weights
    image_tokenizer, transformer = weights(found, config, dtype, device)
    return Checkpoint(config, vocabulary, image_tokenizer.eval(), transformer.eval())


def _as_published(found: Config, published: Config, path: Path) -> Config:
    """Return the config under the name, licence and source of the model that it should be."""
    # transformers' layout has norms for each head whatever the parts were
    wanted = replace(published.transformer, qk_norm_groups=found.transformer.qk_norm_groups)
    parts = (("image", found.image, published.image), ("transformer", found.transformer, wanted))
    other = [
        f"{name}.{field.name} is {getattr(mine, field.name)}, not {getattr(theirs, field.name)}"
        for name, mine, theirs in parts
        for field in fields(mine)
        if getattr(mine, field.name) != getattr(theirs, field.name)
    ]
    if other:
        raise AnotherModel(f"{path} is not {published.name}: {'; '.join(other)}")
    return replace(published, transformer=found.transformer)


def prepared(picture: Picture, pixels: int = 512) -> Tensor:
    """Return a picture as `(3, pixels, pixels)` in [-1, 1], as Chameleon's image tokenizer reads it: `cut`, and scaled.

    Raises:
        ValueError: as `cut`.

    Source: facebookresearch/chameleon, inference/image_tokenizer.py. transformers' processor scales by 0.0078 instead
    of 2 / 255, so that its white is 0.989.
    """
    return torch.from_numpy(cut(picture, pixels) / 255.0 * 2 - 1).permute(2, 0, 1).float()


def cut(picture: Picture, pixels: int) -> npt.NDArray[np.uint8]:
    """Return a picture as `(pixels, pixels, 3)`.

    What is transparent becomes white; the shorter side is brought to `pixels` by Lanczos; the middle is cut out.

    Args:
        picture: a PIL image, or an array `(H, W)`, `(H, W, 3)` or `(H, W, 4)` of uint8.
        pixels: side of the result.

    Raises:
        ValueError: an array of another shape or dtype.
    """
    image = _opaque(picture if isinstance(picture, Image.Image) else _image_of(picture))
    scale = pixels / min(image.size)
    image = image.resize((round(scale * image.width), round(scale * image.height)), Image.Resampling.LANCZOS)
    left, top = (image.width - pixels) // 2, (image.height - pixels) // 2
    return np.asarray(image.crop((left, top, left + pixels, top + pixels)))


def _image_of(array: npt.NDArray[np.uint8]) -> Image.Image:
    channels = array.shape[2:]
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in ((), (3,), (4,)) or 0 in array.shape:
        raise ValueError(f"an array of {array.dtype} and shape {array.shape} is no picture; give uint8 (H, W, 3)")
    return Image.fromarray(array)


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    rgba = np.asarray(image.convert("RGBA"))
    if bool((rgba[:, :, 3] == 255).all()):
        return image.convert("RGB")
    alpha = rgba[:, :, 3:] / 255.0
    return Image.fromarray(((1 - alpha) * 255 + alpha * rgba[:, :, :3]).astype(np.uint8))
