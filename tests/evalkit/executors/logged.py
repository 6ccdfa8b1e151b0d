"""A model for workers: it writes down who was asked what, and misbehaves at the samples that it is told to."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.errors import DataError
from evalkit.images import image_of
from evalkit.types import IMAGE_JOBS, Answer, Generation, Job, JsonScalar, Request, Text
from evalkit.workspace import Workspace


@dataclass(frozen=True)
class Logged:
    """Answers with a small picture drawn from the seed, `seconds` late.

    It raises at `poison`, dies at `killer`, never ends at `hanger`, and reports that its data are gone at `fatal`;
    `once` says that it does so only the first time that anybody asks.
    """

    log: Path
    seconds: float = 0.0
    poison: str = ""
    killer: str = ""
    hanger: str = ""
    fatal: str = ""
    once: bool = False
    another: bool = False
    """Whether it is another model in each process."""
    name: str = "logged"
    capabilities: frozenset[Job] = IMAGE_JOBS

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "logged", "weights": os.getpid() if self.another else 1}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            with self.log.open("a") as log:
                log.write(f"{os.getpid()} {request.sample_id}\n")
            if not self.once or asked(self.log)[request.sample_id] == 1:
                self._misbehave(request.sample_id)
            time.sleep(self.seconds)
            pixels = np.random.default_rng(request.seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            yield position, Generation((image_of(pixels),))

    def _misbehave(self, sample: str) -> None:
        if sample == self.poison:
            raise ValueError(f"cannot draw {sample}")
        if sample == self.fatal:
            raise DataError("the folder is gone")
        if sample == self.killer:
            os.kill(os.getpid(), signal.SIGKILL)
        if sample == self.hanger:
            time.sleep(3600)


@dataclass(frozen=True)
class BuildLogged:
    """Builds the model at the worker; `broken` says how that fails."""

    model: Logged
    broken: str = ""

    def __call__(self, workspace: Workspace) -> Logged:
        if self.broken == "error":
            raise DataError("no weights here")
        if self.broken == "death":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.model


def asked(log: Path) -> Counter[str]:
    """How often each sample was asked."""
    return Counter(line.split()[1] for line in _lines(log))


def processes(log: Path) -> Counter[int]:
    """How many samples each process was asked."""
    return Counter(int(line.split()[0]) for line in _lines(log))


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def requests(count: int) -> list[Request]:
    """Requests about the samples s0, s1, ..."""
    return [Request("tiny@1", f"s{i}", "text-to-image", (Text("x"),), seed=i) for i in range(count)]
