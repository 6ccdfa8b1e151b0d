from __future__ import annotations

import numpy as np

from evalkit_tasks.blocksworld.render import render
from evalkit_tasks.blocksworld.scene import HELD_OUT_SEEDS, STRATA, is_held_out, scene
from evalkit_tasks.blocksworld.training import training_items, training_scene


def test_items_are_numbered_scenes_of_all_strata() -> None:
    items = list(training_items(6))
    assert [item.id for item in items] == [f"train-{i}" for i in range(6)]
    for index, item in enumerate(items):
        drawn = training_scene(index, STRATA[index % 3])
        assert drawn == scene(HELD_OUT_SEEDS + index, STRATA[index % 3])
        assert np.array_equal(item.pixels, render(drawn))
        assert len(item.captions) == 5


def test_a_later_start_continues_the_same_stream() -> None:
    assert [i.captions for i in training_items(4)][2:] == [i.captions for i in training_items(2, first=2)]


def test_no_training_scene_is_held_out() -> None:
    assert not any(is_held_out(training_scene(i, stratum)) for stratum in STRATA for i in range(60))
