"""Where the parts of a store lie inside its directory."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REBUILD = "`evalkit cache rebuild` makes the index again from the journals, and nothing stored is lost"
"""What to do about a damaged index."""
GRACE_SECONDS = 3600.0
"""Age below which a file that no answer refers to may still be on its way into the index."""


@dataclass(frozen=True, slots=True)
class Places:
    """The layout of a store."""

    directory: Path

    @property
    def index(self) -> Path:
        """The SQLite file."""
        return self.directory / "index.sqlite"

    @property
    def index_files(self) -> tuple[Path, Path, Path]:
        """The SQLite file, its write-ahead log and its shared memory."""
        return (self.index, self.directory / "index.sqlite-wal", self.directory / "index.sqlite-shm")

    @property
    def journals(self) -> Path:
        """The folder of journals."""
        return self.directory / "journal"

    @property
    def blobs(self) -> Path:
        """The folder of pictures."""
        return self.directory / "blobs"

    @property
    def set_aside(self) -> Path:
        """The folder where damaged things are moved to."""
        return self.directory / "set-aside"

    @property
    def lock(self) -> Path:
        """The file that is locked while an index is made."""
        return self.directory / "index.lock"

    def aside(self, path: Path) -> Path:
        """Return a free place in `set_aside` for a damaged file; the folder is there afterwards.

        Raises:
            OSError: the folder cannot be made.
        """
        self.set_aside.mkdir(parents=True, exist_ok=True)
        number = 1
        while (place := self.set_aside / f"{path.name}.{number}").exists():
            number += 1
        return place


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of that file inside the block; others wait, and the death of the holder frees it.

    Raises:
        OSError: the file cannot be made.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
