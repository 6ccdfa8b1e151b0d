"""Parts of a question or an answer, as a run's file holds them, turned into what a page shows: text and pictures."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from evalkit.types import Box, Boxes, Json

_DIGEST = re.compile("[0-9a-f]{64}")


Kind: TypeAlias = Literal["picture", "mask", "label map"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by its digest, what it is for (`source`, `mask`, `generated`), and how its pixels are to be read."""

    digest: str
    role: str
    kind: Kind = "picture"


@dataclass(frozen=True, slots=True)
class Shown:
    """What of some parts a page shows: lines of text, pictures, and the first boxes that can be drawn."""

    text: str
    pictures: tuple[Picture, ...]
    boxes: Boxes | None = None


def shown(parts: Sequence[Json]) -> Shown:
    """Return the text, pictures and boxes of `parts`; a part that cannot be read is shown as it stands."""
    found_boxes = [(part, _drawable(part)) for part in parts if isinstance(part, dict) and part.get("type") == "Boxes"]
    drawn, boxes = next((pair for pair in found_boxes if pair[1] is not None), (None, None))
    found = [_shown_part(part) for part in parts if part is not drawn]
    texts = [item for item in found if isinstance(item, str)]
    return Shown("\n".join(texts), _pictures(found), boxes)


def _pictures(found: Sequence[str | Picture]) -> tuple[Picture, ...]:
    return tuple(item for item in found if isinstance(item, Picture))


def counted(parts: Sequence[Json]) -> Shown:
    """Return `shown` of references: equal texts once with their number, `yes (7), no (3)`."""
    found = [_shown_part(part) for part in parts]
    texts = Counter(item for item in found if isinstance(item, str))
    lines = [text if times == 1 else f"{text} ({times})" for text, times in texts.items()]
    separator = ", " if any(times > 1 for times in texts.values()) else "\n"
    return Shown(separator.join(lines), _pictures(found))


def _shown_part(part: Json) -> str | Picture:
    if not isinstance(part, dict):
        return _as_it_stands(part)
    kind = part.get("type")
    if kind == "Text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "Image":
        return _picture(part, str(part.get("role", "picture")), "picture") or _as_it_stands(part)
    if kind == "Mask" and isinstance(image := part.get("image"), dict):
        return _picture(image, "mask", "mask") or _as_it_stands(part)
    if kind == "LabelMap" and isinstance(image := part.get("image"), dict):
        return _picture(image, "label map", "label map") or _as_it_stands(part)
    if kind == "Boxes" and isinstance(boxes := part.get("boxes"), list):
        return _boxes_text(boxes)
    return _as_it_stands(part)


def _picture(image: Mapping[str, Json], role: str, kind: Kind) -> Picture | None:
    digest = image.get("digest")
    return Picture(digest, role, kind) if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def _drawable(part: Mapping[str, Json]) -> Boxes | None:
    """Return the boxes of a part, None where a number of it is none."""
    boxes = part.get("boxes")
    width, height = _number(part.get("width")), _number(part.get("height"))
    if not isinstance(boxes, list) or not width or not height or min(width, height) < 1:
        return None
    found = [_box(box) for box in boxes]
    sound = tuple(box for box in found if box is not None)
    return Boxes(sound, round(width), round(height)) if len(sound) == len(found) else None


def _box(box: Json) -> Box | None:
    if not isinstance(box, dict):
        return None
    x, y, width, height = (_number(box.get(name)) for name in ("x", "y", "width", "height"))
    if x is None or y is None or not width or not height or min(width, height) < 0:
        return None
    return Box(str(box.get("label", "")), x, y, width, height)


def _number(value: Json) -> float | None:
    """Return a number that a drawing can hold, None for anything else."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < 1e6 else None


def _boxes_text(boxes: Sequence[Json]) -> str:
    labels = Counter(str(box.get("label")) if isinstance(box, dict) else _as_it_stands(box) for box in boxes)
    listed = ", ".join(name if times == 1 else f"{times} × {name}" for name, times in labels.items())
    return f"boxes: {listed}" if listed else "no boxes"


def _as_it_stands(part: Json) -> str:
    return json.dumps(part, ensure_ascii=False)
