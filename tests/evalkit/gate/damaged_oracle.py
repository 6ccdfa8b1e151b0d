"""A model under test for the gate: blocksworld's oracle with planted damage, named `-m damaged_oracle:model`.

Options: `harm=0.1` answers that share of the samples wrongly, `drop=0.1` fails on that share, `salt=x` chooses others.
Which samples are hit follows from their ids alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.images import image_of
from evalkit.interfaces import Model
from evalkit.registry import build_model
from evalkit.types import Answer, Failure, Image, Job, JsonScalar, Request, Text
from evalkit.workspace import Workspace

UNDER_TEST = "oracle"
"""The model that is damaged, as `-m` names it: `cm3leon` once its weights are shipped."""


@dataclass(frozen=True, slots=True)
class DamagedModel:
    """Answers as `whole` does, except where damage is planted."""

    whole: Model
    harm: float
    drop: float
    salt: str

    @property
    def name(self) -> str:
        return "damaged-oracle"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {**self.whole.identity, "harm": self.harm, "drop": self.drop, "salt": self.salt}

    @property
    def capabilities(self) -> frozenset[Job]:
        return self.whole.capabilities

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, answer in self.whole.generate(requests):
            yield position, self._damaged(requests[position], answer)

    def _damaged(self, request: Request, answer: Answer) -> Answer:
        if share(f"drop {self.salt} {request.sample_id}") < self.drop:
            return Failure("exception", "planted: no answer")
        if isinstance(answer, Failure) or share(f"harm {self.salt} {request.sample_id}") >= self.harm:
            return answer
        return replace(answer, parts=tuple(map(_wrong, answer.parts)))


def share(text: str) -> float:
    """Return a number from 0 to 1 that follows from `text` alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _wrong(part: object) -> Text | Image:
    if isinstance(part, Image):
        return image_of(np.zeros((part.height, part.width, 3), np.uint8))
    return Text("nothing")


def model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> DamagedModel:
    """Return the damaged model."""
    whole = build_model(UNDER_TEST, workspace, {})
    return DamagedModel(whole, float(options.get("harm", 0)), float(options.get("drop", 0)), options.get("salt", ""))
