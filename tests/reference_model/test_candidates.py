"""The best of several answers: gathered whatever the order they come in, and chosen as the encoder ranks them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from cm3leon.candidates import gathered, nearest_picture, nearest_text

Pixels = npt.NDArray[np.uint8]


class Shade:
    """Has pictures and texts point where their brightness, or their number of letters in tens, does."""

    dimension = 2

    def texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        assert all(text.strip() for text in texts), "an encoder refuses empty texts"
        return self._turned([len(text) / 10 for text in texts])

    def pictures(self, pictures: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        return self._turned([float(picture.mean()) / 255 for picture in pictures])

    @staticmethod
    def _turned(shares: list[float]) -> npt.NDArray[np.float32]:
        return np.array([[np.cos(share), np.sin(share)] for share in shares], np.float32)


def light(level: int) -> Pixels:
    return np.full((4, 4, 3), level, np.uint8)


def test_candidates_come_together_in_their_order_once_the_last_is_there() -> None:
    seen: list[int] = []

    def made() -> Iterator[tuple[int, str]]:
        for number, one in ((3, "d"), (0, "a"), (4, "e"), (2, "c"), (1, "b")):
            seen.append(number)
            yield number, one

    found = [(*gathered_one, len(seen)) for gathered_one in gathered([7, 9, 7, 9, 8], made())]
    assert found == [(8, ["e"], 3), (7, ["a", "c"], 4), (9, ["b", "d"], 5)]


def test_the_nearest_picture_is_the_first_of_equals_and_needs_words_and_an_encoder() -> None:
    pictures = [light(10), light(130), light(130), light(250)]
    assert nearest_picture(Shade(), "fiver", pictures) == 1
    assert nearest_picture(Shade(), "ten letter", pictures) == 3
    assert nearest_picture(None, "ten letter", pictures) == nearest_picture(Shade(), " ", pictures) == 0


def test_the_nearest_text_is_the_first_of_equals_and_never_an_empty_one() -> None:
    texts = ["", "ten letter", "fiver", "other"]
    assert nearest_text(Shade(), light(130), texts) == 2
    assert nearest_text(Shade(), light(0), texts) == 2
    assert nearest_text(Shade(), light(0), ["", ""]) == nearest_text(None, light(130), texts) == 0
