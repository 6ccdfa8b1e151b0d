"""How pictures reach a 299 x 299 Inception network, as data: the choices by which FID tools differ.

Two choices are kept apart. The `Preparation` is what is done to a picture before any tool sees it (nothing, or a crop
to a square). The `InputProtocol` is the tool's own resize to 299 x 299 and its scaling. The code is in
`evalkit.features.resize`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from evalkit.errors import UsageError
from evalkit.types import JsonScalar

NETWORK_SIZE = 299
"""Side in pixels of what the network sees."""


@dataclass(frozen=True, slots=True)
class InputProtocol:
    """A tool's way from uint8 pixels to the network's input. No tool rounds to 8 bits after its resize."""

    name: str
    resize: Literal["bilinear-tf1", "bilinear-half-pixel", "bicubic-pil"]
    """`bilinear-tf1` has its sample points at i * in / out; the others at (i + 0.5) * in / out - 0.5."""
    antialias: bool
    scale: Literal["(x-128)/128", "2x/255-1"]

    @property
    def fields(self) -> Mapping[str, JsonScalar]:
        """The choices by name, for a protocol."""
        return {
            "input": self.name,
            "resize": self.resize,
            "antialias": self.antialias,
            "quantised": False,
            "range": self.scale,
            "network_size": NETWORK_SIZE,
        }


INPUT_PROTOCOLS: Mapping[str, InputProtocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            InputProtocol("torch-fidelity", "bilinear-tf1", antialias=False, scale="(x-128)/128"),
            InputProtocol("pytorch-fid", "bilinear-half-pixel", antialias=False, scale="2x/255-1"),
            InputProtocol("clean-fid", "bicubic-pil", antialias=True, scale="(x-128)/128"),
            InputProtocol("torchmetrics", "bilinear-half-pixel", antialias=True, scale="(x-128)/128"),
        )
    }
)
"""Each tool's defaults, as in torch-fidelity 0.4.0, pytorch-fid 0.3.0, clean-fid 0.1.35 and torchmetrics 1.9.0."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is done to a picture before the tool's own resize; `size` is the side of the square, if any."""

    kind: Literal["native", "resize-crop", "crop-lanczos"]
    size: int = 0

    @property
    def name(self) -> str:
        """`native`, or the kind and the size: `resize-crop-256`."""
        return self.kind if self.kind == "native" else f"{self.kind}-{self.size}"

    @property
    def fields(self) -> Mapping[str, JsonScalar]:
        """The choices by name, for a protocol."""
        kinds = {
            "native": ("none", "none"),
            "resize-crop": ("centre, after the resize", "bilinear-pil, shorter side"),
            "crop-lanczos": ("centre square, before the resize", "lanczos-pil"),
        }
        crop, prepare_filter = kinds[self.kind]
        return {"preparation": self.name, "crop": crop, "preparation_resize": prepare_filter}


def input_protocol(name: str) -> InputProtocol:
    """Return the input protocol of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in INPUT_PROTOCOLS:
        raise UsageError(f"no input protocol named {name!r}; choose one of {', '.join(INPUT_PROTOCOLS)}")
    return INPUT_PROTOCOLS[name]


def preparation(name: str) -> Preparation:
    """Return the preparation of that name: `native`, `resize-crop-SIZE` or `crop-lanczos-SIZE`.

    >>> preparation("resize-crop-256")
    Preparation(kind='resize-crop', size=256)

    Raises:
        UsageError: the name is none of these.
    """
    if name == "native":
        return Preparation("native")
    match = re.fullmatch(r"(resize-crop|crop-lanczos)-([1-9]\d{0,3})", name)
    if match is None:
        raise UsageError(f"no preparation named {name!r}; choose native, resize-crop-SIZE or crop-lanczos-SIZE")
    kind: Literal["resize-crop", "crop-lanczos"] = "resize-crop" if match[1] == "resize-crop" else "crop-lanczos"
    return Preparation(kind, int(match[2]))
