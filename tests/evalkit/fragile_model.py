"""A model of the user's own that ends its process over some samples, as native code does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.models.noise import Noise
from evalkit.types import IMAGE_JOBS, Answer, Job, JsonScalar, Request
from evalkit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Fragile:
    """Noise; `kill`, `leave`, `raise` and `memory` name the samples over which it does that."""

    options: Mapping[str, str]
    name: str = "fragile"
    capabilities: frozenset[Job] = IMAGE_JOBS

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "fragile", "process": None}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            name = request.sample_id
            print(f"fragile {os.getpid()} {name}")  # noqa: T201 - a model may talk
            if name == self.options.get("kill"):
                os.kill(os.getpid(), signal.SIGSEGV)
            if name == self.options.get("leave"):
                os._exit(3)
            if name == self.options.get("raise"):
                raise ValueError(f"cannot draw {name}")
            if name == self.options.get("memory") and len(requests) > 1:
                raise MemoryError("too many")
            yield from ((position, answer) for _, answer in Noise(8).generate([request]))


def factory(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Fragile:
    """Return the fragile model."""
    workspace.progress.say("fragile is built")
    if options.get("build") == "leave":
        os._exit(4)
    if options.get("build") == "raise":
        from evalkit.errors import WeightsError

        raise WeightsError("no weights here")
    return Fragile(options)
