"""Parts of a question or an answer, as a run's file holds them, turned into what a page shows: text and pictures."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.types import Json

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture by its digest, and what it is: `source`, `mask`, `label map`, `generated`."""

    digest: str
    role: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What of some parts a page shows: lines of text, and pictures."""

    text: str
    pictures: tuple[Picture, ...]


def shown(parts: Sequence[Json]) -> Shown:
    """Return the text and the pictures of `parts`; a part that cannot be read is shown as it stands."""
    texts: list[str] = []
    pictures: list[Picture] = []
    for part in parts:
        found = _shown_part(part)
        if isinstance(found, Picture):
            pictures.append(found)
        else:
            texts.append(found)
    return Shown("\n".join(texts), tuple(pictures))


def counted(parts: Sequence[Json]) -> Shown:
    """Return `shown` of references: equal texts once with their number, `yes (7), no (3)`."""
    found = [_shown_part(part) for part in parts]
    texts = Counter(item for item in found if isinstance(item, str))
    lines = [text if times == 1 else f"{text} ({times})" for text, times in texts.items()]
    separator = ", " if any(times > 1 for times in texts.values()) else "\n"
    return Shown(separator.join(lines), tuple(item for item in found if isinstance(item, Picture)))


def _shown_part(part: Json) -> str | Picture:
    if not isinstance(part, dict):
        return _as_it_stands(part)
    kind = part.get("type")
    if kind == "Text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "Image":
        return _picture(part, str(part.get("role", "picture"))) or _as_it_stands(part)
    if kind in {"Mask", "LabelMap"} and isinstance(image := part.get("image"), dict):
        return _picture(image, "mask" if kind == "Mask" else "label map") or _as_it_stands(part)
    if kind == "Boxes" and isinstance(boxes := part.get("boxes"), list):
        return _boxes_text(boxes)
    return _as_it_stands(part)


def _picture(image: Mapping[str, Json], role: str) -> Picture | None:
    digest = image.get("digest")
    return Picture(digest, role) if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def _boxes_text(boxes: Sequence[Json]) -> str:
    labels = Counter(str(box.get("label")) if isinstance(box, dict) else _as_it_stands(box) for box in boxes)
    listed = ", ".join(name if times == 1 else f"{times} × {name}" for name, times in labels.items())
    return f"boxes: {listed}" if listed else "no boxes"


def _as_it_stands(part: Json) -> str:
    return json.dumps(part, ensure_ascii=False)
