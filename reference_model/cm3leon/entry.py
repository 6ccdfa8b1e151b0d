"""`-m cm3leon` as evalkit builds it: the shipped model, or a folder of the same layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from cm3leon.adapter import Cm3leon, Defaults
from cm3leon.bundle import SHIPPED, read
from cm3leon.quantisation import PRECISIONS, Precision, dtype_of, quantise
from cm3leon.tensor_files import CheckpointError
from evalkit.errors import UsageError, WeightsError, nearest
from evalkit.workspace import Workspace

NAMES = ("blocksworld",)
MODES = ("top-p", "cd", "cd-k", "mixture")


def cm3leon_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Cm3leon:
    """Return the model that `-m cm3leon` or `-m cm3leon:NAME` asks for.

    Raises:
        UsageError: an unknown name, or an option out of its range.
        WeightsError: a file is missing or damaged, or weights do not fit.
    """
    name = argument or NAMES[0]
    if name not in NAMES:
        raise UsageError(f"cm3leon has no weights named {name!r}{nearest(name, NAMES)}")
    precision = cast(Precision, _one_of(options, "precision", PRECISIONS, "fp32"))
    device = options.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(options["weights"]) if options.get("weights") else SHIPPED
    try:
        bundle = read(folder, dtype_of(precision), device)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if precision == "int8":
        quantise(bundle.checkpoint.transformer)
    defaults = _defaults(options, most=0 if bundle.documents is None else 2)
    return Cm3leon("cm3leon", bundle.checkpoint, bundle.digest, defaults, bundle.documents, bundle.embedder)


def _defaults(options: Mapping[str, str], most: int) -> Defaults:
    """Return the settings that hold where a request says nothing."""
    documents = _whole(options, "documents", str(min(most, Defaults().documents)), most)
    known = replace(Defaults(), documents=documents)
    mode = _one_of(options, "mode", MODES, known.mode)
    alpha, k = _number(options, "alpha", known.alpha), _whole(options, "k", str(known.k), most=4096)
    return replace(known, mode=mode, alpha=alpha, k=k)


def _one_of(options: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = options.get(name) or default
    if value not in known:
        raise UsageError(f"-a {name}={value}: choose one of {', '.join(known)}")
    return value


def _whole(options: Mapping[str, str], name: str, default: str, most: int) -> int:
    value = options.get(name) or default
    if not value.isdecimal() or int(value) > most:
        raise UsageError(f"-a {name}={value} is not a whole number from 0 to {most}")
    return int(value)


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    value = options.get(name) or str(default)
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise UsageError(f"-a {name}={value} is not a number from 0 to 1")
    return number
