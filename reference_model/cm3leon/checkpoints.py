"""Weights in files: read strictly, written so that they can be, and never by running what a file says.

A checkpoint of ours is a folder of four files: `config.json`, `tokenizer.json`, `image_tokenizer.safetensors` and
`transformer.safetensors`. Every tensor must be there, of the right shape, finite, and nothing else beside it. The
tensors of a store are read one at a time, so that a model never lies in memory twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cm3leon.config import Config, config_json, config_of
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.tensor_files import FLOATS, CheckpointError, Store, dtype_name, read_json, stored
from cm3leon.transformer import Transformer
from cm3leon.vocab import Vocabulary, read_vocabulary

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
IMAGE_TOKENIZER = "image_tokenizer.safetensors"
TRANSFORMER = "transformer.safetensors"

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Recipe",
    "Target",
    "config_at",
    "digest",
    "faults",
    "files_of",
    "fill",
    "load",
    "load_tensors",
    "matched",
    "read_tokenizer",
    "rows_joined",
    "same_names",
    "save",
    "save_tensors",
]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tensor of a module is made: of which stored ones, of which shapes, and how they are joined."""

    sources: tuple[tuple[str, tuple[int, ...]], ...]
    join: Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True, slots=True)
class Target:
    """A module to be filled: a recipe for every tensor of it, and its dtype."""

    module: nn.Module
    recipes: Mapping[str, Recipe]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole model, as loaded."""

    config: Config
    vocabulary: Vocabulary
    image_tokenizer: ImageTokenizer
    transformer: Transformer


# ---------------------------------------------------------------------------------------------------- our own layout


def save(
    folder: Path,
    config: Config,
    vocabulary: Vocabulary,
    image_tokenizer: ImageTokenizer,
    transformer: Transformer,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a checkpoint into `folder`, the weights as `dtype`; each file appears whole or not at all.

    Raises:
        CheckpointError: config, vocabulary and weights do not belong together, or a weight is not finite in `dtype`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = config_json(config)
    matched(folder / CONFIG, config_at(written, folder / CONFIG), vocabulary)
    save_tensors(folder / IMAGE_TOKENIZER, image_tokenizer, dtype)
    save_tensors(folder / TRANSFORMER, transformer, dtype)
    _replace(folder / TOKENIZER, lambda beside: beside.write_text(vocabulary.json, encoding="utf-8"))
    text = json.dumps(written, indent=2) + "\n"
    _replace(folder / CONFIG, lambda beside: beside.write_text(text, encoding="utf-8"))


def load(folder: Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Checkpoint:
    """Return the checkpoint that `save` wrote, the transformer as `dtype`, for inference.

    The image tokenizer is float32 whatever the transformer is: codes must not depend on rounding.

    Raises:
        CheckpointError: a file is missing, damaged, or does not fit the others.
    """
    path = folder / CONFIG
    config = config_at(read_json(path), path)
    vocabulary = read_tokenizer(folder / TOKENIZER)
    matched(folder / TOKENIZER, config, vocabulary)
    with torch.device("meta"):
        image_tokenizer, transformer = ImageTokenizer(config.image), Transformer(config.transformer)
    load_tensors(folder / IMAGE_TOKENIZER, image_tokenizer, torch.float32, device)
    load_tensors(folder / TRANSFORMER, transformer, dtype, device)
    return Checkpoint(config, vocabulary, image_tokenizer.eval(), transformer.eval())


def files_of(folder: Path) -> tuple[Path, ...]:
    """Return the files that `load` reads."""
    return tuple(folder / name for name in (CONFIG, TOKENIZER, IMAGE_TOKENIZER, TRANSFORMER))


def digest(files: Iterable[Path]) -> str:
    """Return one sha256 over the names and contents of `files`, whatever their order.

    Raises:
        CheckpointError: a file cannot be read.
    """
    lines = []
    for path in files:
        try:
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error})") from error
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def read_tokenizer(path: Path) -> Vocabulary:
    """Return the vocabulary of a tokenizer file.

    Raises:
        CheckpointError: the file is missing or damaged, or lacks a mark or a picture code.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    try:
        return read_vocabulary(path)
    except ValueError as error:
        raise CheckpointError(f"{path} is not the tokenizer of this model: {error}") from error


def config_at(value: object, path: Path) -> Config:
    """Return the config that the parsed file at `path` holds.

    Raises:
        CheckpointError: a field of it is wrong.
    """
    try:
        return config_of(value)
    except ValueError as error:
        raise CheckpointError(f"{path} is not a config: {error}") from error


