"""What evalkit asks, as documents of the model: one for each guidance stream.

Only this file and `adapter.py` know evalkit's nouns; see `documents.py` for the wording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image as PillowImage

from cm3leon.documents import (
    MASKED,
    Document,
    Picture,
    Segment,
    Slot,
    Structure,
    captioning,
    editing,
    from_boxes,
    from_structure,
    question_answering,
    retrieved,
    text_to_image,
)
from cm3leon.label_maps import painted
from evalkit.images import Pixels, pixels
from evalkit.types import Boxes, Image, LabelMap, Request, Text

Coder: TypeAlias = Callable[[Pixels], Sequence[int]]
"""A picture of the model's size as codes."""
Found: TypeAlias = Sequence[tuple[str, Sequence[int]]]
"""Retrieved documents: a caption and picture codes each."""

DRAWN = Picture()
NOTHING: Document = text_to_image(MASKED, DRAWN)
"""What guidance is against where everything that was asked is taken away."""
_STRUCTURES: dict[str, Structure] = {"edges": "edges", "depth": "depth", "segmentation": "segmentation"}


class Unanswerable(ValueError):
    """A request that this model cannot answer; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns requests into documents for pictures of `side` pixels."""

    side: int
    code: Coder

    def documents(self, request: Request, found: Found = ()) -> tuple[Document, ...]:
        """Return the document of each guidance stream, the wish itself first.

        Raises:
            Unanswerable: the request lacks a part that its job needs.
        """
        before = retrieved([(caption, Picture(codes)) for caption, codes in found])
        if request.job == "text-to-image":
            wish = self._words(request)
            other: Segment = (request.negative_prompt,) if request.negative_prompt else MASKED
            return (*before, *text_to_image((wish,), DRAWN)), (*before, *text_to_image(other, DRAWN))
        if request.job == "captioning":
            return (captioning(Slot(), self._picture(request), described=True),)
        if request.job == "vqa":
            return (question_answering([(self._words(request), Slot())], self._picture(request), 0),)
        if request.job == "text-guided-editing":
            source = self._picture(request)
            return editing(source, (self._words(request),), DRAWN), editing(source, MASKED, DRAWN), NOTHING
        if request.job == "object-to-image":
            return from_boxes(self._caption(request), self._boxes(request), DRAWN), NOTHING
        kind, shown = self._structure(request)
        caption = self._caption(request)
        return from_structure(kind, shown, (caption,) if caption else None, DRAWN), NOTHING

    def _caption(self, request: Request) -> str:
        return " ".join(part.text for part in request.parts if isinstance(part, Text))

    def _words(self, request: Request) -> str:
        words = self._caption(request)
        if not words.strip():
            raise Unanswerable(f"sample {request.sample_id} of {request.task} holds no words; {request.job} needs some")
        return words

    def _picture(self, request: Request) -> Picture:
        shown = [part for part in request.parts if isinstance(part, Image)]
        if len(shown) != 1:
            raise Unanswerable(
                f"sample {request.sample_id} of {request.task} holds {len(shown)} pictures; {request.job} needs one"
            )
        return Picture(self.code(fitted(pixels(shown[0]), self.side)))

    def _structure(self, request: Request) -> tuple[Structure, Picture]:
        for part in request.parts:
            if isinstance(part, LabelMap):
                coded = fitted(pixels(part.image), self.side, PillowImage.Resampling.NEAREST).astype(np.int64)
                labels = coded[:, :, 0] + 256 * coded[:, :, 1] + 65536 * coded[:, :, 2]
                if int(labels.max()) > 255:
                    raise Unanswerable(f"a label map holds class {int(labels.max())}; this model knows 0 to 255")
                return "segmentation", Picture(self.code(painted(labels)))
            if isinstance(part, Image) and part.role in _STRUCTURES:
                return _STRUCTURES[part.role], Picture(self.code(fitted(pixels(part), self.side)))
        raise Unanswerable(f"sample {request.sample_id} of {request.task} holds no label map, edges or depth")

    def _boxes(self, request: Request) -> list[tuple[str, tuple[int, int, int, int]]]:
        found = []
        for part in request.parts:
            if isinstance(part, Boxes):
                across, down = self.side / part.width, self.side / part.height
                for box in part.boxes:
                    left, right = round(box.x * across), round((box.x + box.width) * across)
                    top, bottom = round(box.y * down), round((box.y + box.height) * down)
                    found.append((box.label, (left, top, right, bottom)))
        if not found:
            raise Unanswerable(f"sample {request.sample_id} of {request.task} holds no boxes; {request.job} needs some")
        return found


def fitted(picture: Pixels, side: int, filter_: PillowImage.Resampling = PillowImage.Resampling.LANCZOS) -> Pixels:
    """Return the middle square of a picture `(H, W, 3)` at `side` pixels: itself where it has that size."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = np.ascontiguousarray(picture[top : top + edge, left : left + edge])
    if edge == side:
        return square
    return np.asarray(PillowImage.fromarray(square).resize((side, side), filter_))
