"""The workspace and the device that flags ask for."""

from __future__ import annotations

import shutil
from pathlib import Path

from evalkit.cli.run_flags import AskFlags
from evalkit.errors import UsageError
from evalkit.progress import Progress
from evalkit.workspace import Workspace, default_cache_dir


def workspace_of(flags: AskFlags, progress: Progress, batch: int | None = None) -> Workspace:
    """Return the workspace that `flags` describe; `batch` is None for automatic.

    Raises:
        UsageError: the device is not here.
    """
    return Workspace(
        cache=flags.cache or default_cache_dir(),
        data=flags.data,
        data_dir=flags.data_dir,
        offline=flags.offline,
        device=chosen_device(flags.device),
        batch=batch,
        progress=progress,
    )


def chosen_device(name: str) -> str:
    """Return the device that `--device name` means on this machine.

    Raises:
        UsageError: no such device is here.
    """
    if name == "cpu" or (name == "auto" and not _has_nvidia_driver()):
        return "cpu"
    kind, colon, index = name.partition(":")
    if kind not in {"auto", "cuda", "mps"} or (colon and not index.isdecimal()):
        raise UsageError(f"--device {name!r} is not one of auto, cpu, cuda, cuda:1, ..., mps")
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = torch.cuda.device_count() if kind == "cuda" else int(kind == "mps" and torch.backends.mps.is_available())
    if int(index or 0) >= there:
        raise UsageError(f"--device {name} is not here ({there} of that kind found); `evalkit doctor` says what is")
    return name


def _has_nvidia_driver() -> bool:
    """Return whether asking torch about CUDA can be worth the seconds that importing it takes."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
