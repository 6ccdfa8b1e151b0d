"""evalkit measures multimodal generative models.

    import evalkit
    found = evalkit.run("blocksworld_vqa", model="transformers:out/step-1000", limit=100)
    found.value("vqa_accuracy"), found.samples

These names are loaded when they are first used, so that `import evalkit` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.api import KeptRun, load, run

__all__ = ["KeptRun", "load", "run"]


def __getattr__(name: str) -> object:
    """Return one of the names above."""
    if name not in __all__:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    return getattr(importlib.import_module("evalkit.api"), name)
