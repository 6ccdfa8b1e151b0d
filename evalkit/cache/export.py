"""Writing stored answers to folders that people and other tools can read.

    DIR/coco_fid@1/0a1b2c3d4e5f-9f8e7d6c/     one folder a task, a model and its settings
        manifest.jsonl                        a line an answer: sample_id, file, files, text, seed, finish, key, parts
        397133-37.png                         the picture that answers sample 397133-37

`-m images:FOLDER` answers with such a folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from evalkit.cache.records import Record, generation_at, pictures
from evalkit.cache.store import Cache
from evalkit.errors import CacheError, UsageError
from evalkit.keys import digest
from evalkit.progress import Progress, Silent
from evalkit.types import Json, Text

MANIFEST = "manifest.jsonl"
OF_ONE_SAMPLE = frozenset({"parts", "sample_id", "seed"})
"""Fields of a request that differ between the samples of one run; the others are its settings."""
LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class ExportedFolder:
    """A folder that was written: what it holds and how many answers."""

    directory: Path
    task: str
    model: str
    """The model's fingerprint."""
    entries: int


@dataclass(slots=True)
class _Folder:
    """A folder while it is written; `names` holds the file names that are taken, case-folded."""

    directory: Path
    task: str
    model: str
    names: set[str] = field(default_factory=set)
    lines: dict[str, str] = field(default_factory=dict)
    """Manifest lines by sample id."""


def export(
    cache: Cache,
    directory: Path,
    *,
    keys: Iterable[str] | None = None,
    task: str | None = None,
    model: str | None = None,
    progress: Progress | None = None,
) -> list[ExportedFolder]:
    """Return the folders written under `directory`: all that is stored, or what every given filter lets through.

    `keys` are cache keys (a run's `samples.jsonl` lists them), `task` a versioned name, `model` a fingerprint or its
    beginning. A folder answers each sample once: of several answers that differ in the seed alone, the second and later
    ones go to folders of their own (`...-2`).

    Raises:
        UsageError: nothing is chosen, or `directory` is not empty.
        CacheError: an entry is damaged, or a file cannot be written.
    """
    chosen = _chosen(cache, keys, task, model)
    folders: dict[str, list[_Folder]] = {}
    bar = (progress or Silent()).bar("exporting", len(chosen), "answer")
    try:
        _require_empty(directory)
        for record in chosen:
            _add(cache, _folder_of(directory, record, folders), record)
            bar.advance()
        written = [folder for group in folders.values() for folder in group]
        for folder in written:
            (folder.directory / MANIFEST).write_text("".join(folder.lines.values()), encoding="utf-8")
    except OSError as error:
        raise CacheError(f"{directory} cannot be written ({error}); free space, or name another folder") from error
    finally:
        bar.close()
    return [ExportedFolder(f.directory, f.task, f.model, len(f.lines)) for f in written]


def _chosen(cache: Cache, keys: Iterable[str] | None, task: str | None, model: str | None) -> list[Record]:
    wanted = None if keys is None else set(keys)
    chosen = [
        record
        for record in cache.records()
        if (wanted is None or record.key in wanted)
        and task in {None, record.task}
        and digest(record.identity).startswith(model or "")
    ]
    if not chosen:
        raise UsageError("no stored answer is of that task and model; `evalkit cache ls` lists what is stored")
    return chosen


def _require_empty(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(f"{directory} is not an empty folder; name a new one, so that nothing in it is overwritten")


def _folder_of(directory: Path, record: Record, folders: dict[str, list[_Folder]]) -> _Folder:
    """Return the first folder of the record's task, model and settings that lacks its sample."""
    model = digest(record.identity)
    settings = digest({name: value for name, value in record.request.items() if name not in OF_ONE_SAMPLE})
    base = f"{file_name(record.task)}/{model[:12]}-{settings[:8]}"
    group = folders.setdefault(base, [])
    for folder in group:
        if record.sample_id not in folder.lines:
            return folder
    number = f"-{len(group) + 1}" if group else ""
    folder = _Folder(directory / f"{base}{number}", record.task, model)
    folder.directory.mkdir(parents=True)
    group.append(folder)
    return folder


def _add(cache: Cache, folder: _Folder, record: Record) -> None:
    """Write the pictures of an answer, and note its manifest line."""
    answer = generation_at(record.key, record.answer_text, cache.blobs)
    line: dict[str, Json] = {"sample_id": record.sample_id}
    files: list[Json] = []
    for number, picture in enumerate(pictures(answer)):
        stem = f"{record.sample_id}.{number}" if number else record.sample_id
        files.append(_free_name(folder, stem))
        (folder.directory / str(files[-1])).write_bytes(cache.blobs.encoded(picture.digest))
    texts = [part.text for part in answer.parts if isinstance(part, Text)]
    if files:
        line |= {"file": files[0], "files": files}
    if texts:
        line["text"] = "\n".join(texts)
    line |= {"seed": record.request.get("seed"), "key": record.key, "answer": record.answer}
    folder.lines[record.sample_id] = json.dumps(line) + "\n"


def _free_name(folder: _Folder, stem: str) -> str:
    name = f"{file_name(stem)}.png"
    if name.casefold() in folder.names:
        name = f"{file_name(stem)[:LONGEST_NAME]}~{hashlib.sha256(name.encode()).hexdigest()[:12]}.png"
    folder.names.add(name.casefold())
    return name


def file_name(text: str) -> str:
    """Return `text` as the name of a file on any system: other texts, other names.

    Letters, digits and `@._-` stay, all else is percent-encoded, as are a leading dot and a name too long for a file
    system, which keeps its beginning and a digest.

    >>> file_name("a/b: c"), file_name("..")
    ('a%2Fb%3A%20c', '%2E.')
    """
    name = quote(text, safe="@", errors="surrogatepass")
    name = name.replace("~", "%7E")
    if name.startswith(".") or not name:
        name = "%2E" + name[1:] if name else "%"
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return name
