from __future__ import annotations

import pytest

from evalkit.keys import noun_json
from evalkit.types import Box, Boxes, Image, Json, LabelMap, Mask, Text
from evalkit_reports.parts import Picture, counted, shown

DIGEST = "ab" * 32


def test_texts_become_lines_and_pictures_keep_their_roles() -> None:
    image = Image(DIGEST, 8, 8, "source")
    parts = [Text("one"), image, Mask(image), LabelMap(image, ((1, "sky"),)), Text("two")]
    found = shown([noun_json(part) for part in parts])
    assert found.text == "one\ntwo"
    assert found.pictures == (
        Picture(DIGEST, "source"),
        Picture(DIGEST, "mask", "mask"),
        Picture(DIGEST, "label map", "label map"),
    )


def test_boxes_are_drawn_in_the_frame_of_their_picture() -> None:
    boxes = Boxes((Box("cat", 1, 2, 3, 4), Box("dog", 0, 0, 1, 1)), 8, 6)
    found = shown([noun_json(boxes)])
    assert found.text == ""
    assert found.boxes == boxes


@pytest.mark.parametrize("spoilt", [{"x": "1"}, {"width": -1}, {"height": 1e9}, {"y": float("nan")}, {"x": True}])
def test_boxes_that_cannot_be_drawn_are_counted_by_label(spoilt: dict[str, Json]) -> None:
    boxes = Boxes((Box("cat", 0, 0, 1, 1), Box("dog", 0, 0, 1, 1), Box("cat", 2, 2, 1, 1)), 8, 8)
    part = noun_json(boxes)
    assert isinstance(part, dict) and isinstance(part["boxes"], list) and isinstance(part["boxes"][0], dict)
    part["boxes"][0].update(spoilt)
    found = shown([part])
    assert found.boxes is None
    assert found.text == "boxes: 2 × cat, dog"


def test_equal_references_stand_once_with_their_number() -> None:
    assert counted([noun_json(Text(t)) for t in ("yes", "no", "yes")]).text == "yes (2), no"
    assert counted([noun_json(Text(t)) for t in ("A dog.", "A cat.")]).text == "A dog.\nA cat."


def test_a_part_that_cannot_be_read_is_shown_as_it_stands() -> None:
    odd: list[Json] = [
        "words",
        {"type": "Image", "digest": "../../etc/passwd"},
        {"type": "Mask", "image": 3},
        {"type": "Text"},
    ]
    found = shown(odd)
    assert found.pictures == ()
    assert "../../etc/passwd" in found.text and '"image": 3' in found.text and '"words"' in found.text