def matched(path: Path, config: Config, vocabulary: Vocabulary) -> None:
    """Check that a tokenizer has as many tokens and picture codes as a config says.

    Raises:
        CheckpointError: it has not.
    """
    counts = (
        ("tokens", vocabulary.size, "transformer.vocabulary", config.transformer.vocabulary),
        ("picture codes", len(vocabulary.codes), "image.codes", config.image.codes),
    )
    for what, found, field, wanted in counts:
        if found != wanted:
            raise CheckpointError(f"{path}: the tokenizer has {found} {what}, but the config's {field} is {wanted}")


# ----------------------------------------------------------------------------------------------- modules and tensors


def save_tensors(path: Path, module: nn.Module, dtype: torch.dtype = torch.float16) -> None:
    """Write a module's tensors to a safetensors file, which appears whole or not at all.

    Raises:
        CheckpointError: a weight is not finite in `dtype`; the message names all such.
    """
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in module.state_dict().items()}
    bad = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if bad:
        raise CheckpointError(f"{path} is not written: not finite as {dtype_name(dtype)}: {', '.join(bad)}")
    _replace(path, lambda beside: save_file(tensors, beside, metadata={"format": "pt"}))


def load_tensors(path: Path, module: nn.Module, dtype: torch.dtype, device: str | torch.device = "cpu") -> None:
    """Fill a module, which may lie on `meta`, with the tensors that `save_tensors` wrote.

    Raises:
        CheckpointError: the file is damaged, or does not hold the module's tensors and nothing else.
    """
    fill([Target(module, same_names(module), dtype)], stored(path), path, device)


def same_names(module: nn.Module, prefix: str = "") -> dict[str, Recipe]:
    """Return recipes for tensors that are stored as they are, under their names behind `prefix`."""
    tensors = module.state_dict()
    return {name: Recipe(((prefix + name, tuple(t.shape)),), _only) for name, t in tensors.items()}


def fill(targets: Sequence[Target], store: Store, source: Path, device: str | torch.device = "cpu") -> None:
    """Fill modules, which may lie on `meta`, from a store that must hold what they need and nothing else.

    Raises:
        CheckpointError: tensors are missing, unexpected, of the wrong shape or dtype, or not finite; the message names
            every one.
    """
    wanted = dict(part for target in targets for recipe in target.recipes.values() for part in recipe.sources)
    _raise(source, faults(store, wanted))
    bad: list[str] = []
    for target in targets:
        tensors = {}
        for name, recipe in target.recipes.items():
            parts = [store[part].read() for part, _ in recipe.sources]
            made = recipe.join(parts).to(device=device, dtype=target.dtype, copy=True)
            bad += _not_finite(recipe, parts, made)
            tensors[name] = made
        target.module.load_state_dict(tensors, strict=True, assign=True)
    _raise(source, [f"not finite: {', '.join(bad)}"] if bad else [])


def faults(store: Store, wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return what is wrong with a store that should hold tensors of these shapes alone: a line for each kind."""
    held = [name for name in wanted if name in store]
    kinds = {
        "missing": [name for name in wanted if name not in store],
        "unexpected": [name for name in store if name not in wanted],
        "wrong shape": [
            f"{name} is {list(store[name].shape)}, not {list(wanted[name])}, in {store[name].file.name}"
            for name in held
            if store[name].shape != wanted[name]
        ],
        "wrong dtype": [f"{name} is {store[name].dtype}" for name in held if store[name].dtype not in FLOATS],
    }
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names]


def _raise(source: Path, lines: Sequence[str]) -> None:
    if lines:
        raise CheckpointError(f"{source} does not hold the weights of this model. " + "; ".join(lines))


def _not_finite(recipe: Recipe, parts: Sequence[Tensor], made: Tensor) -> list[str]:
    """Return the stored tensors that hold NaN or infinity, or get it from the cast."""
    if bool(made.isfinite().all()):
        return []
    names = [name for name, _ in recipe.sources]
    bad = [name for name, part in zip(names, parts, strict=True) if not bool(part.isfinite().all())]
    return bad or [f"{name} as {dtype_name(made.dtype)}" for name in names]


def rows_joined(parts: Sequence[Tensor]) -> Tensor:
    """Return tensors one below the other."""
    return torch.cat(list(parts))


def _only(parts: Sequence[Tensor]) -> Tensor:
    return parts[0]


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
