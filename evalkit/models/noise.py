"""The floor: pictures of uniform noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.errors import UsageError
from evalkit.images import MAX_PIXELS, image_of
from evalkit.types import IMAGE_JOBS, Answer, Generation, Job, JsonScalar, Request
from evalkit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Noise:
    """Answers each request with uniform noise drawn from its seed, `size` pixels square unless it names a size."""

    size: int

    @property
    def name(self) -> str:
        """`noise`."""
        return "noise"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The default size, and the generator whose stream the pictures are."""
        return {"model": "noise", "code": 1, "generator": "numpy PCG64", "size": self.size}

    @property
    def capabilities(self) -> frozenset[Job]:
        """Every job that ends in a picture."""
        return IMAGE_JOBS

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield a picture for each request."""
        for position, request in enumerate(requests):
            height, width = request.height or self.size, request.width or self.size
            raw = np.random.Generator(np.random.PCG64(request.seed)).bytes(height * width * 3)
            pixels = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
            yield position, Generation((image_of(pixels),))


def noise_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Noise:
    """Return the noise model.

    Raises:
        UsageError: the size is no whole number between 1 and 10,000.
    """
    text = options.get("size", "256")
    if not text.isdecimal() or not 0 < int(text) ** 2 <= MAX_PIXELS:
        raise UsageError(f"-a size={text} is not a size in pixels between 1 and 10000")
    return Noise(int(text))
