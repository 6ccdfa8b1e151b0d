"""The laws of choosing captions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import FilePicture
from evalkit_tasks.coco import Photo
from evalkit_tasks.coco_json import Caption
from evalkit_tasks.selection import Chosen, caption_count, draw, list_digest, listed

PHOTOS = [
    Photo(
        image_id,
        FilePicture(Path(f"COCO_val2014_{image_id:012d}.jpg")),
        tuple(Caption(10 * image_id + k, f"caption  {k} of\n{image_id} ") for k in range(5)),
    )
    for image_id in range(1, 41)
]


def ids(chosen: list[Chosen]) -> list[int]:
    return [c.caption.id for c in chosen]


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 5), st.booleans())
def test_a_shorter_draw_is_the_beginning_of_a_longer_one(a: int, b: int, seed: int, one_each: bool) -> None:
    short, long = sorted((a, b))
    assert ids(draw(PHOTOS, short, seed, one_each)) == ids(draw(PHOTOS, long, seed, one_each))[:short]


@given(st.randoms(), st.booleans())
def test_the_draw_does_not_depend_on_the_order_of_the_file(random: object, one_each: bool) -> None:
    shuffled = list(PHOTOS)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ids(draw(shuffled, 60, 0, one_each)) == ids(draw(PHOTOS, 60, 0, one_each))


def test_all_are_drawn_where_there_are_fewer() -> None:
    assert sorted(ids(draw(PHOTOS, 30_000, 0, False))) == [10 * i + k for i in range(1, 41) for k in range(5)]
    one_each = draw(PHOTOS, 30_000, 0, True)
    assert sorted(c.photo.id for c in one_each) == list(range(1, 41))


def test_another_seed_is_another_draw_and_the_first_is_fixed_for_ever() -> None:
    assert ids(draw(PHOTOS, 6, 0, False)) != ids(draw(PHOTOS, 6, 1, False))
    # sha256(b"[0,ID]") of each, smallest first, computed with sha256sum
    assert ids(draw(PHOTOS, 6, 0, False)) == GOLDEN


GOLDEN = [161, 343, 90, 250, 112, 22]


def test_a_draw_is_even_over_photos() -> None:
    drawn = draw(PHOTOS, 100, 0, False)
    per_photo = [sum(c.photo.id == photo.id for c in drawn) for photo in PHOTOS]
    assert 0.4 < sum(per_photo) / len(PHOTOS) / 5 < 0.6
    assert max(per_photo) <= 5


def test_the_digest_follows_ids_photos_and_words_but_not_order_or_spaces() -> None:
    drawn = draw(PHOTOS, 20, 0, False)
    assert list_digest(drawn) == list_digest(drawn[::-1])
    assert list_digest(drawn) != list_digest(drawn[1:])
    first = drawn[0]
    spaced = Chosen(first.photo, Caption(first.caption.id, first.caption.text.replace(" ", "   ")))
    reworded = Chosen(first.photo, Caption(first.caption.id, first.caption.text + "!"))
    assert list_digest([spaced, *drawn[1:]]) == list_digest(drawn)
    assert list_digest([reworded, *drawn[1:]]) != list_digest(drawn)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "23\n11\n404\n",
        "\ufeff# chosen by hand\r\n23\r\n\r\n11\r\n404\r\n",
        "caption_id\n23\n11\n404\n",
        'text,id\nanything,23\n"a, b",11\nc,404\n',
        "image_id,caption\n2,caption 3 of 2\n1,caption  1 of 1\n40,caption 4 of 40\n",
        ",file_name,text\n0,COCO_val2014_000000000002.jpg,caption 3 of 2\n"
        "1,val2014/COCO_val2014_000000000001.jpg,caption 1 of 1\n2,COCO_val2014_000000000040.jpg,caption 4 of 40\n",
        "image_id,id,text\n2,0,caption 3 of 2\n1,1,caption 1 of 1\n40,2,caption 4 of 40\n",
    ],
)
def test_a_list_is_read_in_every_published_form_and_keeps_its_order(tmp_path: Path, text: str) -> None:
    assert ids(listed(PHOTOS, write(tmp_path, text))) == [23, 11, 404]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("23\n9999\n8888\n", r"2 of the 3 captions in .*list\.csv are not in the data, the first being 9999"),
        ("23\n11\n23\n", r"lists caption 23 twice"),
        ("", r"columns none"),
        ("# nothing\n", r"columns # nothing"),
        ("prompt\na cat\n", r"columns prompt; it needs one of caption_id"),
        ("caption_id\n2x\n", r"line 2: '2x' is not a caption id"),
        ("caption_id,b\n2\n1,2\n,\n", r"line 4: '' is not a caption id"),
        ("image_id,caption\n2,another caption\n", r"line 2: no caption 'another caption' of image '2'"),
        ("caption_id\n", r"lists no captions"),
    ],
)
def test_a_list_that_does_not_fit_is_an_error_that_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(PHOTOS, write(tmp_path, text))


def test_equal_captions_of_one_photo_are_listed_one_after_the_other(tmp_path: Path) -> None:
    photo = Photo(7, FilePicture(Path("7.jpg")), (Caption(1, "a cat"), Caption(2, "a  cat"), Caption(3, "a dog")))
    path = write(tmp_path, "image_id,caption\n7,a cat\n7,a dog\n7,a cat\n")
    assert ids(listed([photo], path)) == [1, 3, 2]


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.csv cannot be read.*give a number or a file"):
        listed(PHOTOS, tmp_path / "missing.csv")


def test_a_count_is_told_from_a_file() -> None:
    assert caption_count("30000") == caption_count("30_000") == caption_count("30,000") == 30_000
    assert caption_count("lists/30k.csv") is None
    for text in ("0", "-3"):
        with pytest.raises(UsageError, match="at least one caption"):
            caption_count(text)
