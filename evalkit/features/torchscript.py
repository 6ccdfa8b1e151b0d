"""The tensors inside a TorchScript archive, read without running any of its code and without torch.

The archive is a zip: `NAME/data.pkl` pickles the tree of modules, and `NAME/data/K` holds the bytes of storage K. The
pickle may name only modules of the archive itself, which become plain trees, and the few constructors of tensors.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt

Tensor: TypeAlias = npt.NDArray[np.float32]


class _Module:
    """A module of the archive, of which only the attributes count."""

    def __setstate__(self, attributes: dict[str, object]) -> None:
        self.attributes = attributes


class _FloatStorage:
    """Stands for `torch.FloatStorage`, and as the parent of those below for any storage that is read."""

    dtype = "<f4"


class _HalfStorage(_FloatStorage):
    """Stands for `torch.HalfStorage`: OpenAI's CLIP is stored in 16 bits."""

    dtype = "<f2"


class _LongStorage(_FloatStorage):
    """Stands for `torch.LongStorage`: OpenAI's CLIP keeps a few sizes in such."""

    dtype = "<i8"


def _tensor(
    storage: Tensor,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    _requires_grad: bool,
    _hooks: object,
) -> Tensor:
    """Return a tensor of that shape and of those strides, counted in elements, over a storage.

    Raises:
        ValueError: it reaches beyond the storage.
    """
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if offset < 0 or min(stride, default=0) < 0 or min(shape, default=1) < 1 or last >= storage.size:
        raise ValueError(f"a tensor of shape {shape} reaches beyond its storage of {storage.size}")
    strides = tuple(storage.itemsize * step for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides, writeable=False).astype(np.float32)


def _numbers(values: list[int]) -> list[int]:
    return values


_CONSTRUCTORS: Mapping[tuple[str, str], Callable[..., object]] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.jit._pickle", "build_intlist"): _numbers,
    ("torch", "FloatStorage"): _FloatStorage,
    ("torch", "HalfStorage"): _HalfStorage,
    ("torch", "LongStorage"): _LongStorage,
    ("collections", "OrderedDict"): OrderedDict,
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(file)
        self._archive = archive
        self._root = root

    def find_class(self, module_name: str, global_name: str, /) -> Callable[..., object]:
        if module_name.startswith("__torch__."):
            return _Module
        if (module_name, global_name) not in _CONSTRUCTORS:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which weights have no need of")
        return _CONSTRUCTORS[module_name, global_name]

    def persistent_load(self, pid: tuple[str, type, str, str, int], /) -> Tensor:
        kind, storage, key, _device, length = pid
        if kind != "storage" or not issubclass(storage, _FloatStorage) or not key.isdigit():
            raise pickle.UnpicklingError(f"it holds a {kind} {key} of numbers that weights have no need of")
        return np.frombuffer(self._archive.read(f"{self._root}/data/{key}"), storage.dtype, length)


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """Return every tensor of the archive, as float32, by its dotted name, `layers.conv.weight`.

    Raises:
        OSError: the file cannot be read.
        zipfile.BadZipFile, pickle.UnpicklingError, KeyError, ValueError, EOFError: it is damaged or of another kind.
    """
    with zipfile.ZipFile(path) as archive:
        roots = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError("it is not a TorchScript archive")
        with archive.open(f"{roots[0]}/data.pkl") as pickled:
            top = _Unpickler(pickled, archive, roots[0]).load()
    tensors: dict[str, Tensor] = {}
    _collect(top, "", tensors)
    return tensors


def _collect(value: object, name: str, tensors: dict[str, Tensor]) -> None:
    if isinstance(value, np.ndarray):
        tensors[name] = value
    elif isinstance(value, _Module):
        for attribute, inner in value.attributes.items():
            _collect(inner, f"{name}.{attribute}" if name else attribute, tensors)
