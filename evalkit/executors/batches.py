"""How many requests go to a model at a time, found by trying, and remembered by model, job and device."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.keys import digest
from evalkit.types import Job, JsonScalar

FIRST = 16
"""Size tried first where none is known."""
LARGEST = 512
"""Size beyond which no batch grows."""
CLOSE = 8
"""The search ends where the size that is known to fit lies within this part of one that does not."""


@dataclass(slots=True)
class BatchSize:
    """The size of the next batch.

    It halves when memory runs out. If it `grows`, it doubles for as long as full batches fit, and then closes in on the
    largest that does.
    """

    size: int = FIRST
    grows: bool = False
    fits: int = 0
    """Largest size that is known to fit; 0 where none is."""
    too_large: int | None = None
    """Smallest size that is known not to fit."""

    def fitted(self, count: int) -> None:
        """Note that a batch of `count` was answered."""
        self.fits = max(self.fits, count)
        if not self.grows or count < self.size:
            return
        if self.too_large is None:
            self.size = min(2 * self.size, LARGEST)
        elif not self.settled:
            self.size = (self.fits + self.too_large) // 2

    def ran_out(self, count: int) -> None:
        """Note that memory ran out on a batch of `count`, which is more than one."""
        self.too_large = count if self.too_large is None else min(count, self.too_large)
        if self.fits >= count:
            self.fits = 0  # these requests are larger than those that fitted
        self.size = self.fits or max(1, count // 2)

    @property
    def settled(self) -> bool:
        """Whether the size will not grow any more."""
        if not self.grows:
            return True
        if self.too_large is None:
            return self.fits >= LARGEST
        return self.fits > 0 and self.too_large - self.fits <= max(1, self.fits // CLOSE)


@dataclass(slots=True)
class BatchSizes:
    """The batch sizes of one model on one device, one for each job.

    `fixed` is the size that the user chose, None for automatic: then what was found is kept in `directory`, and grows
    only on an accelerator, where running out of memory is an error and not the end of the process.
    """

    fixed: int | None = None
    device: str = "cpu"
    directory: Path | None = None
    identity: Mapping[str, JsonScalar] = field(default_factory=dict)
    _sizes: dict[Job, BatchSize] = field(default_factory=dict)
    _kept: dict[Job, int] = field(default_factory=dict)

    def of_job(self, job: Job) -> BatchSize:
        """Return the size for requests of that job, as it was remembered or a first guess."""
        if job not in self._sizes:
            self._sizes[job] = self._first(job)
        return self._sizes[job]

    def _first(self, job: Job) -> BatchSize:
        if self.fixed is not None:
            return BatchSize(self.fixed)
        known = _read(self._path(job))
        if known is not None:
            self._kept[job] = known
        return BatchSize(known or FIRST, grows=known is None and self.device != "cpu")

    def keep(self, job: Job) -> None:
        """Remember the job's size if it was searched for or had to shrink, and is not what is remembered already."""
        size = self.of_job(job)
        first_guess = not size.grows and size.too_large is None
        if self.fixed is not None or first_guess or not size.settled or not size.fits:
            return
        if self._kept.get(job) != size.size:
            self._kept[job] = size.size
            _write(self._path(job), {"device": device_name(self.device), "job": job, "batch": size.size})

    def _path(self, job: Job) -> Path | None:
        if self.directory is None:
            return None
        return self.directory / f"{digest([dict(self.identity), job, device_name(self.device)])}.json"


def device_name(device: str) -> str:
    """Return what tells devices of another memory apart: `NVIDIA H100 80GB HBM3, 85 GB` for `cuda`, else `device`."""
    if not device.startswith("cuda"):
        return device
    import torch

    properties = torch.cuda.get_device_properties(torch.device(device))
    return f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"


def _read(path: Path | None) -> int | None:
    """Return the size that is kept at `path`; what cannot be read there is found anew."""
    if path is None:
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        size = document["batch"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return size if isinstance(size, int) and 1 <= size <= LARGEST else None


def _write(path: Path | None, document: Mapping[str, JsonScalar]) -> None:
    """Write `document`; a folder that cannot be written costs the next run the search, not this one its end."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(json.dumps(document), encoding="utf-8")
        beside.replace(path)
    except OSError:
        return
