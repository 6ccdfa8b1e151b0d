"""Files fetched from the network: resumed where they broke off, checked, and put in place in one step.

A file under its own name is whole. What has arrived so far waits beside it as `NAME.part`, and what the server calls
that version of the file (its ETag) as `NAME.part.version`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Protocol

from evalkit.errors import DataError
from evalkit.workspace import Workspace

if sys.platform != "win32":
    import fcntl

SILENCE_SECONDS = 30.0
"""How long a server may send nothing."""
ATTEMPTS = 3
"""Attempts in a row that bring nothing new, after which a broken connection is an error."""
PIECE = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file, 64 hexadecimal digits.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); put it back or make it readable") from error


@dataclass(frozen=True, slots=True)
class _Wanted:
    url: str
    to: Path
    sha256: str | None
    size: int | None
    timeout: float

    @property
    def part(self) -> Path:
        return self.to.with_name(f"{self.to.name}.part")

    @property
    def version(self) -> Path:
        return self.to.with_name(f"{self.to.name}.part.version")


class _Broken(Exception):
    """The connection broke off; what had arrived is kept."""


def fetch(
    url: str,
    to: Path,
    workspace: Workspace,
    *,
    sha256: str | None,
    size: int | None,
    timeout: float = SILENCE_SECONDS,
) -> Path:
    """Return `to`, which holds what `url` (http, https or file) serves, of `size` bytes and that SHA-256 where given.

    A file that is there already is checked and kept. A download that broke off, in this process or another, goes on
    where it stopped if the server can do that and still has the same version.

    Raises:
        DataError: the network is forbidden or does not answer, the content is not what was pinned, or the disk is full.
    """
    wanted = _Wanted(url, to, sha256, size, timeout)
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in {"http", "https", "file"}:
        raise DataError(f"{url} cannot be fetched: only http, https and file addresses are; name another source")
    if to.exists():
        _require_pinned(wanted, to, "move it away to fetch it again")
        return to
    if workspace.offline and scheme != "file":
        raise DataError(
            f"{url} is needed and the network is forbidden; drop --offline, unset EVALKIT_OFFLINE, or put it at {to}"
        )
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with _alone(wanted.part):
            if not to.exists():  # else another process was quicker
                _fetch_part(wanted, workspace)
                _finish(wanted)
    except OSError as error:
        raise DataError(f"{to} cannot be written ({error}); free disk space or make its folder writable") from error
    return to


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Hold the lock of one download: two processes would write the same part."""
    with part.with_name(f"{part.name}.lock").open("wb") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    part.with_name(f"{part.name}.lock").unlink(missing_ok=True)


def _fetch_part(wanted: _Wanted, workspace: Workspace) -> None:
    """Bring the part to its full length, over as many connections as it takes."""
    fruitless = 0
    while True:
        before = _length(wanted.part)
        try:
            return _continue_part(wanted, workspace)
        except _Broken as error:
            after = _length(wanted.part)
            fruitless = 0 if after > before else fruitless + 1
            if fruitless >= ATTEMPTS:
                raise DataError(
                    f"{wanted.url} broke off after {after:,} bytes ({error}); run it again to go on from there"
                ) from error


def _continue_part(wanted: _Wanted, workspace: Workspace) -> None:
    start = _resumable(wanted)
    if wanted.size is not None and start == wanted.size:
        return
    try:
        response = _opener().open(_request(wanted, start), timeout=wanted.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            wanted.part.unlink()
            raise _Broken("the server has no such range") from error
        raise DataError(f"{wanted.url} answers {error.code} {error.reason}; check the address or try later") from error
    except urllib.error.URLError as error:
        raise DataError(f"{wanted.url} cannot be reached ({error.reason}); check the connection or proxy") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(repr(error)) from error
    with response:
        _receive(wanted, start, response, workspace)


def _resumable(wanted: _Wanted) -> int:
    """Return how many bytes of the part can be built on; a part that nothing can vouch for later is dropped."""
    length = _length(wanted.part)
    too_long = wanted.size is not None and length > wanted.size
    unknown = wanted.sha256 is None and not wanted.version.exists()
    if length and (too_long or unknown):
        wanted.part.unlink()
        return 0
    return length


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener of http, https and file addresses: a redirect to anything else fails."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.FileHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _request(wanted: _Wanted, start: int) -> urllib.request.Request:
    request = urllib.request.Request(wanted.url, headers={"User-Agent": "evalkit", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        with contextlib.suppress(FileNotFoundError):
            request.add_header("If-Range", wanted.version.read_text(encoding="ascii"))
    return request


class _Response(Protocol):
    """What is used of the two kinds of response that urllib returns."""

    @property
    def headers(self) -> Message: ...

    def read(self, amount: int, /) -> bytes: ...


def _receive(wanted: _Wanted, start: int, response: _Response, workspace: Workspace) -> None:
    """Add what `response` holds to the part, or begin the part anew if the server sends the file from its beginning."""
    ranged = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    goes_on = ranged is not None and int(ranged[1]) == start
    length = response.headers.get("Content-Length", "")
    total = int(ranged[2]) if ranged is not None else int(length) if length.isdigit() else None
    if wanted.size is not None and total not in {None, wanted.size}:
        raise DataError(f"{wanted.url} serves {total:,} bytes instead of {wanted.size:,}; name another source")
    if not goes_on:
        _write_version(wanted, response.headers)
    bar = workspace.progress.bar(wanted.to.name, wanted.size or total, "B")
    try:
        with wanted.part.open("ab" if goes_on else "wb") as part:
            bar.advance(part.tell())
            for piece in _pieces(response):
                part.write(piece)
                bar.advance(len(piece))
    finally:
        bar.close()
    arrived = _length(wanted.part)
    if total is not None and arrived < total:
        raise _Broken(f"the connection closed before all {total:,}")


def _pieces(response: _Response) -> Iterator[bytes]:
    try:
        while piece := response.read(PIECE):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(repr(error)) from error


def _write_version(wanted: _Wanted, headers: Message) -> None:
    """Keep what the server can recognise this version of the file by; a weak ETag cannot be asked for."""
    etag = headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    wanted.version.unlink(missing_ok=True)
    if version and version.isascii():
        wanted.version.write_text(version, encoding="ascii")


def _finish(wanted: _Wanted) -> None:
    """Check the part and give it its name."""
    try:
        _require_pinned(wanted, wanted.part, "it was dropped; run it again or name another source")
    except DataError:
        wanted.part.unlink(missing_ok=True)
        raise
    finally:
        wanted.version.unlink(missing_ok=True)
    with wanted.part.open("rb") as part:
        os.fsync(part.fileno())
    wanted.part.replace(wanted.to)


def _require_pinned(wanted: _Wanted, path: Path, next_step: str) -> None:
    size = _length(path)
    if wanted.size is not None and size != wanted.size:
        raise DataError(f"{path} from {wanted.url} has {size:,} bytes instead of {wanted.size:,}; {next_step}")
    if wanted.sha256 is None:
        return
    found = file_sha256(path)
    if found != wanted.sha256:
        raise DataError(f"{path} from {wanted.url} has SHA-256 {found} instead of {wanted.sha256}; {next_step}")


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
