"""The held-out sets that evalkit ships, in the official formats, and the proof that the generator still makes them.

    val.zip                          500 pictures, `val/000000000001.png` and so on
    edits.zip                        250 sessions of 1 to 3 edits, laid out as MagicBrush's test set is
    annotations/captions_val.json    COCO captions
    annotations/instances_val.json   COCO instances
    annotations/questions_val.json   VQAv2 questions
    annotations/answers_val.json     VQAv2 annotations
    annotations/edits_val.json       MagicBrush sessions with both captions
    annotations/scenes_val.json      the true scenes

`python -m evalkit_tasks.blocksworld.files DIR` writes them.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PillowImage

from evalkit.errors import DataError, RunError
from evalkit.images import Pixels, decode, pixel_digest
from evalkit.keys import digest
from evalkit.types import Json
from evalkit_tasks.blocksworld import documents
from evalkit_tasks.blocksworld.edits import EDIT_KINDS, Edit, edit, edit_mask
from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import Scene, Stratum, scene
from evalkit_tasks.blocksworld.truth import picture

DATA = Path(__file__).parent / "data"
"""Where the shipped files are."""
DIGEST = "9db6a8f868d3c6b393bba1b276f18f29b4d3ea336cd6dd2a540616f12194fb4b"
"""Digest of every pixel and every annotation that is shipped."""

DOCUMENTS = (
    "captions_val.json",
    "instances_val.json",
    "questions_val.json",
    "answers_val.json",
    "edits_val.json",
    "scenes_val.json",
)
ARCHIVES = ("val.zip", "edits.zip")

SCENES = 500
SESSIONS = 250
EDIT_FIRST_SEED = 10_000
"""Session number s tries the seeds from this + 1000 s on; scene number i has seed i."""
EDIT_FIRST_ID = 100_001

_STRATA: tuple[Stratum, ...] = ("easy", "medium", "hard", "medium", "easy", "medium", "hard", "medium", "easy", "hard")
_TURNS = (2, 1, 3)
_SEEDS_A_SESSION = 1000
"""No session may try more seeds, or it would try the next one's."""


def held_out_scenes() -> list[documents.HeldOut]:
    """Return the 500 scenes of `val.zip`: 3 easy, 4 medium and 3 hard ones of every ten."""
    found = []
    for number in range(1, SCENES + 1):
        stratum = _STRATA[number % len(_STRATA)]
        found.append(documents.HeldOut(number, stratum, scene(number, stratum)))
    return found


def held_out_sessions() -> list[documents.Session]:
    """Return the 250 sessions of `edits.zip`, 500 edits in all; the seven kinds take turns."""
    sessions: list[documents.Session] = []
    turns = 0
    for number in range(SESSIONS):
        stratum = _STRATA[number % len(_STRATA)]
        length = _TURNS[number % len(_TURNS)]
        edits = _session(EDIT_FIRST_SEED + _SEEDS_A_SESSION * number, stratum, turns, length)
        sessions.append(documents.Session(EDIT_FIRST_ID + number, tuple(edits)))
        turns += length
    return sessions


def _session(first_seed: int, stratum: Stratum, first_turn: int, length: int) -> list[Edit]:
    """Return a session from the first seed on whose scene allows every kind of edit that is due."""
    for seed in range(first_seed, first_seed + _SEEDS_A_SESSION):
        edits: list[Edit] = []
        source: Scene | None = scene(seed, stratum)
        for turn in range(first_turn, first_turn + length):
            done = None if source is None else edit(source, seed + turn, (EDIT_KINDS[turn % len(EDIT_KINDS)],))
            source = None if done is None else done.target
            edits += [] if done is None else [done]
        if len(edits) == length:
            return edits
    raise RunError(f"no session was found from seed {first_seed} on; loosen the rules of edits.py")


@dataclass(frozen=True, slots=True)
class Contents:
    """All that is shipped: JSON documents by file name, and pictures by archive and member."""

    documents: Mapping[str, dict[str, Json]]
    pictures: Mapping[str, Mapping[str, Pixels]]

    @property
    def digest(self) -> str:
        """Digest of every document and of all pixels, whatever compressed them."""
        pixels: dict[str, Json] = {
            archive: {member: pixel_digest(array) for member, array in members.items()}
            for archive, members in self.pictures.items()
        }
        return digest({"documents": dict(self.documents), "pixels": pixels})


