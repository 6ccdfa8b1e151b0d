"""The laws of datasets in the hub's parquet form, on files that `datasets` itself writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import datasets
import pytest

from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import FilePicture, load
from evalkit.workspace import Workspace
from evalkit_tasks.hub import hub_set
from tests.tasks.coco_files import picture_bytes

IDS = (42, 5, 900)
TEXTS = [["a cat", "the cat"], ["two dogs"], ["a boat", "a lake", "blue"]]


def write(folder: Path, columns: dict[str, Sequence[object]], split: str = "val", name: str = "") -> Path:
    """Write a split as the hub holds it: one row a picture, encoded pictures in an Image feature."""
    features = datasets.Dataset.from_dict({k: v for k, v in columns.items() if k != "image"}).features
    if "image" in columns:
        features["image"] = datasets.Image()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    path = folder / "data" / (name or f"{split}-00000-of-00001.parquet")
    datasets.Dataset.from_dict(dict(columns), features=features).to_parquet(path)
    return folder


def pictures() -> list[dict[str, object]]:
    return [{"bytes": picture_bytes(i), "path": f"{i}.png"} for i in IDS]


def test_every_row_becomes_a_photo_with_its_captions(tmp_path: Path) -> None:
    folder = write(tmp_path / "hub", {"image": pictures(), "cocoid": IDS, "captions": TEXTS, "url": ["a", "b", "c"]})
    read = hub_set(Workspace(cache=tmp_path), str(folder), {})
    assert [(p.id, [c.text for c in p.captions]) for p in read.photos] == list(zip(IDS, TEXTS, strict=True))
    assert [c.id for p in read.photos for c in p.captions] == list(range(6))
    assert (read.split, read.stamps) == ("val", ())
    for photo in read.photos:
        (tmp_path / "one.png").write_bytes(picture_bytes(photo.id))
        assert (load(photo.picture) == load(FilePicture(tmp_path / "one.png"))).all()


def test_a_caption_a_row_and_file_names_as_ids_are_read(tmp_path: Path) -> None:
    rows = [(i, text) for i, texts in zip(IDS, TEXTS, strict=True) for text in texts]
    columns: dict[str, Sequence[object]] = {
        "image": [{"bytes": picture_bytes(i), "path": None} for i, _ in rows],
        "image_id": [f"COCO_val2014_{i:012d}.jpg" for i, _ in rows],
        "text": [text for _, text in rows],
    }
    read = hub_set(Workspace(cache=tmp_path), str(write(tmp_path / "hub", columns)), {})
    assert [(p.id, [c.text for c in p.captions]) for p in read.photos] == list(zip(IDS, TEXTS, strict=True))
    del columns["image_id"]
    unnamed = hub_set(Workspace(cache=tmp_path), str(write(tmp_path / "unnamed", columns)), {})
    assert [(p.id, [c.text for c in p.captions]) for p in unnamed.photos] == list(enumerate(TEXTS))


def test_the_digest_follows_captions_and_pictures(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path)

    def digest(name: str, images: list[dict[str, object]], texts: list[list[str]]) -> str:
        return hub_set(workspace, str(write(tmp_path / name, {"image": images, "caption": texts})), {}).digest

    first = digest("a", pictures(), TEXTS)
    assert digest("b", pictures(), TEXTS) == first
    assert digest("c", pictures(), [["another"], *TEXTS[1:]]) != first
    assert digest("d", [{"bytes": picture_bytes(1), "path": None}, *pictures()[1:]], TEXTS) != first


def test_columns_that_cannot_be_told_are_an_error_that_lists_them(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path)
    only_text = write(tmp_path / "a", {"caption": TEXTS, "url": ["a", "b", "c"]})
    with pytest.raises(DataError, match=r"no column that can be the image \(caption: list of string; url: string\)"):
        hub_set(workspace, str(only_text), {})
    columns: dict[str, Sequence[object]] = {"image": pictures(), "alt": ["x", "y", "z"], "title": ["a", "b", "c"]}
    two = str(write(tmp_path / "b", columns))
    with pytest.raises(
        DataError, match=r"2 columns that can be the caption .*alt: string; title: string.*caption_column="
    ):
        hub_set(workspace, two, {})
    chosen = hub_set(workspace, two, {"caption_column": "title"})
    assert [c.text for p in chosen.photos for c in p.captions] == ["a", "b", "c"]
    with pytest.raises(UsageError, match=r"no column 'titel'"):
        hub_set(workspace, two, {"caption_column": "titel"})
    with pytest.raises(UsageError, match=r"no column 'idd'"):
        hub_set(workspace, two, {"caption_column": "title", "id_column": "idd"})


def test_rows_that_do_not_hold_what_their_column_says_are_named(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path)
    empty = write(tmp_path / "a", {"image": [*pictures()[:2], None], "caption": TEXTS})
    with pytest.raises(DataError, match=r"row 2: column image holds no picture"):
        hub_set(workspace, str(empty), {})
    silent = write(tmp_path / "b", {"image": pictures(), "caption": ["a", None, "c"]})
    with pytest.raises(DataError, match=r"row 1: column caption holds no text"):
        hub_set(workspace, str(silent), {})
    same = write(tmp_path / "c", {"image": pictures(), "caption": TEXTS, "id": [1, 1, 2]})
    with pytest.raises(DataError, match=r"two pictures have the id 1"):
        hub_set(workspace, str(same), {})
    unnumbered = write(tmp_path / "d", {"image": pictures(), "caption": TEXTS, "id": ["a", "b", "c"]})
    with pytest.raises(DataError, match=r"row 0: 'a' in column id has no number"):
        hub_set(workspace, str(unnumbered), {})


def test_a_split_is_found_by_name_and_never_guessed(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path)
    folder = write(tmp_path / "hub", {"image": pictures(), "caption": TEXTS})
    write(folder, {"image": pictures()[:1], "caption": TEXTS[:1]}, "test", "test.parquet")
    with pytest.raises(UsageError, match=r"has the splits test, val; choose one with -t split="):
        hub_set(workspace, str(folder), {})
    assert len(hub_set(workspace, str(folder), {"split": "test"}).photos) == 1
    with pytest.raises(UsageError, match=r"no split 'train', only test, val"):
        hub_set(workspace, str(folder), {"split": "train"})


def test_the_shards_of_a_split_are_read_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    for shard in (1, 0):
        columns: dict[str, Sequence[object]] = {
            "image": pictures()[shard : shard + 1],
            "caption": TEXTS[shard : shard + 1],
        }
        write(folder, columns, name=f"val-0000{shard}-of-00002.parquet")
    read = hub_set(Workspace(cache=tmp_path), str(folder), {"split": "val"})
    assert [[c.text for c in p.captions] for p in read.photos] == TEXTS[:2]


def test_half_a_parquet_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "hub", {"image": pictures(), "caption": TEXTS})
    path = folder / "data" / "val-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"val-00000-of-00001\.parquet is not a whole parquet file"):
        hub_set(Workspace(cache=tmp_path), str(folder), {})
    path.unlink()
    with pytest.raises(DataError, match=r"has no parquet files"):
        hub_set(Workspace(cache=tmp_path), str(folder), {})


def test_a_repository_without_a_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"hf:someone/coco names no revision.*hf:someone/coco@COMMIT"):
        hub_set(Workspace(cache=tmp_path), "someone/coco", {})


def test_offline_a_repository_that_was_never_fetched_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"hf:someone/coco@0123 cannot be fetched.*forbids the network"):
        hub_set(Workspace(cache=tmp_path, offline=True), "someone/coco@0123", {})
