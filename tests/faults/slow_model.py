"""A model of the user's own, for the fault tests: it draws noise slowly and writes down what it was asked.

Used as `-m slow_model:factory -a log=FILE -a seconds=0.05` with this folder on the path.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.models.noise import Noise
from evalkit.types import IMAGE_JOBS, Answer, Job, JsonScalar, Request
from evalkit.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Slow:
    """Noise, `seconds` late; each sample id goes to `log` before it is answered."""

    log: Path
    seconds: float
    name: str = "slow"
    capabilities: frozenset[Job] = IMAGE_JOBS

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        return {"model": "slow"}

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        for position, request in enumerate(requests):
            with self.log.open("a") as log:
                log.write(f"{os.getpid()} {request.sample_id}\n")
            time.sleep(self.seconds)
            ((_, answer),) = Noise(32).generate([request])
            yield position, answer


def factory(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Slow:
    """Return the slow model."""
    return Slow(Path(options["log"]), float(options.get("seconds", "0.05")))
