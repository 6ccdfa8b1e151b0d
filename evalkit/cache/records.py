"""What the store keeps of an answer, as JSON, and the answer made of it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import get_args

from evalkit.blobs import BlobStore
from evalkit.cache.places import REBUILD
from evalkit.errors import CacheError, UsageError
from evalkit.json_values import a_list, a_number, a_text, a_whole_number, an_object
from evalkit.keys import canonical_json, digest, noun_json
from evalkit.types import Box, Boxes, Generation, Image, ImageRole, Json, LabelMap, Mask, Part, Text

ROLES: Mapping[str, ImageRole] = {role: role for role in get_args(ImageRole)}


@dataclass(frozen=True, slots=True)
class Record:
    """One stored generation: its key, the document that the key is the digest of, the answer, and when it was made."""

    key: str
    document: Mapping[str, Json]
    answer: Json
    created: float
    """Seconds since 1970, UTC."""

    @property
    def request(self) -> dict[str, Json]:
        """The request's fields."""
        return an_object(self.document.get("request"))

    @property
    def identity(self) -> dict[str, Json]:
        """The model's identity."""
        return an_object(self.document.get("model"))

    @property
    def schema(self) -> int:
        """The schema of the key document."""
        return a_whole_number(self.document.get("schema"))

    @property
    def task(self) -> str:
        """The versioned name of the task."""
        return a_text(self.request.get("task"))

    @property
    def sample_id(self) -> str:
        """The sample that was asked about."""
        return a_text(self.request.get("sample_id"))

    @property
    def answer_text(self) -> str:
        """The canonical JSON of the answer."""
        return canonical_json(self.answer)


@dataclass(frozen=True, slots=True)
class Drop:
    """The wish that what was stored under `key` until `at` (seconds since 1970) is asked anew."""

    key: str
    at: float


def answer_check(key: str, answer: str) -> str:
    """Return the digest that tells whether an index row still holds what was committed."""
    return hashlib.sha256(f"{key}\n{answer}".encode("ascii", "backslashreplace")).hexdigest()


def check_document(record: Record) -> None:
    """Return if the record's key is the digest of its document.

    Raises:
        ValueError: it is not.
    """
    found = digest(dict(record.document))
    if found != record.key:
        raise ValueError(f"its document has digest {found}")


def store_pictures(generation: Generation, blobs: BlobStore) -> Generation:
    """Return `generation` with every picture put into `blobs`.

    Raises:
        CacheError: a picture cannot be stored.
    """
    return replace(generation, parts=tuple(_with_picture(part, blobs.put) for part in generation.parts))


def _with_picture(part: Part, change: Callable[[Image], Image]) -> Part:
    if isinstance(part, Image):
        return change(part)
    if isinstance(part, (Mask, LabelMap)):
        return replace(part, image=change(part.image))
    return part


def pictures(generation: Generation) -> Iterator[Image]:
    """Yield every picture of the answer, those of masks and label maps among them."""
    for part in generation.parts:
        if isinstance(part, Image):
            yield part
        elif isinstance(part, (Mask, LabelMap)):
            yield part.image


def answer_json(generation: Generation, where: str) -> Json:
    """Return `generation` as JSON, its pictures as digests; `where` names it in errors.

    Raises:
        UsageError: it holds a number that JSON cannot (NaN, infinity) or something that is not a noun.
    """
    try:
        answer = noun_json(generation)
        canonical_json(answer)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} has no stored form ({error}); mend the model's answer") from error
    return answer


def answer_at(key: str, answer: str) -> Generation:
    """Return the answer stored under `key`, its pictures without content.

    Raises:
        CacheError: it is not an answer.
    """
    try:
        return generation_of(json.loads(answer))
    except (ValueError, TypeError, KeyError) as error:
        raise CacheError(f"cache entry {key} is not an answer ({error!r}); {REBUILD}") from error


def generation_at(key: str, answer: str, blobs: BlobStore) -> Generation:
    """Return the answer stored under `key`, its pictures being files of `blobs`.

    Raises:
        CacheError: it is not an answer, or a picture of it is missing.
    """
    found = answer_at(key, answer)
    try:
        return replace(found, parts=tuple(_with_picture(part, _stored(blobs)) for part in found.parts))
    except CacheError as error:
        raise CacheError(f"cache entry {key} lacks a picture: {error}") from error


def _stored(blobs: BlobStore) -> Callable[[Image], Image]:
    return lambda image: blobs.get(image.digest, image.width, image.height, image.role)


def generation_of(answer: Json) -> Generation:
    """Return the generation that `answer_json` was made of, its pictures without content.

    Raises:
        ValueError, TypeError, KeyError: `answer` is of another form.
    """
    d = an_object(answer)
    if d["type"] != "Generation" or d["finish"] not in {"stop", "length"}:
        raise ValueError(f"a {d['type']!r} that ended with {d['finish']!r}")
    parts = tuple(_part(an_object(part)) for part in a_list(d["parts"]))
    return Generation(parts, "length" if d["finish"] == "length" else "stop", a_number(d["seconds"]))


def _part(d: dict[str, Json]) -> Part:
    match d["type"]:
        case "Text":
            return Text(a_text(d["text"]))
        case "Image":
            return _image(d)
        case "Mask":
            return Mask(_image(an_object(d["image"])))
        case "LabelMap":
            names = (a_list(pair) for pair in a_list(d["names"]))
            named = tuple((a_whole_number(number), a_text(name)) for number, name in names)
            return LabelMap(_image(an_object(d["image"])), named)
        case "Boxes":
            boxes = tuple(_box(an_object(box)) for box in a_list(d["boxes"]))
            return Boxes(boxes, a_whole_number(d["width"]), a_whole_number(d["height"]))
        case other:
            raise ValueError(f"{other!r} is not a part")


def _image(d: dict[str, Json]) -> Image:
    role = ROLES[a_text(d["role"])]
    return Image(a_text(d["digest"]), a_whole_number(d["width"]), a_whole_number(d["height"]), role)


def _box(d: dict[str, Json]) -> Box:
    x, y, width, height = (a_number(d[name]) for name in ("x", "y", "width", "height"))
    return Box(a_text(d["label"]), x, y, width, height)
