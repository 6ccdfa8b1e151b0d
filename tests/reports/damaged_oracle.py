"""The oracle with damage: a second, worse model for comparisons. `-m damaged_oracle:often` from this folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.images import Pixels, image_of, pixels
from evalkit.interfaces import Model
from evalkit.registry import build_model
from evalkit.types import Answer, Generation, Image, Job, JsonScalar, Part, Request, Text
from evalkit.workspace import Workspace

OPPOSITES = {"yes": "no", "no": "yes", "red": "blue", "blue": "red", "left": "right", "1": "2", "2": "3", "3": "4"}


@dataclass(frozen=True, slots=True)
class DamagedOracle:
    """Spoils one answer in `every`, chosen by the request's seed."""

    oracle: Model
    every: int

    @property
    def name(self) -> str:
        return f"damaged-{self.every}"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {**self.oracle.identity, "damaged": self.every}

    @property
    def capabilities(self) -> frozenset[Job]:
        return self.oracle.capabilities

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, answer in self.oracle.generate(requests):
            request = requests[position]
            if isinstance(answer, Generation) and request.seed % self.every == 0:
                yield position, replace(answer, parts=tuple(damaged(part, request) for part in answer.parts))
            else:
                yield position, answer


def damaged(part: Part, request: Request) -> Part:
    """A wrong word for a text, the untouched source for an edit, a mirror image for any other picture."""
    if isinstance(part, Text):
        return Text(" ".join(OPPOSITES.get(word, word) for word in part.text.split()[::-1]))
    source = next((given for given in request.parts if isinstance(given, Image)), None)
    if request.job == "text-guided-editing" and source is not None:
        return replace(source, role="generated")
    return image_of(mirrored(pixels(part))) if isinstance(part, Image) else part


def mirrored(picture: Pixels) -> Pixels:
    return np.ascontiguousarray(255 - picture[:, ::-1])


def often(workspace: Workspace, argument: str, options: Mapping[str, str]) -> DamagedOracle:
    """One answer in three is spoilt."""
    return DamagedOracle(build_model("oracle", workspace, {}), 3)


def seldom(workspace: Workspace, argument: str, options: Mapping[str, str]) -> DamagedOracle:
    """One answer in twelve is spoilt."""
    return DamagedOracle(build_model("oracle", workspace, {}), 12)
