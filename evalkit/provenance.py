"""With what and when a run was made."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version

from evalkit.types import Json

PACKAGES = ("evalkit-multimodal", "numpy", "scipy", "torch", "torchvision", "pillow", "scikit-learn", "datasets")
"""Packages whose version can move a number."""


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, Json]:
    """Return the installed version of each package, None for one that is not installed."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def provenance(started: float) -> dict[str, Json]:
    """Return the machine, the versions and the times (UTC and seconds) of a run that began at `started`."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
    }
