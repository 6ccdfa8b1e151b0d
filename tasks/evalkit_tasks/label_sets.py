"""Label maps as ADE20K and COCO-Stuff publish them: which classes they hold, how they are read and shown.

A map is a PNG of one byte a pixel. It is read without any conversion of colours, so what is no such map is refused:
JPEG, whose compression invents labels along every border (ControlNet++'s first numbers were wrong for that), 16 bits,
colours, and labels that the set has not.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image as PillowImage

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture, ZipPicture, member_bytes
from evalkit.features.planes import BytePlane
from evalkit.images import MAX_PIXELS, Pixels, image_of
from evalkit.metrics.pictures.segmentation import IGNORED
from evalkit.types import Image, LabelMap
from evalkit_tasks.label_names import ADE20K_COLOURS, ADE20K_NAMES, COCO_STUFF_ABSENT, COCO_STUFF_NAMES

UNKNOWN = 254
"""What `LabelSet.classes` has for a byte that no map may hold."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The classes of a benchmark's label maps, numbered from 0.

    `classes` `(256)` gives the class of each byte of a published map: 255 where it is ignored, 254 where a map may not
    hold it. `colours` are red, green and blue of each class, empty where the benchmark has none.
    """

    name: str
    names: tuple[str, ...]
    classes: bytes
    colours: bytes
    count: int
    """Photos of the validation set."""
    segmenter: str
    licence: str
    how: str


def _shifted(ids: Mapping[int, int]) -> bytes:
    return bytes(ids.get(byte, UNKNOWN) for byte in range(256))


_PRESENT = [label for label in range(1, 183) if label not in COCO_STUFF_ABSENT]

LABEL_SETS: Mapping[str, LabelSet] = MappingProxyType(
    {
        "ade20k": LabelSet(
            name="ade20k",
            names=ADE20K_NAMES,
            classes=_shifted({0: IGNORED, **{label: label - 1 for label in range(1, 151)}}),
            colours=ADE20K_COLOURS,
            count=2_000,
            segmenter="mask2former-swin-l-ade",
            licence="for research (CSAILVision/sceneparsing)",
            how="get ADEChallengeData2016.zip from data.csail.mit.edu/places/ADEchallenge",
        ),
        "coco-stuff": LabelSet(
            name="coco-stuff",
            names=tuple(COCO_STUFF_NAMES[label - 1] for label in _PRESENT),
            classes=_shifted({IGNORED: IGNORED, **{label - 1: place for place, label in enumerate(_PRESENT)}}),
            colours=b"",
            count=5_000,
            segmenter="deeplabv3-r101-coco-stuff",
            licence="labels CC BY 4.0; photos under their Flickr terms",
            how="get stuffthingmaps_trainval2017.zip from calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset "
            "and COCO's val2017.zip",
        ),
    }
)
"""ADE20K's scene parsing, of which 0 is ignored, and COCO-Stuff's pixel maps, of which 255 is."""


def read_labels(picture: FilePicture | ZipPicture, item: str, labels: LabelSet) -> BytePlane:
    """Return the class `(H, W)` of each pixel of a published label map, 255 where it is ignored; `item` names it.

    Raises:
        DataError: it is missing, damaged, a JPEG, of 16 bits or colours, or holds a label that the set has not.
    """
    where = f"{item} ({picture if isinstance(picture, ZipPicture) else picture.path})"
    raw = _bytes_of_map(picture, where)
    found: BytePlane = np.frombuffer(labels.classes, np.uint8)[raw]
    unknown = np.unique(raw[found == UNKNOWN])
    if len(unknown):
        held = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise DataError(f"{where} holds the labels {held}, which {labels.name} has not; is it a map of another set?")
    return found


def _bytes_of_map(picture: FilePicture | ZipPicture, where: str) -> BytePlane:
    try:
        content = member_bytes(picture) if isinstance(picture, ZipPicture) else picture.path.read_bytes()
        with PillowImage.open(io.BytesIO(content)) as opened:
            _require_map(opened, where)
            return np.array(opened, np.uint8)
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError) as error:
        raise DataError(f"{where} cannot be read as a label map ({error}); fetch it again") from error


def _require_map(opened: PillowImage.Image, where: str) -> None:
    if opened.format in {"JPEG", "MPO", "WEBP"}:
        raise DataError(
            f"{where} is a {opened.format}, whose compression invents labels; save label maps as PNG, from their source"
        )
    if opened.width * opened.height > MAX_PIXELS:
        raise DataError(f"{where} has {opened.width} x {opened.height} pixels, more than {MAX_PIXELS:,}; shrink it")
    if opened.mode.startswith(("I", "F")):
        raise DataError(f"{where} has mode {opened.mode}, more than 8 bits a pixel; save it with one byte a pixel")
    if opened.mode not in {"L", "P"}:
        raise DataError(f"{where} has mode {opened.mode}, colours and no labels; give the map of one byte a pixel")


def resized_labels(labels: BytePlane, width: int, height: int) -> BytePlane:
    """Return a label map at another size, each pixel taking the label of the nearest."""
    if labels.shape == (height, width):
        return labels
    return np.asarray(PillowImage.fromarray(labels).resize((width, height), PillowImage.Resampling.NEAREST))


def label_part(labels: BytePlane, names: Mapping[int, str]) -> LabelMap:
    """Return a label map as part of a question, with the names of the classes that it holds."""
    coded = np.zeros((*labels.shape, 3), np.uint8)
    coded[:, :, 0] = labels
    held = tuple((int(label), names[int(label)]) for label in np.unique(labels))
    return LabelMap(image_of(coded, "segmentation"), held)


def class_names(labels: LabelSet) -> dict[int, str]:
    """Return the name of each class, and of the pixels that are ignored."""
    return {**dict(enumerate(labels.names)), IGNORED: "unlabelled"}


def colour_picture(labels: BytePlane, colours: bytes) -> Image:
    """Return a label map in its benchmark's colours, what is ignored black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(colours) // 3] = np.frombuffer(colours, np.uint8).reshape(-1, 3)
    shown: Pixels = table[labels]
    return image_of(shown, "segmentation")
