"""Small sets of photos with label maps in the official layouts, made on the spot."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from tests.evalkit.features.conftest import photo_like

ADE_NAMES = ("ADE_val_00000001", "ADE_val_00000002", "ADE_val_00000003")


def ade_labels(number: int, height: int = 40, width: int = 60) -> npt.NDArray[np.uint8]:
    """A map as ADE20K publishes it: sky (3) above grass (10), a person (13), and a border of 0, which is ignored."""
    labels = np.full((height, width), 10, np.uint8)
    labels[: height // 2] = 3
    labels[5:20, 10 + number : 20 + number] = 13
    labels[[0, -1], :] = 0
    return labels


def write_ade(directory: Path) -> Path:
    """Write three photos and maps as ADEChallengeData2016 unpacks, and return `directory`."""
    for place in ("images", "annotations"):
        (directory / place / "validation").mkdir(parents=True)
    for number, name in enumerate(ADE_NAMES):
        picture = PillowImage.fromarray(photo_like(number, 40, 60))
        picture.save(directory / "images" / "validation" / f"{name}.jpg", quality=95)
        PillowImage.fromarray(ade_labels(number)).save(directory / "annotations" / "validation" / f"{name}.png")
    return directory


def zip_ade(directory: Path, to: Path) -> Path:
    """Pack what `write_ade` wrote as the official zip in the folder `to`, and return that folder."""
    with zipfile.ZipFile(to / "ADEChallengeData2016.zip", "w") as archive:
        for path in sorted(directory.rglob("*")):
            archive.write(path, f"ADEChallengeData2016/{path.relative_to(directory)}")
    return to
