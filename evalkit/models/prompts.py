"""A request as a turn of chat: words and pictures in the order in which a model is shown them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from evalkit.errors import UsageError
from evalkit.interfaces import Option
from evalkit.models.knobs import Unanswerable
from evalkit.types import Image, Job, JsonScalar, Request, Text

TEXT_JOBS: tuple[Job, ...] = ("captioning", "vqa")
CAPTION_PROMPT = "Provide a one-sentence caption for the provided image."
"""Source: lmms-eval's COCO caption task."""
VQA_PROMPT = "{question}\nAnswer the question using a single word or phrase."
"""Source: LLaVA-1.5, and lmms-eval's VQAv2 task."""
LONGEST: Mapping[Job, int] = {"captioning": 96, "vqa": 32}
"""Tokens of an answer where the request names no limit."""
PROMPT_OPTIONS = (
    Option("caption_prompt", CAPTION_PROMPT, "what is said beside a picture that comes without words"),
    Option("vqa_prompt", VQA_PROMPT.replace("\n", "\\n"), r"what is said around a question; \n is a new line"),
    Option("system", "", "system message; none by default"),
)

Piece: TypeAlias = str | Image


@dataclass(frozen=True, slots=True)
class Prompts:
    """The words of the adapter, around those of the task."""

    caption: str
    vqa: str
    system: str

    @property
    def identity(self) -> dict[str, JsonScalar]:
        """All of them: other words are another model."""
        return {"caption_prompt": self.caption, "vqa_prompt": self.vqa, "system": self.system}

    def pieces(self, request: Request) -> list[Piece]:
        """Return what the user's turn holds: the request's parts in their order, the question inside its prompt.

        Raises:
            Unanswerable: the request holds something else than words and pictures.
        """
        pieces: list[Piece] = []
        for part in request.parts:
            if isinstance(part, Text):
                pieces.append(self.vqa.replace("{question}", part.text) if request.job == "vqa" else part.text)
            elif isinstance(part, Image):
                pieces.append(part)
            else:
                raise Unanswerable(f"a {type(part).__name__} cannot be shown to this model")
        if request.job == "captioning" and self.caption and not any(isinstance(piece, str) for piece in pieces):
            pieces.append(self.caption)
        return pieces


def prompts_of(options: Mapping[str, str]) -> Prompts:
    r"""Return the prompts that the options ask for; `\n` in them is a new line.

    Raises:
        UsageError: `vqa_prompt` has no place for the question.
    """
    said = {name: text.replace("\\n", "\n") for name, text in options.items()}
    vqa = said.get("vqa_prompt", VQA_PROMPT)
    if "{question}" not in vqa:
        raise UsageError(f"-a vqa_prompt={vqa!r} has no {{question}} in it; say where the question stands")
    return Prompts(said.get("caption_prompt", CAPTION_PROMPT), vqa, said.get("system", ""))


def cut(text: str, stops: tuple[str, ...]) -> str:
    """Return `text` up to the first of the stop strings, without white space around it.

    >>> cut(" two. Question: how", ("Question:", "Answer:"))
    'two.'
    """
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min(ends)].strip() if ends else text.strip()
