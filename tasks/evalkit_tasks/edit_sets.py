"""Sets of edits: what the editing benchmarks have in common, and blocksworld's edits as any of them.

Each benchmark reads its own official files into `EditTurn`s. Where they are not at hand and none were asked for, the
edits of blocksworld are taken in their place, which is said and stamped on every number; with `--data NAME` nothing
falls back.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.features.pictures import FilePicture, Picture, ZipPicture, member_bytes
from evalkit.images import read_image
from evalkit.interfaces import DataCard, Scored
from evalkit.keys import digest
from evalkit.types import Image, ImageRole, Json, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.files import DATA, DIGEST, document
from evalkit_tasks.caption_sets import DEMO
from evalkit_tasks.official_files import members

MAX_TEXT = 10_000
"""Longest instruction or caption that is believed, in characters."""


@dataclass(frozen=True, slots=True)
class EditTurn:
    """One edit: of the picture `source`, as `instruction` says, towards `target` where the data have one.

    `session` is what turns that follow one another share: each starts from what the one before it ends in.
    """

    session: str
    turn: int
    source: Picture
    instruction: str
    target: Picture | None = None
    source_caption: str = ""
    target_caption: str = ""
    kind: str = ""
    mask: Picture | None = None

    @property
    def id(self) -> str:
        """`session-turn`."""
        return f"{self.session}-{self.turn}"


@dataclass(frozen=True, slots=True)
class EditSet:
    """The edits of a benchmark, in its order, with the workspace they were chosen in."""

    workspace: Workspace
    card: DataCard
    turns: tuple[EditTurn, ...]


Reader = Callable[[Path], tuple[EditTurn, ...]]
"""Reads a benchmark's official files in a folder."""


def choose_edits(
    workspace: Workspace, name: str, reader: Reader, is_there: Callable[[Path], bool], licence: str, how: str
) -> EditSet:
    """Return the edits that the workspace asks for: the benchmark's own, or blocksworld's.

    `how` says how to get the official files.

    Raises:
        UsageError: other data are asked for.
        DataError: the official files are asked for and missing, or are malformed.
    """
    directory = workspace.data_dir or workspace.datasets / name
    asked = workspace.data or (name if workspace.data_dir or is_there(directory) else "blocksworld")
    if asked == name:
        if not is_there(directory):
            raise DataError(f"no {name} in {directory}; {how}, or name its folder with --data-dir")
        turns = checked_turns(reader(directory), str(directory))
        card = DataCard(name, digest([_turn_json(turn, directory) for turn in turns]), licence)
        return EditSet(replace(workspace, data=name, data_dir=directory), card, turns)
    if asked.startswith("hf:"):
        from evalkit_tasks.hub import source_of

        source = source_of(workspace, asked[3:], "")
        turns = checked_turns(reader(source.folder), source.name)
        card = DataCard(
            source.name, digest([_turn_json(turn, source.folder) for turn in turns]), licence, source.stamps
        )
        return EditSet(replace(workspace, data_dir=None), card, turns)
    if asked != "blocksworld":
        raise UsageError(f"no data named {asked!r}{nearest(asked, (name, 'blocksworld'))}")
    if workspace.data is None:
        workspace.progress.say(
            f"no {name} in {directory}: using the embedded blocksworld's edits, and stamping its numbers as {DEMO} "
            f"({how})"
        )
    card = DataCard("blocksworld edits", DIGEST, "Apache-2.0", (DEMO,))
    return EditSet(replace(workspace, data="blocksworld", data_dir=None), card, blocksworld_turns())


def blocksworld_turns() -> tuple[EditTurn, ...]:
    """Return the 500 edits of blocksworld, in MagicBrush's layout.

    Raises:
        DataError: the shipped files are damaged.
    """
    rows = document("edits_val.json")["edits"]
    archive = DATA / "edits.zip"
    if not isinstance(rows, list):
        raise DataError(f"{DATA} holds no list of edits; install evalkit again")
    return tuple(_embedded(row, archive) for row in rows)


def _embedded(row: Json, archive: Path) -> EditTurn:
    if not isinstance(row, dict) or not isinstance(row["turn_index"], int):
        raise DataError(f"{archive.parent} holds a malformed edit; install evalkit again")
    session = str(row["img_id"])

    def picture(column: str) -> ZipPicture:
        return ZipPicture(archive, f"images/{session}/{row[column]}")

    return EditTurn(
        session,
        row["turn_index"],
        picture("source_img"),
        str(row["instruction"]),
        picture("target_img"),
        str(row["source_caption"]),
        str(row["target_caption"]),
        str(row["edit_type"]),
        picture("mask_img"),
    )


