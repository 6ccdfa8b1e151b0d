"""Painted label maps: a colour a class, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from cm3leon.label_maps import painted, palette


def test_the_first_colours_are_those_of_pascal_voc() -> None:
    wanted = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert [tuple(colour) for colour in palette()[:7].tolist()] == wanted
    assert palette()[255].tolist() == [224, 224, 192]


def test_every_class_has_a_colour_of_its_own() -> None:
    assert len({tuple(colour) for colour in palette().tolist()}) == 256


def test_each_pixel_is_painted_in_its_class() -> None:
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    assert painted(labels).tolist() == [[[0, 0, 0], [128, 0, 0]], [[0, 128, 0], [224, 224, 192]]]


@pytest.mark.parametrize("worst", [-1, 256])
def test_a_class_that_has_no_colour_is_refused(worst: int) -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        painted(np.array([[0, worst]]))
