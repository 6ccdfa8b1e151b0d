"""Training records: every part tells of the same scene, and none of them is held out."""

from __future__ import annotations

import numpy as np

from evalkit_tasks.blocksworld.oracle import read
from evalkit_tasks.blocksworld.scene import is_held_out
from evalkit_tasks.blocksworld.training import box_label, training_items, training_record


def test_a_record_and_an_item_of_one_number_are_the_same_scene() -> None:
    for number, item in enumerate(training_items(6)):
        record = training_record(number)
        assert np.array_equal(record.pixels(), item.pixels) and record.captions() == item.captions
        assert not is_held_out(record.scene)


def test_every_map_tells_of_the_same_blocks() -> None:
    for number in range(12):
        record = training_record(number)
        labels = record.labels()
        inside = labels > 0
        assert np.array_equal(record.depth()[:, :, 0] > 0, inside)
        assert np.array_equal(record.kinds() > 0, inside)
        assert np.array_equal((record.kinds()[inside] - 1) // 3 + 1, labels[inside])
        assert record.edges()[:, :, 0].any() and set(np.unique(record.edges())) == {0, 255}


def test_boxes_are_named_as_the_benchmark_names_them() -> None:
    record = training_record(2)
    assert [label for label, _ in record.boxes()] == [box_label(block) for block in record.scene.blocks]
    assert record.boxes()[0][0] == "large yellow star"
    for (_, (x, y, width, height)), block in zip(record.boxes(), record.scene.blocks, strict=True):
        assert abs(4 * x + 2 * width - block.x) <= 30 and abs(4 * y + 2 * height - block.y) <= 30


def test_an_edit_changes_the_picture_and_can_be_read() -> None:
    edits = [(number, edit) for number in range(12) if (edit := training_record(number).edit()) is not None]
    assert len(edits) > 8
    for number, (instruction, after) in edits:
        assert instruction.endswith(".") and not np.array_equal(after, training_record(number).pixels())
        assert len(read(after).blocks) >= 1
