"""What evalkit asks, in the layout of Chameleon and Anole: words and pictures in turn, and an end of turn behind them.

    <s> <racm3:break> 1,024 codes <eoss> words <reserved08706>

Words are written behind that until the model ends its turn or its document. For a picture to be drawn another
`<racm3:break>` follows, and all of its codes. Guidance is against the same without words, then without anything:

    <s> <racm3:break> 1,024 codes <eoss> <racm3:break>
    <s> <racm3:break>

Source: facebookresearch/chameleon, inference/chameleon.py at e3b711e; GAIR-NLP/anole, text2image.py at 16b958a.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cm3leon.chameleon import cut
from cm3leon.prompts import Coder, Found, Ids, picture_of, words_of
from cm3leon.vocab import Vocabulary
from evalkit.images import pixels
from evalkit.models.knobs import Unanswerable
from evalkit.models.prompts import TEXT_JOBS, Prompts
from evalkit.types import Image, Job, JsonScalar, Request

DRAWING_JOBS: tuple[Job, ...] = ("text-to-image", "text-guided-editing")


@dataclass(frozen=True, slots=True)
class ChameleonReader:
    """Turns requests into ids for pictures of `side` pixels."""

    side: int
    code: Coder
    vocabulary: Vocabulary
    end_of_turn: int
    prompts: Prompts
    """What is said around a question, and beside a picture that is to be captioned: models are trained on no one
    wording, so it is evalkit's for every model."""

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The prompts."""
        return {"caption_prompt": self.prompts.caption, "vqa_prompt": self.prompts.vqa}

    def streams(self, request: Request, found: Found) -> tuple[Ids, ...]:
        """Return the ids of each guidance stream, the wish itself first; nothing is retrieved for this model.

        Raises:
            Unanswerable: the request lacks a part that its job needs, or has one that it has no place for.
        """
        if request.job not in (*TEXT_JOBS, *DRAWING_JOBS):
            raise Unanswerable(f"this model was not made for {request.job}")
        marks = self.vocabulary.marks
        if request.job != "captioning":
            words_of(request)
        if request.job == "text-to-image":
            return self._from_words(request)
        shown = self._shown(picture_of(request))
        turn: list[int] = []
        for piece in self.prompts.pieces(request):
            turn += shown if isinstance(piece, Image) else self._said(piece)
        asked = self._turn(turn)
        if request.job in TEXT_JOBS:
            return (asked,)
        return (*asked, marks.break_), (marks.eod, *shown, marks.break_), (marks.eod, marks.break_)

    def _from_words(self, request: Request) -> tuple[Ids, Ids]:
        """Return a wish for a picture, and what it is guided away from: nothing, or what it is not to be."""
        marks = self.vocabulary.marks
        if any(isinstance(part, Image) for part in request.parts):
            raise Unanswerable(f"sample {request.sample_id} of {request.task} holds pictures; {request.job} takes none")
        wish = [token for piece in self.prompts.pieces(request) for token in self._said(str(piece))]
        other = self._turn(self._said(request.negative_prompt)) if request.negative_prompt else (marks.eod,)
        return (*self._turn(wish), marks.break_), (*other, marks.break_)

    def _turn(self, ids: list[int]) -> Ids:
        return (self.vocabulary.marks.eod, *ids, self.end_of_turn)

    def _shown(self, picture: Image) -> list[int]:
        codes = self.code(cut(pixels(picture), self.side))
        marks = self.vocabulary.marks
        return [marks.break_, *self.vocabulary.image(codes), marks.span_end]

    def _said(self, words: str) -> list[int]:
        try:
            return self.vocabulary.encode(words)
        except ValueError as error:
            raise Unanswerable(str(error)) from error