def checked_turns(turns: Sequence[EditTurn], where: str) -> tuple[EditTurn, ...]:
    """Return `turns` if each can be right.

    Captions may be empty, as some sets have none.

    Raises:
        DataError: there is none, an id stands twice, or a text is empty, too long or holds a NUL; the message names it.
    """
    if not turns:
        raise DataError(f"{where} holds no edits; fetch it again")
    seen: set[str] = set()
    for turn in turns:
        if turn.id in seen:
            raise DataError(f"{where}: edit {turn.id} stands twice; remove one of the two or fetch the files again")
        seen.add(turn.id)
        require_text(turn.instruction, f"{where}: the instruction of edit {turn.id}")
        for caption in (turn.source_caption, turn.target_caption):
            if caption.strip():
                require_text(caption, f"{where}: a caption of edit {turn.id}")
    return tuple(turns)


def require_text(text: str, what: str) -> str:
    """Return `text` if it can be a prompt.

    Raises:
        DataError: it is empty, holds a NUL or is longer than `MAX_TEXT`.
    """
    if not text.strip():
        raise DataError(f"{what} is empty; remove the item or fetch the file again")
    if "\x00" in text:
        raise DataError(f"{what} holds a NUL character: {text[:60]!r}; remove the item or fetch the file again")
    if len(text) > MAX_TEXT:
        raise DataError(f"{what} has {len(text):,} characters, more than {MAX_TEXT:,}: {text[:60]!r}; shorten it")
    return text


def _turn_json(turn: EditTurn, directory: Path) -> Json:
    pictures: list[Json] = [_picture_name(one, directory) for one in (turn.source, turn.target, turn.mask)]
    return [turn.id, turn.instruction, turn.source_caption, turn.target_caption, turn.kind, pictures]


def _picture_name(picture: Picture | None, directory: Path) -> str:
    if isinstance(picture, FilePicture):
        return str(picture.path.relative_to(directory)) if picture.path.is_relative_to(directory) else picture.path.name
    if isinstance(picture, ZipPicture):
        return f"{picture.archive.name}:{picture.member}"
    return "" if picture is None else picture.digest


def read_picture(picture: Picture, what: str, role: ImageRole = "source") -> Image:
    """Return a file or member as an image whose content stays where it is; `what` names its item in errors.

    Raises:
        DataError: it is missing or cannot be decoded.
    """
    if isinstance(picture, FilePicture):
        if not picture.path.is_file():
            raise DataError(f"{what}: {picture.path} is missing; complete the folder or fetch the set again")
        return read_image(picture.path, f"{what} ({picture.path})", role)
    if isinstance(picture, ZipPicture):
        return read_image(member_bytes(picture), f"{what} ({picture.archive}:{picture.member})", role)
    return replace(picture, role=role)


def edit_sample(turn: EditTurn, *, source: Image | None = None) -> Sample:
    """Return a turn as a sample: the source picture and the instruction, and as references target and both captions.

    `source` stands in for the picture as the file has it.
    """
    references: list[Image | Text] = (
        [] if turn.target is None else [read_picture(turn.target, f"the target of edit {turn.id}")]
    )
    references += [Text(turn.target_caption), Text(turn.source_caption)]
    strata = (("edit_type", turn.kind), ("turn", str(turn.turn))) if turn.kind else (("turn", str(turn.turn)),)
    shown = source or read_picture(turn.source, f"the source of edit {turn.id}")
    return Sample(turn.id, (shown, Text(turn.instruction)), tuple(references), strata, turn.session)


def source_of(scored: Scored) -> Image:
    """Return the picture that was to be edited."""
    return next(part for part in scored.sample.parts if isinstance(part, Image))


def target_of(scored: Scored) -> Image:
    """Return the picture that the data have for the edit."""
    return next(part for part in scored.sample.references if isinstance(part, Image))


def target_caption_of(scored: Scored) -> str:
    """Return what the picture shows after the edit."""
    return next(part.text for part in scored.sample.references if isinstance(part, Text))


def source_caption_of(scored: Scored) -> str:
    """Return what the picture shows before the edit."""
    return [part.text for part in scored.sample.references if isinstance(part, Text)][1]


def read_json(path: Path, archive: Path | None = None) -> Json:
    """Return a JSON file, or the member of that path in `archive`.

    Raises:
        DataError: it is missing or no JSON, or an object of it has a key twice.
    """
    where = str(path) if archive is None else f"{archive}:{path}"
    try:
        content = path.read_bytes() if archive is None else member_bytes(ZipPicture(archive, str(path)))
        found: Json = json.loads(content, object_pairs_hook=_unique_keys)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{where} cannot be read ({error}); fetch it again") from error
    return found


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Return the pairs as an object; a reader that takes the last of two equal keys would drop an item in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} stands twice")
    return found


def archive_members(archive: Path) -> frozenset[str]:
    """Return the names in a zip that is read in place.

    Raises:
        DataError: it is no whole zip, or its members are encrypted: MagicBrush's test set has the password
        `MagicBrush`.
    """
    return members(archive)
