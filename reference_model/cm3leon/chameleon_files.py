"""Where the files of a published Chameleon or Anole lie, and what two layouts of them have in common.

- transformers': a folder with `config.json`, `tokenizer.json` and `model.safetensors`, in shards or not. The
  conversion leaves out the decoder of the image tokenizer, so that such weights read pictures but cannot draw them
  without `vqgan`.
- Meta's, which GAIR's Anole shares: `models/7b/{params.json, consolidated.pth}`, or `consolidated.00.pth` and so on,
  one for each part of the model, and `tokenizer/{text_tokenizer.json, vqgan.yaml, vqgan.ckpt}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cm3leon.checkpoints import Target, fill, same_names
from cm3leon.config import ImageTokenizerConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.tensor_files import CheckpointError, Store, stored

_HF_WEIGHTS = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a published model lie."""

    config: Path
    """`config.json` (transformers) or `params.json` (Meta)."""
    weights: tuple[Path, ...]
    tokenizer: Path
    vqgan: Path | None
    """Weights of the whole image tokenizer, where they lie apart from the rest."""

    @property
    def metas(self) -> bool:
        """Whether it is Meta's layout."""
        return self.config.name == "params.json"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that decides what the model says, for a digest; shards behind an index among them."""
        found = {self.config, self.tokenizer, *self.weights}
        for index in (path for path in self.weights if path.name.endswith(".index.json")):
            found |= {part.file for part in stored(index).values()}
        if self.metas:
            found |= {path for path in (self._consolidated, vqgan_yaml(self.tokenizer)) if path.is_file()}
        if self.vqgan is not None:
            found.add(self.vqgan)
        return tuple(sorted(found))

    @property
    def _consolidated(self) -> Path:
        return self.config.with_name("consolidate_params.json")


def layout(folder: Path, vqgan: Path | None = None) -> Layout:
    """Return where the files of the published model in `folder` lie.

    Args:
        folder: transformers' folder, Meta's whole download with one model in it, or one of its folders under `models`.
        vqgan: the whole image tokenizer where `folder` lacks its decoder: `vqgan.ckpt`, a safetensors file, or a folder
            with either.

    Raises:
        CheckpointError: the folder is in neither layout, or lacks a file.
    """
    apart = None if vqgan is None else _vqgan_file(vqgan)
    home = _metas_model(folder)
    if home is None:
        return _hf_layout(folder, apart)
    base = home.parent.parent / "tokenizer"
    numbered = sorted(home.glob("consolidated.[0-9][0-9].pth"))
    whole = home / "consolidated.pth"
    weights = (whole,) if whole.is_file() else tuple(numbered)
    if not weights:
        raise CheckpointError(f"{whole} is missing, and so are its parts consolidated.00.pth and so on")
    return Layout(home / "params.json", weights, base / "text_tokenizer.json", apart or base / "vqgan.ckpt")


def _metas_model(folder: Path) -> Path | None:
    """Return the folder of Meta's model in `folder`, None if there is none."""
    if (folder / "params.json").is_file():
        return folder
    homes = sorted(path.parent for path in (folder / "models").glob("*/params.json"))
    if len(homes) > 1:
        raise CheckpointError(f"{folder} holds several models; name one: {', '.join(str(home) for home in homes)}")
    return homes[0] if homes else None


def _hf_layout(folder: Path, vqgan: Path | None) -> Layout:
    weights = [folder / name for name in _HF_WEIGHTS if (folder / name).is_file()]
    if not (folder / "config.json").is_file() or not weights:
        raise CheckpointError(
            f"{folder} holds no model: neither config.json with model.safetensors or its index (transformers), nor "
            "params.json with consolidated.pth (Meta, Anole)"
        )
    return Layout(folder / "config.json", (weights[0],), folder / "tokenizer.json", vqgan)


def _vqgan_file(path: Path) -> Path:
    names = ("vqgan.ckpt", "model.safetensors", "tokenizer/vqgan.ckpt")
    found = [path] if path.is_file() else [path / name for name in names if (path / name).is_file()]
    if not found:
        raise CheckpointError(
            f"{path} is no image tokenizer: neither a file nor a folder with {' or '.join(names[:2])}"
        )
    return found[0]


def vqgan_yaml(tokenizer: Path) -> Path:
    """Return the config of the image tokenizer that lies beside Meta's tokenizer."""
    return tokenizer.with_name("vqgan.yaml")


def read_vqgan(path: Path, config: ImageTokenizerConfig, device: str | torch.device) -> ImageTokenizer:
    """Return the whole image tokenizer of taming's `vqgan.ckpt`, or of a safetensors file with its names.

    Raises:
        CheckpointError: the weights are not those of the config.
    """
    # what trained the tokenizer, a discriminator and a perceptual network, is no part of it
    store = {name: tensor for name, tensor in stored(path).items() if not name.startswith("loss.")}
    with torch.device("meta"):
        image_tokenizer = ImageTokenizer(config)
    before = prefix_of(store, "quantize.embedding.weight", path)
    fill((Target(image_tokenizer, same_names(image_tokenizer, before), torch.float32),), store, path, device)
    return image_tokenizer


def prefix_of(store: Store, name: str, path: Path) -> str:
    """Return what stands before the one tensor that ends with `name`.

    Raises:
        CheckpointError: there is no such tensor, or there are several.
    """
    found = [held.removesuffix(name) for held in store if held == name or held.endswith(f".{name}")]
    if len(found) != 1:
        raise CheckpointError(f"{path} has {len(found)} tensors {name}, not one; it does not hold this model")
    return found[0]
