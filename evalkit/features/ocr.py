"""What stands written in a picture, read by an OCR package whose models ship in its wheel.

The package is `rapidocr-onnxruntime` (Apache-2.0), the extra `ocr`: PaddleOCR's PP-OCRv4 detector and recogniser and
its older classifier of upside-down lines, in ONNX, with the package's own settings. Its models are pinned by their
SHA-256; package version and digests are fields of every protocol. They read Latin letters, digits, signs and Chinese,
and often lose the blanks between words.

Source: Du et al. 2020, arXiv:2009.09941; RapidAI/RapidOCR.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evalkit.downloads import file_sha256
from evalkit.errors import WeightsError
from evalkit.images import pixels
from evalkit.types import Image, JsonScalar

if TYPE_CHECKING:
    from rapidocr_onnxruntime import RapidOCR

Doubles = npt.NDArray[np.float64]

PACKAGE = "rapidocr-onnxruntime"
PINNED = "1.4.4"
"""The version whose models these are."""
MODELS: Mapping[str, str] = MappingProxyType(
    {
        "ch_PP-OCRv4_det_infer.onnx": "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        "ch_PP-OCRv4_rec_infer.onnx": "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx": "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    }
)
"""SHA-256 of each model file."""
_GET = f"pip install 'evalkit-multimodal[ocr]', or pip install {PACKAGE}=={PINNED}; it needs Python below 3.13"


class Ocr:
    """Reads pictures on the processor, on one thread; a picture is read once, whatever number is made of it."""

    name = "ppocr-v4"
    """What stands in the name of each score."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[str, ...]] = {}

    def prepare(self) -> None:
        """Find the package and its models.

        Raises:
            WeightsError: it is not installed, cannot be loaded, or has other models than those that are pinned.
        """
        _ = self._reader

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """The package, its models, and what of its reading is left out."""
        return {
            "ocr": f"{PACKAGE} {importlib.metadata.version(PACKAGE)}",
            **{f"ocr_model_{name.removesuffix('_infer.onnx')}": sha256 for name, sha256 in MODELS.items()},
            "ocr_settings": "the package's own; what is read with a confidence under 0.5 is left out",
            "ocr_order": "lines from the top down, each from left to right",
        }

    def texts(self, picture: Image) -> tuple[str, ...]:
        """Return the pieces of text that are read in a picture, in reading order.

        Raises:
            WeightsError: see `prepare`.
            CacheError: the picture cannot be read.
        """
        if picture.digest not in self._read:
            blue_green_red = np.ascontiguousarray(pixels(picture)[:, :, ::-1])
            found, _ = self._reader(blue_green_red)
            order = reading_order([np.asarray(box, np.float64) for box, _, _ in found or ()])
            self._read[picture.digest] = tuple(str(found[place][1]) for place in order)
        return self._read[picture.digest]

    @cached_property
    def _reader(self) -> RapidOCR:
        try:
            import rapidocr_onnxruntime
        except ImportError as error:
            raise WeightsError(f"reading text in pictures needs {PACKAGE} ({error}): {_GET}") from error
        require_models(Path(str(rapidocr_onnxruntime.__file__)).parent / "models")
        return rapidocr_onnxruntime.RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)


def reading_order(corners: Sequence[Doubles]) -> list[int]:
    """Return the places of boxes, four corners `(4, 2)` of x and y each, line by line from the top, left to right.

    A box stands on the line of the highest one that has no line yet if the middle of either is level with the other.
    The package's own order compares upper edges, by which a flat word comes after the tall ones of its line.
    """
    left = [float(box[:, 0].min()) for box in corners]
    top, lower = [float(box[:, 1].min()) for box in corners], [float(box[:, 1].max()) for box in corners]
    middle = [float(box[:, 1].mean()) for box in corners]
    waiting = sorted(range(len(corners)), key=lambda place: middle[place])
    order: list[int] = []
    while waiting:
        first = waiting[0]
        line = [place for place in waiting if middle[place] < lower[first] or top[place] < middle[first]] or [first]
        order += sorted(line, key=lambda place: left[place])
        waiting = [place for place in waiting if place not in line]
    return order


def require_models(folder: Path) -> None:
    """Return if `folder` holds the models that are pinned.

    Raises:
        WeightsError: one is missing or another.
    """
    for name, wanted in MODELS.items():
        path = folder / name
        found = file_sha256(path) if path.is_file() else "nothing"
        if found != wanted:
            raise WeightsError(f"{path} should have SHA-256 {wanted} and has {found}: {_GET}")
