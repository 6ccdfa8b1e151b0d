"""Where a run may look and keep things, and what the command line fixed for all of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from evalkit.progress import Progress, Silent


def default_cache_dir() -> Path:
    """Return `$EVALKIT_CACHE`, or evalkit's folder in the user's cache directory."""
    named = os.environ.get("EVALKIT_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("evalkit")


def offline_by_environment() -> bool:
    """Return whether `$EVALKIT_OFFLINE` forbids the network."""
    return os.environ.get("EVALKIT_OFFLINE", "").lower() in {"1", "true", "yes", "on"}


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths, data choice and machine limits of one command.

    `cache` holds generations, features and reference statistics; `weights` and `datasets` hold what was fetched.
    `data` is the name that the user gave with `--data` (None: the task chooses), `data_dir` its folder. `batch` is the
    user's batch size, None for automatic.
    """

    cache: Path = field(default_factory=default_cache_dir)
    data: str | None = None
    data_dir: Path | None = None
    offline: bool = field(default_factory=offline_by_environment)
    device: str = "cpu"
    batch: int | None = None
    progress: Progress = field(default_factory=Silent, compare=False)

    @property
    def weights(self) -> Path:
        """The folder of weight files: `$EVALKIT_WEIGHTS`, or beside the cache's generations."""
        named = os.environ.get("EVALKIT_WEIGHTS")
        return Path(named) if named else self.cache / "weights"

    @property
    def datasets(self) -> Path:
        """The folder of fetched datasets: `$EVALKIT_DATASETS`, or beside the cache's generations."""
        named = os.environ.get("EVALKIT_DATASETS")
        return Path(named) if named else self.cache / "datasets"
