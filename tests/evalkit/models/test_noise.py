"""Laws of the noise model: its pictures depend on the seed alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.images import pixels
from evalkit.models.noise import noise_model
from evalkit.types import Generation, Image, Request, Text
from evalkit.workspace import Workspace


def picture(seed: int, size: str = "32", width: int | None = None) -> Image:
    model = noise_model(Workspace(cache=Path("unused")), "", {"size": size})
    request = Request("t@1", "s", "text-to-image", (Text("x"),), seed, width=width)
    ((_, answer),) = model.generate([request])
    assert isinstance(answer, Generation)
    (part,) = answer.parts
    assert isinstance(part, Image)
    return part


def test_the_seed_alone_decides_the_picture() -> None:
    assert picture(1) == picture(1)
    assert picture(1) != picture(2)


def test_the_picture_has_the_size_that_was_asked_for() -> None:
    assert pixels(picture(1)).shape == (32, 32, 3)
    assert pixels(picture(1, width=20)).shape == (32, 20, 3)


def test_the_noise_is_uniform() -> None:
    values = pixels(picture(3, size="256"))
    assert abs(float(values.mean()) - 127.5) < 1
    assert int(values.min()) == 0
    assert int(values.max()) == 255


@pytest.mark.parametrize("size", ["0", "-3", "1.5", "many", "100000"])
def test_a_size_that_is_none_is_an_error(size: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        picture(1, size)