def generated() -> Contents:
    """Return what the generator makes of the held-out seeds: what should be shipped."""
    scenes, sessions = held_out_scenes(), held_out_sessions()
    asked, answered = documents.vqa_documents(scenes)
    made = {
        "captions_val.json": documents.captions_document(scenes),
        "instances_val.json": documents.instances_document(scenes),
        "questions_val.json": asked,
        "answers_val.json": answered,
        "edits_val.json": documents.edits_document(sessions),
        "scenes_val.json": documents.scenes_document(scenes, sessions),
    }
    val = {f"val/{held.file_name}": render(held.scene) for held in scenes}
    edits: dict[str, Pixels] = {}
    for session in sessions:
        folder = f"images/{session.img_id}"
        for turn, done in enumerate(session.edits, start=1):
            edits[f"{folder}/{session.input_name(turn)}"] = render(done.source)
            edits[f"{folder}/{session.mask_name(turn)}"] = picture(edit_mask(done))
            edits[f"{folder}/{session.output_name(turn)}"] = render(done.target)
    return Contents(made, {"val.zip": val, "edits.zip": edits})


def write(directory: Path, contents: Contents) -> None:
    """Write the files of `contents` under `directory`.

    Raises:
        OSError: the folder cannot be written.
    """
    (directory / "annotations").mkdir(parents=True, exist_ok=True)
    for name, document in contents.documents.items():
        (directory / "annotations" / name).write_text(_lines(document), encoding="utf-8", newline="\n")
    for archive, members in contents.pictures.items():
        with zipfile.ZipFile(directory / archive, "w", zipfile.ZIP_STORED) as file:
            for member, array in members.items():
                # A fixed date, so that the same pictures make the same archive.
                entry = zipfile.ZipInfo(member, (2025, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                file.writestr(entry, _small_png(array))


def _small_png(array: Pixels) -> bytes:
    """Return pixels as the smallest PNG that Pillow makes: 44 % less than the quick one of `evalkit.images`."""
    held = io.BytesIO()
    PillowImage.fromarray(array).save(held, "PNG", optimize=True)
    return held.getvalue()


def _lines(document: Mapping[str, Json]) -> str:
    """Return `document` as JSON with one line for each item of its lists, so that a change can be seen in a diff."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            text = "[\n" + ",\n".join(_compact(item) for item in value) + "\n]"
        else:
            text = _compact(value)
        parts.append(f"{_compact(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _compact(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def shipped(directory: Path = DATA) -> Contents:
    """Return what the files under `directory` hold.

    Raises:
        DataError: a file is missing or damaged.
    """
    made = {name: document(name, directory) for name in DOCUMENTS}
    return Contents(made, {archive: dict(_members(directory / archive)) for archive in ARCHIVES})


def document(name: str, directory: Path = DATA) -> dict[str, Json]:
    """Return one annotation file of the shipped data, `captions_val.json`.

    Raises:
        DataError: it is missing or damaged.
    """
    path = directory / "annotations" / name
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); install evalkit again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is not a JSON object; install evalkit again")
    return found


def _members(path: Path) -> Iterable[tuple[str, Pixels]]:
    try:
        with zipfile.ZipFile(path) as file:
            for member in file.namelist():
                yield member, decode(file.read(member), f"{path}, member {member}")
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}); install evalkit again") from error


def verify(directory: Path = DATA) -> None:
    """Return if the files under `directory` hold exactly what `DIGEST` stands for.

    Raises:
        DataError: a file is missing, damaged or changed.
    """
    found = shipped(directory).digest
    if found != DIGEST:
        raise DataError(f"blocksworld in {directory} has digest {found}, not {DIGEST}; install evalkit again")


def main(arguments: list[str]) -> int:
    """Write the files into the folder named and print their digest."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m evalkit_tasks.blocksworld.files DIR\n")
        return 2
    contents = generated()
    write(Path(arguments[0]), contents)
    sys.stdout.write(f"{contents.digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
