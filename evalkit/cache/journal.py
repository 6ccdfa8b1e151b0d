"""The journals: what every process committed, line by line, from which the index can be made again.

    journal/20260102T030405.678901-4711-9f3c....jsonl      one file a process, only ever added to

A line holds one `Record` or `Drop` and the digest of it. A process that is killed while it writes leaves at most its
last line torn, which counts as never written. While its process lives a journal is locked (`flock`, which the kernel
lets go on any kind of death): that is how others know who lives.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evalkit.cache.records import Drop, Record, check_document
from evalkit.errors import CacheError
from evalkit.json_values import a_text, a_whole_number, an_object
from evalkit.keys import canonical_json
from evalkit.types import Json

SCHEMA = 1
"""Version of a journal's lines."""
SUFFIX = ".jsonl"
_HEAD = b'{"body":'
_TAIL = ',"check":"%s"}\n'
"""What stands before and behind the body of a line, the latter with its SHA-256."""
DAMAGE_MEND = "`evalkit cache rebuild --set-aside` moves damaged lines aside and makes the index again from all others"


@dataclass(frozen=True, slots=True)
class Line:
    """A complete line: its content, its number from 1, and the byte behind it."""

    content: Record | Drop | None
    """None for a line that is damaged."""
    number: int
    end: int
    fault: str = ""
    """Why it is damaged."""


class Writer:
    """The journal that this process adds to, locked until `close`; its name is the owner of the process's claims."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        self.path = directory / f"{moment}-{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
        self._file = self.path.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)  # the name is ours alone: at most `is_alive` looks at it
        self._size = 0
        self._settled = 0
        os.register_at_fork(after_in_child=_Forgotten(self))

    @property
    def name(self) -> str:
        """The journal's file name."""
        return self.path.name

    def append(self, content: Record | Drop) -> int:
        """Return the size of the journal once `content` is added to it.

        Raises:
            OSError: the line could not be written whole; nothing may be added behind it.
        """
        line = _encoded(content)
        self._size += len(line)
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be added to {self.path}")
        return self._size

    @property
    def settled(self) -> bool:
        """Whether the index holds every line."""
        return self._size == self._settled

    def settle(self) -> None:
        """Note that the index holds every line."""
        self._settled = self._size

    def close(self) -> None:
        """Let the lock go; a journal to which nothing was added is removed."""
        if not self._file.closed:
            if self.path.exists() and self.path.stat().st_size == 0:
                self.path.unlink()
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._file.close()

    def forget(self) -> None:
        """Close a forked child's copy, so that the lock dies with the parent."""
        self._file.close()


class _Forgotten:
    """Closes a writer's file in a forked child, where the writer still exists."""

    def __init__(self, writer: Writer) -> None:
        self._writer = weakref.ref(writer)

    def __call__(self) -> None:
        writer = self._writer()
        if writer is not None:
            writer.forget()


def is_alive(path: Path) -> bool:
    """Return whether the process that writes the journal at `path` lives."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def journals(directory: Path) -> list[Path]:
    """Return every journal, oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def lines(path: Path, start: int = 0) -> Iterator[Line]:
    """Yield the complete lines of the journal from byte `start` on; a torn last line is left out.

    Line numbers count from `start`. Raises CacheError where the file cannot be read or a newer evalkit wrote a line.
    """
    end = start
    try:
        with path.open("rb") as file:
            file.seek(start)
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield _line(path, line, number, end)
    except OSError as error:
        raise CacheError(f"journal {path} cannot be read ({error}); grant read access, then run again") from error


def damaged_line(path: Path, line: Line) -> CacheError:
    """Return the error that names a damaged line and its mend."""
    return CacheError(
        f"journal {path}, the line that ends at byte {line.end}, is damaged ({line.fault}); {DAMAGE_MEND}"
    )


def _encoded(content: Record | Drop) -> bytes:
    body: dict[str, Json] = {"journal": SCHEMA, "key": content.key}
    if isinstance(content, Drop):
        body["dropped"] = content.at
    else:
        body |= {"created": content.created, "document": dict(content.document), "answer": content.answer}
    text = canonical_json(body).encode("ascii")
    return _HEAD + text + (_TAIL % hashlib.sha256(text).hexdigest()).encode()


def _line(path: Path, line: bytes, number: int, end: int) -> Line:
    try:
        content = _decoded(line)
    except (ValueError, TypeError, KeyError) as error:
        return Line(None, number, end, repr(error))
    if content is None:
        raise CacheError(
            f"journal {path} was written by a newer evalkit; upgrade evalkit, or use another cache directory"
        )
    return Line(content, number, end)


def _decoded(line: bytes) -> Record | Drop | None:
    """Return what the line holds, None where a newer evalkit wrote it."""
    text = line.removeprefix(_HEAD)[: -len(_TAIL % "") - 64]
    check = hashlib.sha256(text).hexdigest()
    if line != _HEAD + text + (_TAIL % check).encode():
        raise ValueError("its digest differs")
    body = an_object(json.loads(text))
    if a_whole_number(body["journal"]) > SCHEMA:
        return None
    key = a_text(body["key"])
    if "dropped" in body:
        return Drop(key, _seconds(body["dropped"]))
    record = Record(key, an_object(body["document"]), body["answer"], _seconds(body["created"]))
    check_document(record)
    return record


def _seconds(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a time")
    return float(value)
