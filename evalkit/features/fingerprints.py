"""What a network's outputs depend on to the last bit, as one digest: what they are cached under."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence

import PIL

from evalkit.keys import digest
from evalkit.types import Json, JsonScalar


def fingerprint_of(protocol: Mapping[str, JsonScalar], code: int, device: str, libraries: Sequence[str]) -> str:
    """Return the digest of protocol fields, of the version of the code, and of where and with what it computes.

    `libraries` are the installed packages that may move the last bits; Pillow is always one.
    """
    document: Json = {
        "protocol": dict(protocol),
        "code": code,
        "device": device,
        "machine": platform.machine(),
        "pillow": PIL.__version__,
        **{name: importlib.metadata.version(name) for name in libraries},
    }
    return digest(document)
