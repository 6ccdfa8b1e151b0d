"""Outlines: what covers a pixel and by how much, whatever the colours."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cm3leon.outlines import outlines
from evalkit_tasks.blocksworld.render import GROUND_TONES, PALETTE, accent

SIDE = 8


def tone(colour: tuple[int, int, int]) -> Tensor:
    return torch.tensor(colour)[:, None, None] / 127.5 - 1


def cover() -> Tensor:
    """Return the share `(16, 16)` of each pixel that a disc covers, smoothed at its edge."""
    steps = torch.arange(16) - 6.3
    return (5.5 - (steps[:, None] ** 2 + steps**2).sqrt()).clamp(0, 1)


GROUNDS = [tones[i] for tones in GROUND_TONES.values() for i in (0, 1)]


@pytest.mark.parametrize("ground", GROUNDS, ids=str)
def test_the_share_of_an_object_is_told_whatever_its_hue_and_its_ground(ground: tuple[int, int, int]) -> None:
    share = cover()
    for colour in PALETTE.values():
        told = outlines(((1 - share) * tone(ground) + share * tone(colour))[None], SIDE)[0]
        assert torch.allclose(told[0], share, atol=0.02), colour
        assert told[1].abs().max() < 0.02 and not told[2].any()


def test_darker_stripes_are_told_from_the_rest_of_an_object() -> None:
    for name, colour in PALETTE.items():
        picture = tone(colour).expand(3, 8, 8).clone()
        picture[:, ::4] = tone(accent(name))
        told = outlines(picture[None], SIDE)[0, 0]
        assert torch.allclose(told[1], torch.ones(8)) and (told[0] - 9 / 16).abs().max() < 0.01


def test_two_objects_that_meet_are_told_apart_by_their_hues() -> None:
    """As vivid as each other and equally large, they differ across the hue that lies between theirs alone."""
    red, green = (torch.tensor(colour)[:, None, None] for colour in ((0.6, -0.3, -0.3), (-0.3, 0.6, -0.3)))
    told = outlines(torch.cat((red.expand(3, 8, 4), green.expand(3, 8, 4)), 2)[None], SIDE)[0]
    left, right = told[:, 0, 0], told[:, 0, 7]
    assert left[0] == pytest.approx(right[0].item(), abs=1e-5)
    assert left[1] == pytest.approx(-right[1].item(), abs=1e-5) and abs(left[1]) > 0.5
    for part in (told[:, :, :4], told[:, :, 4:]):
        assert torch.equal(part, part[:, :1, :1].expand_as(part))


@pytest.mark.parametrize("ground", [(20, 20, 20), (255, 255, 255)])
def test_drawings_without_colour_are_told_by_their_brightness(ground: tuple[int, int, int]) -> None:
    share = cover()
    other = tuple(255 - value for value in ground)
    told = outlines(((1 - share) * tone(ground) + share * tone((other[0], other[1], other[2])))[None], SIDE)[0]
    lighter = share if ground[0] < 128 else 1 - share
    assert told[:2].abs().max() < 1e-5
    for down in (0, 8):
        for across in (0, 8):
            square = lighter[down : down + 8, across : across + 8]
            told_square = told[2, down : down + 8, across : across + 8]
            assert torch.allclose(told_square, (square - square.min()) / (square.max() - square.min()), atol=0.01)


def test_the_shading_of_a_ground_is_not_told() -> None:
    for first, second in GROUND_TONES.values():
        fall = torch.linspace(0, 1, 64)[:, None]
        picture = ((1 - fall) * tone(first) + fall * tone(second)).expand(3, 64, 64)
        assert outlines(picture[None], SIDE).abs().max() < 0.02


def test_each_square_is_told_by_itself() -> None:
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    pictures[1, :, 8:, :8] *= 0.5
    told = outlines(pictures, SIDE)
    alone = outlines(pictures[1:, :, 8:, :8], SIDE)
    assert torch.equal(told[1:, :, 8:, :8], alone) and told.abs().max() <= 1.001
