"""The words around a picture or question, as named templates.

What a model is told moves its number by points, so a template has a name, and its name and text stand in every
protocol. A changed text is another template, or a new version of each task that uses it: a test holds the rendered
requests of every task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evalkit.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template: `{question}` and `{ocr}` stand for what the item holds. Empty: the picture is shown without words."""

    name: str
    text: str

    @property
    def field(self) -> str:
        """What stands in protocols."""
        return f"{self.name}: {self.text}" if self.text else self.name

    @property
    def wants_ocr(self) -> bool:
        """Whether it shows the words that an OCR system read in the picture."""
        return "{ocr}" in self.text

    def words(self, values: Mapping[str, str]) -> str:
        """Return the prompt of one item; what its own text holds is not looked at again.

        >>> Prompt("example", "Q: {question}").words({"question": "what is {ocr}?"})
        'Q: what is {ocr}?'
        """
        return re.sub(r"\{(question|ocr)\}", lambda found: values[found[1]], self.text)


_SHORT = "Answer the question using a single word or phrase."

CAPTION_PROMPTS: Mapping[str, Prompt] = MappingProxyType(
    {
        one.name: one
        for one in (
            # lmms_eval/tasks/coco_cap of EvolvingLMMs-Lab/lmms-eval
            Prompt("one-sentence", "Provide a one-sentence caption for the provided image."),
            # arXiv:2309.02591, table 5
            Prompt("describe", "Describe the given picture."),
            Prompt("picture-only", ""),
        )
    }
)
"""For captioning, the default first."""

QUESTION_PROMPTS: Mapping[str, Prompt] = MappingProxyType(
    {
        one.name: one
        for one in (
            # LLaVA-1.5 (arXiv:2310.03744), which lmms-eval follows
            Prompt("short-answer", f"{{question}}\n{_SHORT}"),
            Prompt("bare", "{question}"),
            Prompt("question-answer", "Question: {question} Short answer:"),
            Prompt(
                "short-or-unanswerable",
                "{question}\nWhen the provided information is insufficient, respond with 'Unanswerable'.\n" + _SHORT,
            ),
            Prompt("short-answer-ocr", f"{{question}}\nReference OCR token: {{ocr}}\n{_SHORT}"),
        )
    }
)
"""For questions, the default first."""


def chosen_prompt(options: Mapping[str, str], known: Mapping[str, Prompt], default: str = "") -> Prompt:
    """Return the template that `-t prompt=` names, `default` (or the first) without it.

    Raises:
        UsageError: there is none of that name.
    """
    name = options.get("prompt") or default or next(iter(known))
    if name not in known:
        raise UsageError(f"-t prompt={name} is not known{nearest(name, known)}")
    return known[name]
