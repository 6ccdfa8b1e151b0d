from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import STRATA, Background, Block, Stratum, arranged, scene
from evalkit_tasks.blocksworld.truth import (
    CLASSES,
    box_around,
    depth_map,
    edge_map,
    instances,
    label_map,
    label_picture,
    outlines,
    picture,
)

WHITE = Background("white", "plain")
FAR = Block("square", "red", "large", "solid", 128, 100)
NEAR = Block("square", "blue", "large", "solid", 128, 140)


def test_instances_hold_what_is_visible() -> None:
    far, near = instances(arranged([NEAR, FAR], WHITE))
    assert (far.block, near.block) == (FAR, NEAR)
    assert near.box == (22, 25, 20, 20)
    assert near.area == 400
    assert far.box == (22, 15, 20, 10)
    assert far.area == 200


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools under NumPy 2
@pytest.mark.parametrize("stratum", STRATA)
def test_run_lengths_decode_to_the_mask_they_stand_for(stratum: Stratum) -> None:
    for seed in range(20):
        for instance in instances(scene(seed, stratum)):
            (height, width), counts = instance.rle()
            encoded = {"size": [height, width], "counts": counts.encode()}
            assert np.array_equal(coco_mask.decode(encoded).astype(bool), instance.inside)
            assert coco_mask.area(encoded) == instance.area
            assert tuple(coco_mask.toBbox(encoded)) == instance.box


def test_the_label_map_is_the_union_of_the_instances() -> None:
    for seed in range(20):
        drawn = scene(seed, "hard")
        labels = label_map(drawn)
        for instance in instances(drawn):
            assert (labels[instance.inside] == CLASSES[instance.block.shape]).all()
        covered = np.logical_or.reduce([i.inside for i in instances(drawn)])
        assert ((labels > 0) == covered).all()


def test_a_mask_lies_on_the_pixels_of_its_block() -> None:
    drawn = arranged([Block("star", "red", "large", "solid", 120, 120)], WHITE)
    seen = (render(drawn) != 255).any(axis=2)
    (star,) = instances(drawn)
    assert (star.inside <= seen).all()
    assert star.area >= 0.6 * seen.sum()


def test_edges_run_around_each_block_and_between_touching_ones() -> None:
    edges = edge_map(arranged([FAR, NEAR], WHITE))
    assert edges[24, 22:42].all()
    assert edges[14, 22:42].all()
    assert not edges[26:43, 23:40].any()
    assert not edge_map(arranged([], WHITE)).any()


def test_outlines_stand_where_right_or_lower_neighbours_differ() -> None:
    labels = np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]])
    assert outlines(labels).astype(int).tolist() == [[0, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_lower_blocks_are_nearer_and_the_background_is_farthest() -> None:
    depth = depth_map(arranged([FAR, NEAR], WHITE))
    assert depth[0, 0] == 0
    assert depth[20, 30] == 64 + 191 * 100 // 256
    assert depth[30, 30] == 64 + 191 * 140 // 256


def test_an_empty_mask_has_an_empty_box() -> None:
    assert box_around(np.zeros((4, 4), bool)) == (0, 0, 0, 0)


def test_maps_become_pictures() -> None:
    assert picture(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]
    assert label_picture(np.array([[7, 0]], np.uint8)).tolist() == [[[7, 0, 0], [0, 0, 0]]]
