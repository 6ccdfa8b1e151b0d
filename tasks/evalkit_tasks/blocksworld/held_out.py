"""The shipped held-out set as the tasks ask it: pictures with what is known of them, and edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from evalkit.errors import UsageError
from evalkit.features.pictures import Picture, ZipPicture, load
from evalkit.images import image_of
from evalkit.json_values import a_list, a_text, a_whole_number, an_object
from evalkit.types import Image, ImageRole, Json, JsonScalar
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.draws import Draws
from evalkit_tasks.blocksworld.files import DATA, DIGEST, document, verify
from evalkit_tasks.blocksworld.records import scene_of
from evalkit_tasks.blocksworld.scene import Scene
from evalkit_tasks.blocksworld.truth import Inside
from evalkit_tasks.caption_sets import choose
from evalkit_tasks.coco_json import Caption

NAME = "blocksworld val"
LICENCE = "Apache-2.0"
CAPTION_KINDS = ("terse", "number", "place", "looks", "full")
"""What each of a picture's five captions tells, in their order: see `captions.py`."""


@dataclass(frozen=True, slots=True)
class HeldOutPicture:
    """A picture of `val.zip` with its true scene and its captions, which have the kinds of `CAPTION_KINDS`."""

    id: int
    picture: Picture
    scene: Scene
    captions: tuple[Caption, ...]
    stratum: str

    @property
    def strata(self) -> tuple[tuple[str, str], ...]:
        """What its numbers are broken down by."""
        return (("stratum", self.stratum),)

    def image(self, role: ImageRole = "source") -> Image:
        """Return its pixels as an image."""
        return image_of(load(self.picture), role)


@dataclass(frozen=True, slots=True)
class HeldOutEdit:
    """One turn of a session of `edits.zip`, with the scenes before and after it."""

    session: int
    turn: int
    kind: str
    instruction: str
    source: Scene
    target: Scene

    def before(self) -> Image:
        """Return the picture that the turn starts from."""
        return image_of(load(self._picture("input" if self.turn == 1 else f"output{self.turn - 1}")), "source")

    def after(self) -> Image:
        """Return the true picture that the turn ends in."""
        return image_of(load(self._picture(f"output{self.turn}")), "source")

    def outside(self) -> Inside:
        """Return where `(64, 64)` nothing may change: outside the white of its mask."""
        inside: Inside = load(self._picture(f"mask{self.turn}"))[:, :, 0] < 128
        return inside

    def _picture(self, name: str) -> ZipPicture:
        return ZipPicture(DATA / "edits.zip", f"images/{self.session}/{self.session}-{name}.png")


def data_fields(prompt: str) -> dict[str, JsonScalar]:
    """Return what every protocol on the held-out set says: the data, by digest, and how the question is put."""
    return {"data": NAME, "data_digest": DIGEST, "prompt": prompt}


def embedded(workspace: Workspace) -> Workspace:
    """Return `workspace` with blocksworld as its data, if it asks for no other and the shipped files are whole.

    Raises:
        UsageError: other data are asked for.
        DataError: the shipped files are damaged.
    """
    if workspace.data not in {None, "blocksworld"} or workspace.data_dir is not None:
        asked = workspace.data_dir or workspace.data
        raise UsageError(f"this task is asked on the embedded blocksworld only, not on {asked}; leave --data out")
    verify()
    return replace(workspace, data="blocksworld")


def held_out_pictures(workspace: Workspace) -> tuple[HeldOutPicture, ...]:
    """Return the 500 pictures, in the order of their ids; `workspace` is an `embedded` one.

    Raises:
        DataError: the shipped files are damaged.
    """
    captioned = choose(workspace, {}).captions
    scenes = {
        a_whole_number(row["image_id"]): scene_of(row["scene"], f"scenes_val.json, image {row['image_id']}")
        for row in rows("scenes_val.json", "scenes")
    }
    return tuple(
        HeldOutPicture(photo.id, photo.picture, scenes[photo.id], photo.captions, dict(photo.strata)["stratum"])
        for photo in captioned.photos
    )


def held_out_edits() -> tuple[HeldOutEdit, ...]:
    """Return the 500 edits, session by session and turn by turn.

    Raises:
        DataError: the shipped files are damaged.
    """
    kinds = {_turn(row): a_text(row["edit_type"]) for row in rows("edits_val.json", "edits")}
    return tuple(_edit(row, kinds[_turn(row)]) for row in rows("scenes_val.json", "edits"))


def _turn(row: Mapping[str, Json]) -> tuple[str, int]:
    return a_text(row["img_id"]), a_whole_number(row["turn_index"])


def _edit(row: Mapping[str, Json], kind: str) -> HeldOutEdit:
    session, turn = _turn(row)
    where = f"scenes_val.json, edit {session}-{turn}"
    source, target = scene_of(row["source"], where), scene_of(row["target"], where)
    return HeldOutEdit(int(session), turn, kind, a_text(row["instruction"]), source, target)


def rows(file: str, key: str) -> list[dict[str, Json]]:
    """Return the list `key` of one of the shipped annotation files.

    Raises:
        DataError: the file is missing or damaged.
    """
    return [an_object(row) for row in a_list(document(file)[key])]


def asked_caption(picture: HeldOutPicture) -> tuple[str, Caption]:
    """Return the kind and the caption that is asked of a picture: one of its five, drawn by its id."""
    drawn = Draws("asked caption", picture.id).below(len(CAPTION_KINDS))
    return CAPTION_KINDS[drawn], picture.captions[drawn]
