"""The OCR on really drawn text, its pinned models, and the order in which it reads."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from evalkit.errors import WeightsError
from evalkit.features.ocr import MODELS, Doubles, Ocr, reading_order, require_models
from evalkit.images import image_of
from evalkit.types import Image


@pytest.fixture(scope="module")
def ocr() -> Ocr:
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `ocr` is not installed")
    reader = Ocr()
    reader.prepare()
    return reader


def drawn(*pieces: tuple[int, int, str], side: int = 256) -> Image:
    """White with texts at places, in the font that Pillow holds."""
    picture = PillowImage.new("RGB", (side, side), "white")
    for x, y, text in pieces:
        ImageDraw.Draw(picture).text((x, y), text, fill="black", font=ImageFont.load_default(40))
    return image_of(np.asarray(picture))


def test_drawn_words_are_read_line_by_line(ocr: Ocr) -> None:
    assert ocr.texts(drawn((20, 160, "GARDEN"), (20, 30, "Hello"), (150, 30, "42"))) == ("Hello", "42", "GARDEN")


def test_a_picture_without_words_reads_as_nothing(ocr: Ocr) -> None:
    for side in (1, 64):
        assert ocr.texts(image_of(np.full((side, side, 3), 255, np.uint8))) == ()


def test_the_protocol_names_package_and_models(ocr: Ocr) -> None:
    fields = ocr.protocol_fields
    assert str(fields["ocr"]).startswith("rapidocr-onnxruntime 1.")
    assert set(MODELS.values()) <= set(fields.values())


def test_other_models_than_the_pinned_are_an_error(tmp_path: Path) -> None:
    (tmp_path / next(iter(MODELS))).write_bytes(b"another model")
    with pytest.raises(
        WeightsError, match=r"det_infer\.onnx should have SHA-256 d2a7720d\w+ and has \w{64}: pip install"
    ):
        require_models(tmp_path)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)  # which is how Python notes that there is none
    with pytest.raises(WeightsError, match=r"needs rapidocr-onnxruntime .*pip install 'evalkit-multimodal\[ocr\]'"):
        Ocr().prepare()


def box(x: float, y: float, width: float, height: float) -> Doubles:
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])


def test_boxes_are_read_by_lines_whatever_their_heights() -> None:
    flat, tall, below = box(60, 6, 20, 8), box(10, 5, 40, 20), box(0, 40, 80, 20)
    assert reading_order([below, flat, tall]) == [2, 1, 0]
    assert reading_order([]) == []


def test_boxes_of_no_height_are_read_too() -> None:
    assert reading_order([box(0, 5, 1, 0), box(0, 2, 1, 0)]) == [1, 0]
