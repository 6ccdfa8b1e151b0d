"""How a matched piece of text is written as a token: the Treebank's escapes for brackets, quotes, dashes and money."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_BRACKETS: Mapping[str, str] = MappingProxyType(
    {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}
)
_QUOTES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys("\u0091\u2018\u201b\u2039", "`"),
        **dict.fromkeys("\u0092\u2019\u203a", "'"),
        **dict.fromkeys("\u0093\u201c\u00ab", "``"),
        **dict.fromkeys("\u0094\u201d\u00bb", "''"),
    }
)
_MONEY: Mapping[str, str] = MappingProxyType(
    {"\u00a2": "cents", "\u00a3": "#", **dict.fromkeys("\u0080\u00a4\u20a0\u20ac", "$")}
)
_FRACTIONS: Mapping[str, str] = MappingProxyType(
    {"\u00bc": "1/4", "\u00bd": "1/2", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
)
_ENTITIES: Mapping[str, str] = MappingProxyType({"&amp;": "&", "&apos;": "'", "&lt;": "<", "&gt;": ">"})
_ENTITY = re.compile("|".join(_ENTITIES), re.IGNORECASE | re.ASCII)


def as_it_is(text: str) -> str:
    """Return the text."""
    return text


def nothing(_: str) -> str:
    """Return no token: what is read only separates."""
    return ""


def without_soft_hyphens(text: str) -> str:
    """Return the text less its soft hyphens, a hyphen if it is nothing else."""
    return text.replace("\u00ad", "") or "-"


def unbroken(text: str) -> str:
    """Return the text, each blank or line end a no-break space: it stays one token."""
    return re.sub("[ \r\n]", "\u00a0", text)


def bracketed(text: str) -> str:
    """Return the text with the Treebank's names for its round brackets, its blanks no-break spaces."""
    return unbroken(text).replace("(", "-LRB-").replace(")", "-RRB-")


def bracket(text: str) -> str:
    """Return the Treebank's name for a bracket."""
    return _BRACKETS[text]


def quotes(text: str) -> str:
    """Return the text with LaTeX's quotes for all others."""
    return "".join(_QUOTES.get(one, one) for one in entities(text))


def entities(text: str) -> str:
    """Return the text with what `&amp;`, `&apos;`, `&lt;` and `&gt;` stand for."""
    return _ENTITY.sub(lambda found: _ENTITIES[found[0].lower()], text)


def money(text: str) -> str:
    """Return what the Treebank writes for a sign of currency."""
    return _MONEY.get(text, text)


def fraction(text: str) -> str:
    """Return a fraction's sign as numbers with a stroke; rarer ones as they are."""
    return _FRACTIONS.get(text, text)


def dash(_: str) -> str:
    """Return the Treebank's dash."""
    return "--"


def hyphens(text: str) -> str:
    """Return a dash for three or four hyphens, else the hyphens."""
    return "--" if 3 <= len(text) <= 4 else text


def ellipsis(_: str) -> str:
    """Return the Treebank's ellipsis."""
    return "..."


def opening(_: str) -> str:
    """Return the opening double quote."""
    return "``"


def closing(_: str) -> str:
    """Return the closing double quote."""
    return "''"


def opening_single(_: str) -> str:
    """Return the opening single quote."""
    return "`"
