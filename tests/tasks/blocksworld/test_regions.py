"""Boxes, label maps, outlines and differences between pictures: closed forms, then pycocotools and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from sklearn.metrics import jaccard_score

from evalkit.metrics.means import Tally
from evalkit_tasks.blocksworld.scene import Block, scene
from evalkit_tasks.blocksworld.truth import edge_map, label_map
from evalkit_tasks.blocksworld_boxes import Boxed, iou, paired_ious
from evalkit_tasks.blocksworld_edges import boundary_match
from evalkit_tasks.blocksworld_edit import l1_inside
from evalkit_tasks.blocksworld_segmentation import CLASS_NAMES, overlaps

RED = Block("circle", "red", "large", "striped", 64, 64)


def test_iou_is_that_of_pycocotools() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.integers(0, 20, (40, 4)).astype(float)
    expected = coco_mask.iou(boxes, boxes, [0] * len(boxes))
    found = [[iou(tuple(a), tuple(b)) for b in boxes] for a in boxes]
    solid = boxes[:, 2] * boxes[:, 3] > 0
    assert np.array(found)[np.ix_(solid, solid)] == pytest.approx(expected[np.ix_(solid, solid)])
    assert iou((3, 3, 0, 0), (3, 3, 0, 0)) == 0


def test_boxes_are_paired_within_shape_and_colour_for_the_largest_sum() -> None:
    left, middle = (0.0, 0.0, 10.0, 10.0), (4.0, 0.0, 10.0, 10.0)
    asked = [Boxed(RED, left), Boxed(RED, middle)]
    # The second read box is nearer to the first asked one than the first is, but so the sum is largest.
    read = [Boxed(RED, (3.0, 0.0, 10.0, 10.0)), Boxed(RED, (1.0, 0.0, 10.0, 10.0))]
    assert paired_ious(asked, read) == pytest.approx([9 / 11, 9 / 11])
    for other in (replace(RED, shape="ring"), replace(RED, colour="pink")):
        assert paired_ious([Boxed(RED, left)], [Boxed(other, left)]) == [0]
    dull = replace(RED, texture="solid", size="small")
    assert paired_ious([Boxed(RED, left)], [Boxed(dull, left)]) == [1], "size and texture are not judged"
    assert paired_ious(asked, []) == []
    assert len(paired_ious(asked, read[:1])) == 1


def test_overlaps_are_those_of_the_jaccard_index() -> None:
    maps = [label_map(scene(seed, "hard")) for seed in range(12)]
    for asked, read in zip(maps, [*maps[3:], *maps[:3]], strict=True):
        found = overlaps(asked, read)
        for number, name in CLASS_NAMES.items():
            tally = found[f"iou_{name}"]
            if tally.of:
                expected = jaccard_score((asked == number).ravel(), (read == number).ravel())
                assert tally.got / tally.of == pytest.approx(expected)
            else:
                assert number not in {*asked.ravel(), *read.ravel()}


def lines(*columns: int) -> np.ndarray:
    plane = np.zeros((8, 8), np.bool_)
    plane[:, list(columns)] = True
    return plane


@pytest.mark.parametrize(
    ("found", "precision", "recall"),
    [
        (lines(3), 1, 1),
        (lines(4), 1, 1),
        (lines(5), 0, 0),
        (lines(3, 6), 1 / 2, 1),
        (lines(2, 3, 4, 5), 3 / 4, 1),
        (lines(3) & (np.arange(8) < 4)[:, None], 1, 5 / 8),
    ],
)
def test_an_outline_may_be_one_pixel_off(found: np.ndarray, precision: float, recall: float) -> None:
    tallies = boundary_match(lines(3), found)
    expected = 2 * precision * recall / (precision + recall) if precision else 0
    assert tallies["edge_f1"].got == pytest.approx(expected)
    assert tallies["edge_precision"].got / tallies["edge_precision"].of == pytest.approx(precision)
    assert tallies["edge_recall"].got / tallies["edge_recall"].of == pytest.approx(recall)


def test_a_picture_without_outlines_has_no_precision() -> None:
    tallies = boundary_match(edge_map(scene(3, "easy")), np.zeros((64, 64), np.bool_))
    assert tallies["edge_f1"] == Tally(0)
    assert tallies["edge_precision"].of == 0
    assert tallies["edge_recall"].got == 0


def test_differences_count_in_their_region_alone() -> None:
    source = np.full((4, 4, 3), 100, np.uint8)
    answer = source.copy()
    answer[0, 0] = (151, 100, 49)
    answer[3, 3] = 255
    region = np.zeros((4, 4), np.bool_)
    assert l1_inside(answer, source, region) == 0
    region[0, :2] = True
    assert l1_inside(answer, source, region) == pytest.approx(2 * 51 / 6 / 255)
    assert l1_inside(source, answer, region) == l1_inside(answer, source, region)
    larger = np.full((8, 8, 3), 100, np.uint8)
    assert l1_inside(larger, source, np.ones((4, 4), np.bool_)) == 0
