r"""Answers as they are compared: the official VQA normaliser and its relatives, bug for bug.

| protocol | prediction | people's answers | normalised |
|---|---|---|---|
| `vqa-official` | cleaned | cleaned | both, unless the people's answers are all the same |
| `evalai` | EvalAI | EvalAI | always |
| `lmms` | EvalAI | cleaned | both (the prediction once more), unless the people's answers are all the same |
| `vizwiz-official` | VizWiz | as they are | the prediction alone, always |

*Cleaned* has line feeds and tabs as blanks and its ends stripped. *EvalAI* lower-cases, drops `,` and `?`, sets `'s`
off, and normalises. *VizWiz* cleans and normalises, with curly apostrophes in its contractions. So of the first three
the cases that differ are answers that all people agree on: `vqa-official` compares them raw and with their case, `lmms`
compares the raw one with the normalised prediction, `evalai` normalises both.

The quirks that are kept, each of which moves real scores:

- a sign is deleted if it stands beside a blank, or if a comma between digits is anywhere in the text; else it becomes
  a blank (`a/b` is `a b`, `1,000/b` is `1000b`);
- a period goes unless a digit follows it: the look-behind of the original is mistyped and never blocks. Only the first
  32 periods go, since a flag stands where the count belongs;
- number words from `none` to `ten` become digits, before articles are dropped and contractions mended.

Source: vqaEval.py of GT-Vision-Lab/VQA at a013f00 (written for Python 2, where `\d` is ASCII only);
EvalAIAnswerProcessor of facebookresearch/mmf at c46b3b3; lmms_eval/tasks/vqav2/utils.py of EvolvingLMMs-Lab/lmms-eval
at 0393078; the VQA evaluation of the VizWiz API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from evalkit.errors import UsageError, nearest
from evalkit.metrics.vqa.contractions import CONTRACTIONS, VIZWIZ_CONTRACTIONS

Reading: TypeAlias = Literal["cleaned", "evalai", "vizwiz", "raw"]

NORMALISER_VERSION = 1
"""Raised whenever any answer's normal form changes."""

_SIGNS = ';/[]"{}()=+\\_-><@`,?!'
_SIGN = re.compile(f"[{re.escape(_SIGNS)}]")
_NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        word: str(number)
        for number, word in enumerate(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
    }
    | {"none": "0", "ten": "10"}
)
_ARTICLES = frozenset(("a", "an", "the"))
_PERIODS = 32
_OFFICIAL_COMMA = re.compile("[0-9],[0-9]")
_OFFICIAL_PERIOD = re.compile(r"\.(?![0-9])")
_EVALAI_COMMA = re.compile(r"\d,+(?=\d)")
_VIZWIZ_COMMA = re.compile(r"\d,\d")
_EVALAI_PERIOD = re.compile(r"\.(?!\d)")


def cleaned(text: str) -> str:
    """Return the text on one line, its ends stripped."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def official(text: str) -> str:
    """Return the official normal form of a cleaned answer.

    >>> [official(text) for text in ("The 1,000 dogs.", "black/white", "dont know", "two (2)")]
    ['1000 dogs', 'black white', "don't know", '2 2']
    """
    return _plain_words(_without_signs(text, _OFFICIAL_COMMA, _OFFICIAL_PERIOD))


def evalai_normal(text: str) -> str:
    """Return the normal form of the EvalAI processor without its first step: digits of any script, runs of commas."""
    return _plain_words(_without_signs(text, _EVALAI_COMMA, _EVALAI_PERIOD))


def evalai(text: str) -> str:
    """Return what the EvalAI processor makes of a raw answer.

    >>> evalai("The dog's, really?")
    "dog 's really"
    """
    words = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return evalai_normal(cleaned(words))


def vizwiz(text: str) -> str:
    """Return what VizWiz's evaluation makes of a prediction; people's answers it leaves as they are.

    >>> vizwiz("The dont, know")
    'don’t know'
    """
    return _plain_words(_without_signs(cleaned(text), _VIZWIZ_COMMA, _EVALAI_PERIOD), VIZWIZ_CONTRACTIONS)


def _raw(text: str) -> str:
    return text


def _without_signs(text: str, comma: re.Pattern[str], period: re.Pattern[str]) -> str:
    if _SIGN.search(text) is None:
        return period.sub("", text, count=_PERIODS)
    deletes = comma.search(text) is not None
    found = text
    for sign in _SIGNS:
        beside_blank = f"{sign} " in text or f" {sign}" in text
        found = found.replace(sign, "" if deletes or beside_blank else " ")
    return period.sub("", found, count=_PERIODS)


def _plain_words(text: str, contractions: Mapping[str, str] = CONTRACTIONS) -> str:
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(contractions.get(word, word) for word in words if word not in _ARTICLES)


@dataclass(frozen=True, slots=True)
class VqaProtocol:
    """How answers are compared: how each side is read, and how both are normalised unless people all agree.

    `normal` is None where reading is all. `annotators` is how many answers a question must have.
    """

    name: str
    prediction: Reading
    answers: Reading
    normal: Literal["official", "evalai"] | None
    annotators: int = 10


VQA_PROTOCOLS: Mapping[str, VqaProtocol] = MappingProxyType(
    {
        one.name: one
        for one in (
            VqaProtocol("vqa-official", "cleaned", "cleaned", "official"),
            VqaProtocol("evalai", "evalai", "evalai", None),
            VqaProtocol("lmms", "evalai", "cleaned", "evalai"),
            VqaProtocol("vizwiz-official", "vizwiz", "raw", None),
        )
    }
)
"""By name; the first is the default."""

READINGS: Mapping[Reading, Callable[[str], str]] = MappingProxyType(
    {"cleaned": cleaned, "evalai": evalai, "vizwiz": vizwiz, "raw": _raw}
)
NORMALS: Mapping[str, Callable[[str], str]] = MappingProxyType({"official": official, "evalai": evalai_normal})


def vqa_protocol(name: str) -> VqaProtocol:
    """Return the VQA protocol of that name.

    Raises:
        UsageError: there is none; the message has the nearest name.
    """
    if name in VQA_PROTOCOLS:
        return VQA_PROTOCOLS[name]
    raise UsageError(f"no VQA protocol named {name!r}{nearest(name, VQA_PROTOCOLS)}")
