"""What training reads: records of drawn or photographed scenes, by number.

A recipe names its source as `package.module:function`; the function returns record 0, 1, 2 and so on, without end.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""A picture `(H, W, 3)`."""
Labels: TypeAlias = npt.NDArray[np.uint8]
"""The class `(H, W)` of each pixel."""
Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""


class Record(Protocol):
    """One scene, and all that any job can be taught from it."""

    def pixels(self) -> Pixels:
        """Return the picture."""
        ...

    def captions(self) -> tuple[str, ...]:
        """Return captions."""
        ...

    def questions(self, count: int) -> tuple[tuple[str, str], ...]:
        """Return `count` questions with their answers."""
        ...

    def edit(self) -> tuple[str, Pixels] | None:
        """Return an instruction and the picture after it, None where there is none."""
        ...

    def edges(self) -> Pixels:
        """Return the outlines, white on black."""
        ...

    def depth(self) -> Pixels:
        """Return the nearness in grey."""
        ...

    def labels(self) -> Labels:
        """Return the class `(H, W)` of each pixel."""
        ...

    def kinds(self) -> Labels:
        """Return what each pixel `(H, W)` shows in finer classes than `labels`, 0 where that is the background."""
        ...

    def boxes(self) -> tuple[tuple[str, Box], ...]:
        """Return the objects in words, each with its box."""
        ...


Source: TypeAlias = Callable[[int], Record]


def source(name: str) -> Source:
    """Return the function that `package.module:function` names.

    Raises:
        ValueError: there is no such function.
    """
    module, colon, function = name.partition(":")
    try:
        found: Source = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name!r} names no source of records ({error}); write package.module:function") from error
    if not colon or not callable(found):
        raise ValueError(f"{name!r} names no source of records; write package.module:function")
    return found


def in_range(pictures: Tensor) -> Tensor:
    """Return RGB8 pictures `(B, H, W, 3)` as `(B, 3, H, W)` in [-1, 1], channels last in memory."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
