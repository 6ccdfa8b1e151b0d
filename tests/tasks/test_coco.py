"""The laws of reading COCO's caption files and photos."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture, ZipPicture, load
from evalkit_tasks.coco import karpathy_set, official_set, splits_in
from evalkit_tasks.coco_json import MAX_CAPTION, mirror_captions, official_captions
from tests.tasks.coco_files import CAPTIONS, captions_json, file_name, picture_bytes, write_split


def read(document: object, split: str = "val2017") -> list[object]:
    return list(official_captions(json.dumps(document).encode(), "captions.json", split))


@pytest.mark.parametrize("split", ["val2014", "val2017", "train2014", "train2017"])
@pytest.mark.parametrize("zipped", [False, True])
def test_every_photo_is_read_with_its_captions(tmp_path: Path, split: str, zipped: bool) -> None:
    read = official_set(write_split(tmp_path, split, zipped=zipped), split)
    assert {photo.id: tuple((c.id, c.text) for c in photo.captions) for photo in read.photos} == dict(CAPTIONS)
    for photo in read.photos:
        expected = tmp_path / "one.png"
        expected.write_bytes(picture_bytes(photo.id))
        assert (load(photo.picture) == load(FilePicture(expected))).all()


def test_a_zip_read_in_place_is_the_same_set_as_its_folder(tmp_path: Path) -> None:
    folder = official_set(write_split(tmp_path / "folder", "val2014"), "val2014")
    archive = official_set(write_split(tmp_path / "zip", "val2014", zipped=True), "val2014")
    assert folder.digest == archive.digest
    assert all(isinstance(photo.picture, ZipPicture) for photo in archive.photos)
    assert not list((tmp_path / "zip").glob("*/*")), "nothing is unpacked"


def test_a_zip_with_its_pictures_at_the_root_is_read_too(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    with zipfile.ZipFile(tmp_path / "val2017.zip", "w") as archive:
        for path in (tmp_path / "val2017").iterdir():
            archive.write(path, path.name)
    shutil.rmtree(tmp_path / "val2017")
    assert len(official_set(tmp_path, "val2017").photos) == len(CAPTIONS)


def test_the_digest_follows_captions_and_photo_names(tmp_path: Path) -> None:
    digests = {
        official_set(write_split(tmp_path / str(i), "val2017", captions), "val2017").digest
        for i, captions in enumerate([CAPTIONS, {**CAPTIONS, 5: ((1, "Two dogs."),)}, {**CAPTIONS, 6: ()}])
    }
    assert len(digests) == 3


def test_a_part_of_an_official_split_is_stamped(tmp_path: Path) -> None:
    assert official_set(write_split(tmp_path, "val2017"), "val2017").stamps == ("3 of the 5,000 images of val2017",)


def test_splits_are_found_only_where_captions_and_photos_both_are(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    write_split(tmp_path, "train2014", zipped=True)
    (tmp_path / "train2017").mkdir()
    assert set(splits_in(tmp_path)) == {"val2017", "train2014"}


def test_a_photo_without_captions_is_kept_as_a_reference(tmp_path: Path) -> None:
    photos = official_set(write_split(tmp_path, "val2017", {**CAPTIONS, 6: ()}), "val2017").photos
    assert next(photo for photo in photos if photo.id == 6).captions == ()


def test_files_that_are_not_listed_are_no_part_of_the_set(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    (tmp_path / "val2017" / "000000000001.jpg").write_bytes(b"not even a picture")
    assert len(official_set(tmp_path, "val2017").photos) == len(CAPTIONS)


Change = Callable[[list[dict[str, object]], list[dict[str, object]]], object]


def damaged(change: Change) -> dict[str, object]:
    document: dict[str, list[dict[str, object]]] = json.loads(json.dumps(captions_json("val2017")))
    change(document["images"], document["annotations"])
    return {**document}


DAMAGE: dict[str, tuple[Change, str]] = {
    "image id twice": (lambda i, a: i.append({**i[0], "file_name": "b.jpg"}), r"image id 42 stands twice"),
    "caption id twice": (lambda i, a: a[1].update(id=7), r"caption id 7 stands twice"),
    "image file twice": (lambda i, a: i[1].update(file_name=i[0]["file_name"]), r"image file '0+42\.jpg' stands twice"),
    "caption without image": (lambda i, a: a[0].update(image_id=6), r"caption 7 is of image 6, which is not listed"),
    "empty caption": (lambda i, a: a[0].update(caption=" \n"), r"caption 7 of image 42 is empty"),
    "NUL": (lambda i, a: a[0].update(caption="a\0b"), r"caption 7 of image 42 holds a NUL"),
    "long caption": (lambda i, a: a[0].update(caption="x" * 10_000), r"10,000 characters"),
    "parent folder": (lambda i, a: i[0].update(file_name="../x.jpg"), r"image 42 has the file name '\.\./x\.jpg'"),
    "hidden parent": (lambda i, a: i[0].update(file_name="a/../../x.jpg"), r"leaves its folder"),
    "absolute": (lambda i, a: i[0].update(file_name="/etc/passwd"), r"leaves its folder"),
    "windows parent": (lambda i, a: i[0].update(file_name="..\\x.jpg"), r"leaves its folder"),
    "windows drive": (lambda i, a: i[0].update(file_name="C:x.jpg"), r"leaves its folder"),
    "no file name": (lambda i, a: i[0].update(file_name=""), r"leaves its folder"),
    "other split": (lambda i, a: i[2].update(coco_url="http://x/train2017/1.jpg"), r"image 900 is of train2017"),
    "name of 2014": (lambda i, a: i[0].update(file_name="COCO_val2014_000000000042.jpg"), r"image 42 is of val2014"),
    "id as text": (lambda i, a: i[0].update(id="42"), r"images\[0\]\.id: Input should be a valid integer"),
    "id as truth": (lambda i, a: a[0].update(id=True), r"annotations\[0\]\.id: Input should be a valid integer"),
    "negative id": (lambda i, a: a[0].update(id=-1), r"annotations\[0\]\.id: Input should be greater"),
    "instances": (lambda i, a: a[0].pop("caption"), r"annotations\[0\]\.caption: Field required.*official captions_"),
    "no captions": (lambda i, a: a.clear(), r"holds no captions"),
    "no images": (lambda i, a: i.clear(), r"caption 7 is of image 42, which is not listed"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_an_error_that_names_file_item_and_next_step(damage: str) -> None:
    change, message = DAMAGE[damage]
    with pytest.raises(DataError, match=rf"captions\.json.*{message}"):
        read(damaged(change))


def test_several_wrong_items_are_counted() -> None:
    document = damaged(lambda i, a: [entry.pop("caption") for entry in a])
    with pytest.raises(DataError, match=r"annotations\[0\]\.caption.*\(6 more like it\)"):
        read(document)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"images": [', b'{"images": "\xff"}', b"[" * 100_000])
def test_what_is_no_caption_file_is_an_error_that_names_the_file(content: bytes) -> None:
    with pytest.raises(DataError, match=r"^captions\.json: .*fetch it again"):
        official_captions(content, "captions.json", "val2017")


@given(st.integers(0, len(json.dumps(captions_json("val2017"))) - 1))
def test_a_file_cut_anywhere_is_an_error(length: int) -> None:
    content = json.dumps(captions_json("val2017")).encode()
    with pytest.raises(DataError):
        official_captions(content[:length], "captions.json", "val2017")


@given(st.text(min_size=1, max_size=MAX_CAPTION).filter(lambda t: t.strip() and "\0" not in t))
def test_any_other_text_is_kept_as_it_is(text: str) -> None:
    document = captions_json("val2017", {42: ((7, text),)})
    assert [c.text for p in official_captions(json.dumps(document).encode(), "x", "val2017") for c in p.captions] == [
        text
    ]


@pytest.mark.parametrize("zipped", [False, True])
def test_missing_photos_are_counted_and_the_first_is_named(tmp_path: Path, zipped: bool) -> None:
    write_split(tmp_path, "val2017", zipped=zipped)
    if zipped:
        with zipfile.ZipFile(tmp_path / "val2017.zip", "w") as archive:
            archive.writestr("val2017/000000000900.jpg", picture_bytes(900))
    else:
        (tmp_path / "val2017" / file_name("val2017", 42)).unlink()
        (tmp_path / "val2017" / file_name("val2017", 5)).unlink()
    with pytest.raises(DataError, match=r"2 of the 3 images .*captions_val2017\.json lists.*000000000042\.jpg in "):
        official_set(tmp_path, "val2017")


def test_missing_captions_or_photos_say_what_gets_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no annotations/captions_val2014\.json.*fetch coco -a split=val2014"):
        official_set(tmp_path, "val2014")
    write_split(tmp_path, "val2017")
    shutil.rmtree(tmp_path / "val2017")
    with pytest.raises(DataError, match=r"neither the folder val2017 nor val2017\.zip.*fetch coco -a split=val2017"):
        official_set(tmp_path, "val2017")


def test_a_zip_whose_members_leave_their_folder_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017", zipped=True)
    for name in ("../escaped.jpg", "/absolute.jpg"):
        with zipfile.ZipFile(tmp_path / "val2017.zip", "w") as archive:
            archive.writestr(name, b"x")
        with pytest.raises(DataError, match=r"which leaves its folder; do not trust this archive"):
            official_set(tmp_path, "val2017")


def test_a_zip_with_a_name_twice_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017", zipped=True)
    with zipfile.ZipFile(tmp_path / "val2017.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(f"val2017/{file_name('val2017', 42)}", b"x")
    with pytest.raises(DataError, match=r"holds 1 names twice"):
        official_set(tmp_path, "val2017")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017", zipped=True)
    content = bytearray((tmp_path / "val2017.zip").read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "val2017.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"holds 'val2017/000000000900\.jpg' encrypted"):
        official_set(tmp_path, "val2017")


@pytest.mark.parametrize("name", ["val2017.zip", "annotations_trainval2017.zip"])
def test_half_a_zip_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    write_split(tmp_path, "val2017", zipped=True)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{name} is not a whole zip.*fetch it again"):
        official_set(tmp_path, "val2017")


def test_a_flipped_bit_in_zipped_captions_is_an_error(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017", zipped=True)
    path = tmp_path / "annotations_trainval2017.zip"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"annotations_trainval2017\.zip:annotations/captions_val2017\.json cannot be read"
    ):
        official_set(tmp_path, "val2017")


def karpathy_directory(tmp_path: Path) -> Path:
    write_split(tmp_path, "val2014")
    images = [
        {
            "cocoid": image_id,
            "imgid": position,
            "filepath": "val2014",
            "filename": file_name("val2014", image_id),
            "split": split,
            "sentids": [id_ for id_, _ in CAPTIONS[image_id]],
            "sentences": [{"raw": text, "sentid": id_, "tokens": []} for id_, text in CAPTIONS[image_id]],
        }
        for position, (image_id, split) in enumerate([(42, "test"), (5, "test"), (900, "val")])
    ]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"dataset": "coco", "images": images}))
    return tmp_path


def test_a_karpathy_split_keeps_cocos_caption_ids(tmp_path: Path) -> None:
    read = karpathy_set(karpathy_directory(tmp_path), "test")
    assert {p.id: tuple((c.id, c.text) for c in p.captions) for p in read.photos} == {i: CAPTIONS[i] for i in (42, 5)}
    assert (read.name, read.split) == ("karpathy test", "test")


def test_a_karpathy_file_is_read_from_its_zip(tmp_path: Path) -> None:
    before = karpathy_set(karpathy_directory(tmp_path), "test")
    with zipfile.ZipFile(tmp_path / "caption_datasets.zip", "w") as archive:
        archive.write(tmp_path / "dataset_coco.json", "dataset_coco.json")
    (tmp_path / "dataset_coco.json").unlink()
    assert karpathy_set(tmp_path, "test").digest == before.digest


def test_an_unknown_karpathy_split_is_an_error_that_lists_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test, val, train, restval, not 'tset'"):
        karpathy_set(tmp_path, "tset")
    with pytest.raises(DataError, match=r"no split 'restval', only test, val"):
        karpathy_set(karpathy_directory(tmp_path), "restval")


MIRROR = [{"image": f"val2014/{file_name('val2014', i)}", "caption": [t for _, t in CAPTIONS[i]]} for i in (42, 5)]
NUMBERED = [
    {"id": 100 + i, "image_id": image_id, "caption": text}
    for i, (image_id, text) in enumerate((image_id, t) for image_id in (5, 42) for _, t in CAPTIONS[image_id])
]
TRUTH = {"images": [{"id": 42}, {"id": 5}], "annotations": NUMBERED}


def test_the_mirrors_captions_take_the_ids_of_its_truth_file(tmp_path: Path) -> None:
    write_split(tmp_path, "val2014")
    (tmp_path / "coco_karpathy_test.json").write_text(json.dumps(MIRROR))
    plain = karpathy_set(tmp_path, "test")
    assert [c.id for photo in plain.photos for c in photo.captions] == [0, 1, 2, 3, 4]
    (tmp_path / "coco_karpathy_test_gt.json").write_text(json.dumps(TRUTH))
    numbered = karpathy_set(tmp_path, "test")
    assert [c.id for photo in numbered.photos for c in photo.captions] == [102, 103, 104, 100, 101]
    assert [photo.id for photo in numbered.photos] == [42, 5]


def test_mirror_files_that_disagree_are_an_error() -> None:
    content = json.dumps(MIRROR).encode()
    fewer = json.dumps({**TRUTH, "annotations": NUMBERED[1:]}).encode()
    with pytest.raises(DataError, match=r"gt lacks the caption 'Two dogs run over green grass\.' of image 5"):
        mirror_captions(content, "test", fewer, "gt")
    with pytest.raises(DataError, match=r"gt has 2 captions that test has not"):
        mirror_captions(json.dumps(MIRROR[:1]).encode(), "test", json.dumps(TRUTH).encode(), "gt")


def test_a_missing_karpathy_file_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset_coco\.json.*https://storage\.googleapis\.com"):
        karpathy_set(tmp_path, "test")


def test_the_real_photos_are_read_as_the_official_files_say(shared_data: Path) -> None:
    mini = shared_data / "coco-mini"
    val, train = official_set(mini, "val2017"), official_set(mini, "train2017")
    assert (len(val.photos), sum(len(p.captions) for p in val.photos)) == (197, 985)
    assert (len(train.photos), sum(len(p.captions) for p in train.photos)) == (80, 400)
    assert len(list((mini / "train2017").iterdir())) == 99, "photos that are not listed are passed over"
    kitchen = next(photo for photo in val.photos if photo.id == 397133)
    assert kitchen.captions[0].text == "A man is in a kitchen making pizzas."
    assert load(kitchen.picture).shape == (427, 640, 3)


def test_captions_of_the_wrong_split_are_an_error(shared_data: Path, tmp_path: Path) -> None:
    mini = shared_data / "coco-mini"
    (tmp_path / "val2017").symlink_to(mini / "val2017")
    shutil.copy(mini / "annotations" / "captions_train2017.json", tmp_path / "captions_val2017.json")
    with pytest.raises(DataError, match=r"is of train2017, not of val2017"):
        official_set(tmp_path, "val2017")


def test_the_whole_official_val2017_file_is_read(shared_data: Path) -> None:
    path = shared_data / "coco-captions" / "captions_val2017.json"
    photos = official_captions(path.read_bytes(), str(path), "val2017")
    assert (len(photos), sum(len(photo.captions) for photo in photos)) == (5_000, 25_014)
