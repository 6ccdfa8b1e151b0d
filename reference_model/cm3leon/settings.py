"""What `-a` says of any `cm3leon` model: how it is computed, and how it draws where a request says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch

from cm3leon.adapter import Defaults
from cm3leon.generate import ROWS
from cm3leon.quantisation import PRECISIONS, Precision, dtype_of
from evalkit.errors import UsageError
from evalkit.models.knobs import choice, whole
from evalkit.workspace import Workspace

MODES = ("top-p", "cd", "cd-k", "mixture")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is computed: the precision of its transformer, the device, and rows a batch; and its defaults."""

    precision: Precision
    device: str
    rows: int
    defaults: Defaults

    @property
    def dtype(self) -> torch.dtype:
        """What weights are loaded as, before they are quantised if at all."""
        return dtype_of(self.precision)


def settings_of(workspace: Workspace, options: Mapping[str, str], precision: Precision, defaults: Defaults) -> Settings:
    """Return what the options say; `precision` and `defaults` hold where they say nothing.

    Raises:
        UsageError: an option is out of its range, or the device is not here.
    """
    held = cast(Precision, choice(options, "precision", PRECISIONS, precision))
    mode, k = choice(options, "mode", MODES, defaults.mode), whole(options, "k", defaults.k)
    captions = whole(options, "captions", defaults.captions)
    drawn = replace(defaults, mode=mode, alpha=_share(options, "alpha", defaults.alpha), k=k, captions=captions)
    return Settings(held, _device(workspace, options), whole(options, "rows", ROWS), drawn)


def require_applicable(name: str, options: Mapping[str, str], others: tuple[str, ...]) -> None:
    """Return if no option that belongs to `others` alone is given.

    Raises:
        UsageError: one is.
    """
    for option in others:
        if options.get(option):
            raise UsageError(f"-a {option}={options[option]} means nothing to cm3leon:{name}; leave it out")


def _device(workspace: Workspace, options: Mapping[str, str]) -> str:
    device = options.get("device") or workspace.device
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise UsageError(f"cm3leon runs on cpu, cuda, cuda:1 and so on, not on {device!r}; say -a device=cpu")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UsageError(f"-a device={device} is not here; `evalkit doctor` says what is")
    return device


def _share(options: Mapping[str, str], name: str, default: float) -> float:
    value = options.get(name) or str(default)
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise UsageError(f"-a {name}={value} is not a number from 0 to 1")
    return number
