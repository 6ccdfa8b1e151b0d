"""What a run asks, kept in its folder for pages to show.

    runs/NAME/asked.jsonl      while the run goes on: a head, then a `SampleRecord` without answer for each sample
    runs/NAME/pictures.json    where the pictures of questions and references are that lie in files or archives

The pictures that are in memory alone (drawn, or taken from an archive) are put into the cache's store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import get_ident

from evalkit.blobs import BlobStore
from evalkit.cache import Cache
from evalkit.errors import DataError
from evalkit.json_values import a_number, a_text, an_object
from evalkit.keys import noun_json
from evalkit.questions import Asked
from evalkit.results import SampleRecord, sample_json, sample_of
from evalkit.types import Image, Json, LabelMap, Mask, Part, ZipPicture

ASKED = "asked.jsonl"
PICTURES = "pictures.json"


@dataclass(frozen=True, slots=True)
class Head:
    """What is asked of whom. `cache` is where answers appear, `started` in seconds since 1970."""

    task: str
    model: str
    data: str
    cache: str
    started: float


def question_record(item: Asked) -> SampleRecord:
    """Return the record of a sample before it is answered."""
    return SampleRecord(
        id=item.sample.id,
        cluster=item.sample.cluster,
        strata=dict(item.sample.strata),
        parts=tuple(noun_json(part) for part in item.request.parts),
        references=tuple(noun_json(part) for part in item.sample.references),
        key=item.key,
        seed=item.request.seed,
        from_cache=False,
        seconds=0.0,
        answer_parts=None,
        failure=None,
    )


def begin(folder: Path, head: Head, asked: Sequence[Asked], cache: Cache) -> None:
    """Note in `folder` what a run asks, and keep the pictures that it is about, before anything is answered.

    Raises:
        DataError: the folder cannot be written.
        CacheError: a picture cannot be stored.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{ASKED}.{os.getpid()}-{get_ident()}"  # threads may share a folder too
        with beside.open("w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(head)) + "\n")
            file.writelines(json.dumps(sample_json(question_record(item))) + "\n" for item in asked)
        beside.replace(folder / ASKED)
        if not cache.read_only:
            _keep_pictures(folder, (item.request.parts + item.sample.references for item in asked), cache.blobs)
    except OSError as error:
        raise DataError(f"the run's folder {folder} cannot be written ({error}); name another with -o") from error


def end(folder: Path) -> None:
    """Note that the run of `folder` is no longer going on."""
    (folder / ASKED).unlink(missing_ok=True)


def head_of(folder: Path) -> Head | None:
    """Return the head of the run that goes on in `folder`; None where none does.

    Raises:
        DataError: the note is damaged.
    """
    path = folder / ASKED
    try:
        with path.open(encoding="utf-8") as file:
            d = an_object(json.loads(file.readline()))
        names = ("task", "model", "data", "cache")
        task, model, data, cache = (a_text(d[name]) for name in names)
        return Head(task, model, data, cache, a_number(d["started"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not the note of a run ({error!r}); delete it") from error


def asked_samples(folder: Path) -> Iterator[SampleRecord]:
    """Yield what the run of `folder` asks, each record without an answer.

    Raises:
        DataError: the note is missing or damaged.
    """
    path = folder / ASKED
    try:
        with path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield sample_of(an_object(json.loads(line)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not the note of a run ({error!r}); delete it") from error


def _keep_pictures(folder: Path, questions: Iterable[Sequence[Part]], store: BlobStore) -> None:
    """Make the pictures of these parts findable by digest: in `store`, or by a note of the file that holds them."""
    places: dict[str, Json] = {}
    stored: set[str] = set()
    for image in (image for parts in questions for part in parts for image in _images(part)):
        if isinstance(image.content, Path):
            places[image.digest] = str(image.content.resolve())
        elif isinstance(image.content, ZipPicture):
            places[image.digest] = [str(image.content.archive.resolve()), image.content.member]
        elif image.content is not None and image.digest not in stored:
            stored.add(image.digest)
            store.put(image)
    if places:
        (folder / PICTURES).write_text(json.dumps(places), encoding="utf-8")


def _images(part: Part) -> tuple[Image, ...]:
    if isinstance(part, (Mask, LabelMap)):
        return (part.image,)
    return (part,) if isinstance(part, Image) else ()


def picture_files(folder: Path) -> dict[str, Path | ZipPicture]:
    """Return where the pictures of the run in `folder` are that lie in files or archives of their own, by digest.

    Raises:
        DataError: the list is damaged.
    """
    path = folder / PICTURES
    try:
        document: dict[str, Json] = an_object(json.loads(path.read_text(encoding="utf-8")))
        return {digest: _place(value) for digest, value in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a list of pictures ({error!r}); run the task again") from error


def _place(value: Json) -> Path | ZipPicture:
    if isinstance(value, list):
        archive, member = map(a_text, value)
        return ZipPicture(Path(archive), member)
    return Path(a_text(value))


def answered_at(cache: Cache, keys: Iterable[str]) -> dict[str, float]:
    """Return when each of `keys` that is answered was answered first, in seconds since 1970.

    Raises:
        CacheError: the index cannot be read.
    """
    query = "SELECT key, created FROM generations WHERE key IN (SELECT value FROM json_each(?))"
    with cache.reading() as connection:
        return dict(connection.execute(query, (json.dumps(list(keys)),)).fetchall())
