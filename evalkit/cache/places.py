"""Where the parts of a store lie inside its directory."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalkit.blobs import Blobs, BlobStore
from evalkit.errors import CacheError, UsageError
from evalkit.remote_blobs import RemoteBlobs, is_remote

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
    def address_file(self) -> Path:
        """The file that names where the pictures are, if they are not in the store's folder."""
        return self.directory / "blobs.url"

    def blob_address(self) -> str | None:
        """Return where the pictures are, as `fsspec` names it; None if they are in the store's folder.

        Raises:
            CacheError: the note of it cannot be read.
        """
        try:
            return self.address_file.read_text(encoding="utf-8").strip() or None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CacheError(f"{self.address_file} cannot be read ({error}); grant read access") from error

    def keep_blobs_at(self, address: str) -> None:
        """Note that the pictures are kept at `address`, from the first one on.

        Raises:
            UsageError: the store holds pictures, or notes another address.
            CacheError: the note cannot be written.
        """
        noted = self.blob_address()
        if noted == address:
            return
        if noted is not None or self.pictures():
            raise UsageError(
                f"the pictures of the cache {self.directory} are kept in {noted or self.blobs}; leave out --blobs, or "
                "name another cache directory with --cache"
            )
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.address_file.write_text(f"{address}\n", encoding="utf-8")
        except OSError as error:
            raise CacheError(f"{self.address_file} cannot be written ({error}); grant write access") from error

    def blob_store(self) -> BlobStore:
        """Return where the pictures are: in the store's folder, or at the address that it notes.

        Raises:
            CacheError: the address cannot be read.
        """
        address = self.blob_address()
        if address is None or not is_remote(address):
            return Blobs(self.blobs if address is None else Path(address))
        return RemoteBlobs(address)

    def pictures(self) -> list[Path]:
        """Return every file of pictures in the store's folder; those elsewhere may belong to other stores too."""
        return list(Blobs(self.blobs).files())

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
