"""What evalkit asks, as documents of CM3leon: one for each guidance stream. See `documents.py` for the wording.

`chameleon_prompts.py` is the same for Chameleon's layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

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
    ids_of,
    question_answering,
    retrieved,
    text_to_image,
)
from cm3leon.label_maps import painted
from cm3leon.vocab import Vocabulary
from evalkit.images import Pixels, pixels
from evalkit.models.knobs import Unanswerable
from evalkit.types import Boxes, Image, JsonScalar, LabelMap, Request, Text

Coder: TypeAlias = Callable[[Pixels], Sequence[int]]
"""A picture of the model's size as codes."""
Found: TypeAlias = Sequence[tuple[str, Sequence[int]]]
"""Retrieved documents: a caption and picture codes each."""
Ids: TypeAlias = tuple[int, ...]

DRAWN = Picture()
NOTHING: Document = text_to_image(MASKED, DRAWN)
"""What guidance is against where everything that was asked is taken away."""
_STRUCTURES: dict[str, Structure] = {"edges": "edges", "depth": "depth", "segmentation": "segmentation"}


class Layout(Protocol):
    """How a family of models is asked."""

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """What was chosen about its wording."""
        ...

    def streams(self, request: Request, found: Found) -> tuple[Ids, ...]:
        """Return the ids of each guidance stream, the wish itself first: see `cm3leon.generate.Prompt`.

        Raises:
            Unanswerable: the request lacks a part that its job needs.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns requests into documents for pictures of `side` pixels."""

    side: int
    code: Coder
    vocabulary: Vocabulary

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """Nothing: the wording is the paper's."""
        return {}

    def streams(self, request: Request, found: Found) -> tuple[Ids, ...]:
        """Return the ids of `documents`."""
        return tuple(tuple(ids_of(document, self.vocabulary)) for document in self.documents(request, found))

    def documents(self, request: Request, found: Found = ()) -> tuple[Document, ...]:
        """Return the document of each guidance stream, the wish itself first.

        Raises:
            Unanswerable: the request lacks a part that its job needs.
        """
        before = retrieved([(caption, Picture(codes)) for caption, codes in found])
        if request.job == "text-to-image":
            wish = words_of(request)
            other: Segment = (request.negative_prompt,) if request.negative_prompt else MASKED
            return (*before, *text_to_image((wish,), DRAWN)), (*before, *text_to_image(other, DRAWN))
        if request.job == "captioning":
            return (captioning(Slot(), self._picture(request), described=True),)
        if request.job == "vqa":
            return (question_answering([(words_of(request), Slot())], self._picture(request), 0),)
        if request.job == "text-guided-editing":
            source = self._picture(request)
            return editing(source, (words_of(request),), DRAWN), editing(source, MASKED, DRAWN), NOTHING
        if request.job == "object-to-image":
            return from_boxes(caption_of(request), self._boxes(request), DRAWN), NOTHING
        kind, shown = self._structure(request)
        caption = caption_of(request)
        return from_structure(kind, shown, (caption,) if caption else None, DRAWN), NOTHING

    def _picture(self, request: Request) -> Picture:
        return Picture(self.code(fitted(pixels(picture_of(request)), self.side)))

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


def caption_of(request: Request) -> str:
    """Return the words of a request, empty where it has none."""
    return " ".join(part.text for part in request.parts if isinstance(part, Text))


def words_of(request: Request) -> str:
    """Return the words of a request.

    Raises:
        Unanswerable: it has none.
    """
    words = caption_of(request)
    if not words.strip():
        raise Unanswerable(f"sample {request.sample_id} of {request.task} holds no words; {request.job} needs some")
    return words


def picture_of(request: Request) -> Image:
    """Return the one picture of a request.

    Raises:
        Unanswerable: it has none, or several.
    """
    shown = [part for part in request.parts if isinstance(part, Image)]
    if len(shown) != 1:
        raise Unanswerable(
            f"sample {request.sample_id} of {request.task} holds {len(shown)} pictures; {request.job} needs one"
        )
    return shown[0]


def fitted(picture: Pixels, side: int, filter_: PillowImage.Resampling = PillowImage.Resampling.LANCZOS) -> Pixels:
    """Return the middle square of a picture `(H, W, 3)` at `side` pixels: itself where it has that size."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = np.ascontiguousarray(picture[top : top + edge, left : left + edge])
    if edge == side:
        return square
    return np.asarray(PillowImage.fromarray(square).resize((side, side), filter_))
