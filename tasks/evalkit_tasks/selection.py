"""Which captions of a set are asked for: a seeded draw, or a list in a file."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import FilePicture, ZipPicture
from evalkit.keys import digest
from evalkit.types import Json
from evalkit_tasks.coco import Photo
from evalkit_tasks.coco_json import Caption

FULL_DRAW = 30_000
"""Captions that the field draws, and photos that a set needs before a photo may be asked for by several captions."""
ID_COLUMNS = ("caption_id", "annotation_id", "sentid", "id")
IMAGE_COLUMNS = ("image_id", "file_name")
TEXT_COLUMNS = ("caption", "text")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A caption to be asked for, with its photo."""

    photo: Photo
    caption: Caption

    @property
    def prompt(self) -> str:
        """The caption with its white space collapsed: COCO's captions hold stray line ends and double spaces."""
        return " ".join(self.caption.text.split())


def draw(photos: Sequence[Photo], count: int, seed: int, one_each: bool) -> list[Chosen]:
    """Return the first `count` captions of all, ordered by the SHA-256 of the text `[seed,caption id]`.

    The order is that of no other property of the data, and a shorter draw is the beginning of a longer one. With
    `one_each` a photo's second caption is passed over. Where there are fewer than `count`, all are returned.
    """
    every = [Chosen(photo, caption) for photo in photos for caption in photo.captions]
    every.sort(key=lambda chosen: _rank(seed, chosen.caption.id))
    if one_each:
        first: dict[int, Chosen] = {}
        for chosen in every:
            first.setdefault(chosen.photo.id, chosen)
        every = list(first.values())
    return every[:count]


def _rank(seed: int, caption_id: int) -> bytes:
    return hashlib.sha256(f"[{seed},{caption_id}]".encode("ascii")).digest()


def list_digest(chosen: Iterable[Chosen]) -> str:
    """Return the digest of which captions were chosen, of which photos, and how they read; their order is no part."""
    entries = sorted((c.caption.id, c.photo.id, c.prompt) for c in chosen)
    document: list[Json] = [[caption_id, photo_id, prompt] for caption_id, photo_id, prompt in entries]
    return digest(document)


def listed(photos: Sequence[Photo], path: Path) -> list[Chosen]:
    """Return the captions that a file lists, in its order.

    The file holds a caption id a line, or is a CSV with a header and either a caption id column (`caption_id`,
    `annotation_id`, `sentid` or `id`) or an image column (`image_id` or `file_name`) and a text column (`caption` or
    `text`), as the published lists of 30,000 captions have.

    Raises:
        DataError: the file is missing, has no such columns, lists a caption twice, or one that the data have not.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the caption list {path} cannot be read ({error}); give a number or a file of ids") from error
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and all(re.fullmatch(r"\d{1,18}", line) for line in lines):
        chosen = _by_id(photos, [int(line) for line in lines], path)
    else:
        chosen = _by_table(photos, text, path)
    if not chosen:
        raise DataError(f"the caption list {path} lists no captions")
    ids = [c.caption.id for c in chosen]
    if len(set(ids)) != len(ids):
        twice = next(id_ for position, id_ in enumerate(ids) if id_ in ids[:position])
        raise DataError(f"the caption list {path} lists caption {twice} twice; keep one of them")
    return chosen


def _by_id(photos: Sequence[Photo], ids: Sequence[int], path: Path) -> list[Chosen]:
    known = {caption.id: Chosen(photo, caption) for photo in photos for caption in photo.captions}
    missing = [id_ for id_ in ids if id_ not in known]
    if missing:
        raise DataError(
            f"{len(missing):,} of the {len(ids):,} captions in {path} are not in the data, the first being "
            f"{missing[0]}; choose the split that the list was made for with -t split="
        )
    return [known[id_] for id_ in ids]


def _by_table(photos: Sequence[Photo], text: str, path: Path) -> list[Chosen]:
    table = csv.DictReader(io.StringIO(text, newline=""))
    columns = [name for name in table.fieldnames or () if name]
    by = {kind: _first(columns, names) for kind, names in _KINDS.items()}
    id_column, image_column, text_column = by["id"], by["image"], by["text"]
    if id_column and not (id_column == "id" and image_column and text_column):
        return _by_id(photos, [_number(row.get(id_column), path, table.line_num) for row in table], path)
    if not image_column or not text_column:
        raise DataError(
            f"the caption list {path} has the columns {', '.join(columns) or 'none'}; it needs one of "
            f"{', '.join(ID_COLUMNS)}, or one of {', '.join(IMAGE_COLUMNS)} with one of {', '.join(TEXT_COLUMNS)}"
        )
    known = _by_words(photos, image_column)
    chosen = []
    for row in table:
        key = (_image_key(row.get(image_column) or ""), _words(row.get(text_column) or ""))
        found = known.get(key)
        if not found:
            raise DataError(
                f"{path}, line {table.line_num}: no caption {key[1][:60]!r} of image {key[0]!r} in the data"
            )
        chosen.append(found.pop(0) if len(found) > 1 else found[0])
    return chosen


_KINDS: Mapping[str, tuple[str, ...]] = {"id": ID_COLUMNS, "image": IMAGE_COLUMNS, "text": TEXT_COLUMNS}


def _first(columns: Sequence[str], names: Sequence[str]) -> str:
    return next((name for name in names if name in columns), "")


def _number(value: str | None, path: Path, line: int) -> int:
    if value is None or not re.fullmatch(r"\s*\d{1,18}\s*", value):
        raise DataError(f"{path}, line {line}: {value!r} is not a caption id")
    return int(value)


def _by_words(photos: Sequence[Photo], column: str) -> dict[tuple[str, str], list[Chosen]]:
    known: dict[tuple[str, str], list[Chosen]] = {}
    for photo in photos:
        image = str(photo.id) if column == "image_id" else _file_name(photo)
        for caption in photo.captions:
            known.setdefault((image, _words(caption.text)), []).append(Chosen(photo, caption))
    return known


def _file_name(photo: Photo) -> str:
    picture = photo.picture
    if isinstance(picture, FilePicture):
        return picture.path.name
    return PurePosixPath(picture.member).name if isinstance(picture, ZipPicture) else str(photo.id)


def _image_key(value: str) -> str:
    return PurePosixPath(value.strip()).name


def _words(text: str) -> str:
    return " ".join(text.split())


def caption_count(text: str) -> int | None:
    """Return the number that `-t captions=` gives, None where it names a file.

    Raises:
        UsageError: it is less than 1.
    """
    if not re.fullmatch(r"[+-]?[\d_,]+", text):
        return None
    count = int(text.replace(",", ""))
    if count < 1:
        raise UsageError(f"-t captions={text}: at least one caption must be asked for")
    return count
