"""Files of tensors, opened without running what they say, nor reading more of them than is asked for."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_INDEX = ".safetensors.index.json", ".bin.index.json"
_DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32"}
FLOATS = tuple(_DTYPES.values())
"""Names of the dtypes that weights may have."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be used. The message names the file, and the tensor or field where there is one."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file, not read yet."""

    file: Path
    shape: tuple[int, ...]
    dtype: str
    """`float16`, `bfloat16`, `float32`, or what the file calls any other."""
    read: Callable[[], Tensor]


Store: TypeAlias = Mapping[str, Stored]


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's name, `float16` say."""
    return str(dtype).removeprefix("torch.")


def stored(path: Path) -> dict[str, Stored]:
    """Return the tensors of a file by name, none of them read yet.

    The file may be safetensors, the index of safetensors or pickled shards, or a pickle of tensors. A pickle is read
    with `weights_only=True`: what would run code is refused.

    Raises:
        CheckpointError: the file is missing, damaged, of another kind, or refused.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    if path.name.endswith(_INDEX):
        return _sharded(path)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix in PICKLES:
        return _pickled(path)
    raise CheckpointError(f"{path} is no file of weights; those end with .safetensors, {', '.join(PICKLES)}")


def _safetensors(path: Path) -> dict[str, Stored]:
    try:
        file = safe_open(path, framework="pt")
        names = list(file.keys())  # type: ignore[no-untyped-call]
        slices = {name: file.get_slice(name) for name in names}  # type: ignore[no-untyped-call]
    except (SafetensorError, OSError) as error:
        where = _cut_off(path)
        raise CheckpointError(f"{path} is damaged or cut short ({error}){where}; fetch it again") from error
    found = {}
    for name, part in slices.items():
        dtype = _DTYPES.get(part.get_dtype(), part.get_dtype())
        found[name] = Stored(path, tuple(part.get_shape()), dtype, partial(file.get_tensor, name))
    return found


def _cut_off(path: Path) -> str:
    """Return words on the first tensor that a damaged safetensors file does not hold to its end; none if it has all."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        ends = {name: entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"}
        lost = sorted((end, name) for name, end in ends.items() if end > size - 8 - length)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    others = f" and {len(lost) - 1} others" if len(lost) > 1 else ""
    return f": it ends before the end of {lost[0][1]}{others}" if lost else ""


def _sharded(index: Path) -> dict[str, Stored]:
    content = read_json(index)
    files = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not files:
        raise CheckpointError(f"{index} is no index: it has no weight_map")
    for name, file in files.items():
        # a bare name cannot lead out of the folder; links are let be, as caches of downloads are made of them
        if not isinstance(file, str) or file in {"", ".", ".."} or Path(file).name != file or "\\" in file:
            raise CheckpointError(f"{index} puts {name} into {file!r}, which is no file of its folder; fetch it again")
    found: dict[str, Stored] = {}
    for file in sorted(set(files.values())):
        shard = stored(index.with_name(file))
        wanted = {name for name, place in files.items() if place == file}
        both = (("missing", wanted - shard.keys()), ("unexpected", shard.keys() - wanted))
        lines = [f"{kind}: {', '.join(sorted(names))}" for kind, names in both if names]
        if lines:
            raise CheckpointError(f"{index.with_name(file)} is not the shard of {index.name}. {'; '.join(lines)}")
        found |= shard
    return found


def _pickled(path: Path) -> dict[str, Stored]:
    content = _unpickled(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not tensors by name")
    others = [repr(name) for name, tensor in content.items() if not (isinstance(name, str) and torch.is_tensor(tensor))]
    if others:
        raise CheckpointError(f"{path} holds more than tensors by name: {', '.join(others)}")
    return {
        name: Stored(
            path, tuple(t.shape), dtype_name(t.dtype) if t.layout is torch.strided else str(t.layout), t.detach
        )
        for name, t in content.items()
    }


def _unpickled(path: Path) -> object:
    zipped = zipfile.is_zipfile(path)
    with path.open("rb") as file:
        if file.read(2) == b"PK" and not zipped:
            raise CheckpointError(f"{path} is damaged or cut short (a zip file without its end); fetch it again")
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError) as error:
        reason = str(error)
        if "Unsupported" in reason:
            what = reason[reason.rindex("Unsupported") :].splitlines()[0]
            raise CheckpointError(
                f"{path} is refused: it is no pickle of tensors alone, and reading it could run code ({what}); take "
                "the weights as safetensors"
            ) from error
        raise CheckpointError(f"{path} is damaged or cut short ({reason[:200]}); fetch it again") from error
    return content


def read_json(path: Path) -> object:
    """Return what a JSON file holds.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error})") from error
