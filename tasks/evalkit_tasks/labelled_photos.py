"""Photos with label maps, from ADE20K's and COCO-Stuff's official files: folders, or the zips as they are downloaded.

    ade20k       ADEChallengeData2016.zip, or its folder, or images/ and annotations/ (with or without validation/)
    coco-stuff   val2017/ or val2017.zip with stuffthingmaps_trainval2017.zip or its folder; or val_img/ and val_label/

A photo and its map have the same name. Captions are those of annotations/captions_val2017.json where it is, or of a
file that is named: in COCO's format, or an object of a caption by photo's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture, ZipPicture
from evalkit.json_values import a_text, an_object
from evalkit.types import Json
from evalkit_tasks.coco_json import official_captions
from evalkit_tasks.edit_sets import read_json, require_text
from evalkit_tasks.label_sets import LabelSet
from evalkit_tasks.official_files import members, official_document

PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")
MAP_ENDINGS = (".png", ".jpg", ".jpeg")
"""JPEGs are found so that they can be refused by name."""

Shelf: TypeAlias = Mapping[str, FilePicture | ZipPicture]
"""Pictures by their name without ending."""


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo, its label map, and what it shows, empty where no caption is known."""

    id: str
    photo: FilePicture | ZipPicture
    labels: FilePicture | ZipPicture
    caption: str = ""

    @property
    def labels_file(self) -> str:
        """Name of the label map's file, without its folder or archive."""
        labels = self.labels
        return PurePosixPath(labels.member).name if isinstance(labels, ZipPicture) else labels.path.name


_ADE = "ADEChallengeData2016"
_PLACES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "ade20k": (
        (f"{_ADE}.zip:{_ADE}/images/validation", f"{_ADE}.zip:{_ADE}/annotations/validation"),
        (f"{_ADE}/images/validation", f"{_ADE}/annotations/validation"),
        ("images/validation", "annotations/validation"),
        ("images", "annotations"),
    ),
    "coco-stuff": (
        ("val2017", "stuffthingmaps_trainval2017.zip:val2017"),
        ("val2017.zip:val2017", "stuffthingmaps_trainval2017.zip:val2017"),
        ("val2017", "stuffthingmaps_trainval2017/val2017"),
        ("val2017.zip:val2017", "stuffthingmaps_trainval2017/val2017"),
        ("val_img", "val_label"),
    ),
}


def places_in(directory: Path, labels: LabelSet) -> tuple[str, str] | None:
    """Return where the photos and the label maps of a set lie in `directory`, None where they do not."""
    for photos, maps in _PLACES[labels.name]:
        if all(_root(directory, place).exists() for place in (photos, maps)):
            return photos, maps
    return None


def _root(directory: Path, place: str) -> Path:
    return directory / place.partition(":")[0]


def read_labelled(directory: Path, labels: LabelSet, captions: Path | None) -> tuple[LabelledPhoto, ...]:
    """Return the photos of a set in `directory` in the order of their names, each with its map.

    Raises:
        DataError: there are none, a photo has no map or a map no photo, or the captions are malformed.
    """
    places = places_in(directory, labels)
    if places is None:
        raise DataError(f"no {labels.name} in {directory}; {labels.how}, or name its folder with --data-dir")
    photos, maps = _shelf(directory, places[0], PHOTO_ENDINGS), _shelf(directory, places[1], MAP_ENDINGS)
    for some, others, what, lacks in ((photos, maps, "photo", "label map"), (maps, photos, "label map", "photo")):
        alone = sorted(some.keys() - others.keys())
        if alone:
            raise DataError(
                f"{directory}: {len(alone):,} of {len(some):,} {what}s have no {lacks}, the first being {alone[0]}; "
                "complete the folder or fetch it again"
            )
    if not photos:
        raise DataError(f"{directory / places[0]} holds no photos; fetch it again")
    told = _captions(directory, captions)
    return tuple(LabelledPhoto(name, photos[name], maps[name], told.get(name, "")) for name in sorted(photos))


def _shelf(directory: Path, place: str, endings: tuple[str, ...]) -> Shelf:
    file, _, inside = place.partition(":")
    if inside:
        archive = directory / file
        found = [name for name in members(archive) if PurePosixPath(name).parent == PurePosixPath(inside)]
        return _by_stem(((name, ZipPicture(archive, name)) for name in found), endings, place)
    folder = directory / file
    return _by_stem(((path.name, FilePicture(path)) for path in sorted(folder.iterdir())), endings, place)


def _by_stem(
    named: Iterable[tuple[str, FilePicture | ZipPicture]], endings: tuple[str, ...], place: str
) -> dict[str, FilePicture | ZipPicture]:
    found: dict[str, FilePicture | ZipPicture] = {}
    for name, picture in named:
        path = PurePosixPath(name)
        if path.suffix.lower() in endings:
            if path.stem in found:
                raise DataError(f"{place} holds {path.stem} twice, with two endings; remove one of the two")
            found[path.stem] = picture
    return found


def _captions(directory: Path, captions: Path | None) -> dict[str, str]:
    """Return captions by photo's name; none where none are known."""
    if captions is not None:
        document = read_json(captions)
        if not (isinstance(document, dict) and "annotations" in document):
            return _named_captions(document, captions)
        content, where = captions.read_bytes(), str(captions)
    else:
        found = official_document(directory, "captions_val2017.json", "annotations_trainval2017.zip")
        if found is None:
            return {}
        content, where = found.content, found.where
    listed = official_captions(content, where, "val2017")
    return {PurePosixPath(p.file).stem: " ".join(p.captions[0].text.split()) for p in listed if p.captions}


def _named_captions(document: Json, where: Path) -> dict[str, str]:
    try:
        entries = an_object(document)
        return {
            PurePosixPath(name).stem: require_text(a_text(text), f"{where}: the caption of {name}")
            for name, text in entries.items()
        }
    except TypeError as error:
        raise DataError(f"{where} is no object of a caption by photo's name ({error}); correct it") from error
