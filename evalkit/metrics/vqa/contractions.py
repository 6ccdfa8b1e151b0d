"""The contractions that the VQA normaliser mends, quirks included.

Its table also has `Id've`, `I'dve`, `Im` and `Ive`, which no answer reaches since answers are in lower case by then,
and maps `let's` and `she's` to themselves; both kinds are left out here.

Source: vqaEval.py of GT-Vision-Lab/VQA, whose table the EvalAI processor shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_BARE = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's "
    "isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't should've "
    "shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd "
    "there're there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're what's what've "
    "when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all "
    "you'd you'll you're you've"
)
"""Mended when written with no apostrophe at all: `dont`."""

_ONE_MISSING = (
    "couldn't've hadn't've he'd've it'd've mightn't've 'ow's'at she'd've shouldn't've somebody'd've someone'd've "
    "something'd've there'd've they'd've we'd've who'd've wouldn't've y'all'll y'all'd've you'd've"
)
"""Mended when written with any one apostrophe missing: `couldnt've`."""


def _less_one(word: str) -> list[str]:
    return [word[:place] + word[place + 1 :] for place, letter in enumerate(word) if letter == "'"]


CONTRACTIONS: Mapping[str, str] = MappingProxyType(
    {
        **{word.replace("'", ""): word for word in _BARE.split()},
        **{missing: word for word in _ONE_MISSING.split() for missing in _less_one(word)},
        "somebody'd": "somebodyd",
    }
)
"""What each word becomes; `somebody'd` loses its apostrophe, as in the official table."""

_STRAIGHT = ("ain't", "aren't", "can't", "could've", "couldn't", "we've", "where's", "who've")
_STRAIGHT_KEYS = ("couldn'tve", "hadn'tve")


def _curly(text: str) -> str:
    return text.replace("'", "\u2019")


VIZWIZ_CONTRACTIONS: Mapping[str, str] = MappingProxyType(
    {
        key if key in _STRAIGHT_KEYS else _curly(key): word if word in _STRAIGHT else _curly(word)
        for key, word in CONTRACTIONS.items()
    }
)
"""The same table as VizWiz's evaluation has it: with curly apostrophes, but for eight words and two keys.

So an answer such as `dont` becomes one that no annotator typed.

Source: the VQA evaluation of the VizWiz API (Qing Li), as of the challenge.
"""
