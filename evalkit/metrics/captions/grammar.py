r"""What a token is: the rules of the Penn Treebank tokeniser of Stanford CoreNLP 3.4.1, as observed.

At each position every rule is tried; the one that reaches furthest wins and, of equals, the first. A rule reaches over
its context too (what is behind group 1), but only group 1 becomes the token. They read a text in which a character that
stands for its kind replaces each one beyond ASCII (`evalkit.metrics.captions.letters`). They come from the Treebank's
published conventions and from the reference's answers to probes and to fuzzing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from evalkit.metrics.captions import writing
from evalkit.metrics.captions.abbreviations import (
    ENDING,
    ENDING_CAPITALISED,
    ENDING_SPELT,
    NUMBERED,
    STARTERS,
    TITLES,
    TITLES_SPELT,
)
from evalkit.metrics.captions.letters import CAPITAL, DIGIT, LETTER, MARK, SYMBOL

Write: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """Group 1 of `pattern` is a token, written by `write`; its last `again` characters are read once more."""

    pattern: re.Pattern[str]
    write: Write
    again: int = 0


def _caseless(words: str) -> str:
    return "(?ai:" + "|".join(words.split()).replace(".", r"\.") + ")"


def _capitalised(words: str) -> str:
    return "(?:" + "|".join(f"{word[0].upper()}(?ai:{re.escape(word[1:])})" for word in words.split()) + ")"


_A, _D, _M = f"A-Za-z{LETTER}{CAPITAL}", f"0-9{DIGIT}", rf"{MARK}\u00ad"
_CAPITAL = f"[A-Z{CAPITAL}]"
_PLAIN = f"[{_A}{_D}]"

# words
_LETTERS = f"[{_A}{_M}][{_A}{_M}{_D}]*"
WORD = rf"{_LETTERS}(?:[.!?]{_LETTERS})*"
APOSTROPHE = r"(?:['\u0092\u2019]|&apos;)"
QUOTE = r"(?:['`\u0091\u0092\u2018\u2019\u201b]|&apos;)"
_VERB = f"{APOSTROPHE}(?:[msdMSD]|(?ai:re|ve|ll))"
_NOT = f"[nN]{QUOTE}[tT]"
_PIECE = f"(?:[dDlLoO]{QUOTE}{_PLAIN})?{_PLAIN}+"
THING = rf"{_PIECE}(?:[\-_\u058a\u2010\u2011]{_PIECE})*"
_SHORT = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_SLASHED = rf"{_SHORT}(?:\\?/{_SHORT}){{1,2}}"
_JOINED = r"[A-Z]+(?:(?:[+&]|(?ai:&amp;))[A-Z]+)+"
_HYPHENATED = r"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9\u00ad]+))+"
_FILE_ENDINGS = (
    "bat bmp c class cgi cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl png ppt ps py sql "
    "tar txt wav x xml zip wm[va]"
)
_FILE = rf"[{_A}{_M}{_D}]+(?:\.[{_A}{_M}{_D}]+)*\.{_caseless(_FILE_ENDINGS)}"

# blanks and tags
_BLANK = r"[ \t\u00a0\u2000-\u200a\u3000]"
_LINE_END = r"(?:\r\n|[\n\r\u2028\u2029\u000b\u000c\u0085])"
_GAP = f"(?:{_BLANK}|{_LINE_END})"
_NAME = r"[A-Za-z][A-Za-z0-9_:.\-]*"
_ATTRIBUTE = rf"""[ \r\n]+{_NAME}(?:[ \r\n]*=[ \r\n]*(?:'[^']*'|"[^"]*"))?"""
_TAG = rf"<(?:/{_NAME}|{_NAME}(?:{_ATTRIBUTE})*[ \r\n]*/?|[!?][A-Za-z\-][^>\r\n]*)[ \r\n]*>"
_SENTENCE = f"{_GAP}(?:{_GAP}|{_CAPITAL}|{_TAG})"
_ACRONYM_SENTENCE = rf"{_GAP}+(?:{_capitalised(STARTERS)}|{_TAG}){_GAP}"

# abbreviations
_ENDING = rf"(?:{_caseless(ENDING)}|{_capitalised(ENDING_CAPITALISED)}|{ENDING_SPELT})\."
_TITLE = rf"(?:{_caseless(TITLES)}|{TITLES_SPELT})\."
_UNION = _caseless("(?:canada|sino|korean|eu|japan|non)-u.s u.s.-u.k u.s.-u.s.s.r")
_ACRONYM = rf"(?:[A-Za-z](?:\.[A-Za-z])+|{_UNION})\."

# numbers
_NUMBER = rf"(?:[{_D}]*(?:[.,:\u00ad\u066b\u066c][{_D}]+)+|[{_D}]+)"
_PHONE = (
    r"(?:(?:\([0-9]{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:[0-9]{2,4}[\- \u00a0])?[0-9]{2,4}[\- \u00a0])"
    r"[0-9]{3,4}[\- \u00a0]?[0-9]{3,5}|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5})"
)

# the net
_STOP = r""" \t\n\f\r"<>|"""
_URL_END = rf"[^{_STOP}.!?(){{}},\-]"
_URL = rf"(?ai:https?://)[^{_STOP}(){{}}]+{_URL_END}"
_SITE = (
    rf"(?:(?ai:www)\.(?:[^{_STOP}.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}"
    rf"|(?:[^{_STOP}`'.!?(){{}},-_$]+\.)+(?ai:com|net|org|edu))(?:/[^{_STOP}()]+{_URL_END})?"
)
_MAIL_PART = r"""[^ \t\n\f\r"<>|(){}.\u00a0]+"""
_MAIL = rf"""(?:&lt;|<)?[a-zA-Z0-9][^ \t\n\f\r"<>|()\u00a0{{}}]*@(?:{_MAIL_PART}\.)*{_MAIL_PART}(?:&gt;|>)?"""

# signs
_DOUBLE_QUOTE = r"""(?:"|(?ai:&quot;))"""
_QUOTES = r"(?:&apos;|''|'|[`\u2018-\u201f\u0091-\u0094\u2039\u203a\u00ab\u00bb]{1,2})"
_SMILEY = r"[<>]?[:;=][\-o*']?[()DPdpO\\{@|\[\]]"
_EYES = r"[\-\^x=~<>']"
_ASIAN_SMILEY = rf"(?:[\^x=~<>]\.\[\^x=~<>]|{_EYES}_{_EYES}|\({_EYES}[_.]?{_EYES}\)|\([\^x=~<>']-[\^x=~<>'`]\))"


_AS = writing.as_it_is
_SOFT = writing.without_soft_hyphens

_TABLE: tuple[tuple[str, Write, int], ...] = (
    (r"((?ai:c\+\+))", _AS, 0),
    (r"((?ai:[cf])#)", _AS, 0),
    (f"({_TAG})", writing.unbroken, 0),
    (r"((?ai:&(?:md|mdash|ndash);)|[\u0096\u0097\u2013-\u2015])", writing.dash, 0),
    (r"((?ai:&amp;))", writing.entities, 0),
    (r"((?ai:&(?:ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);))", _AS, 0),
    (f"({WORD}){_VERB}", _SOFT, 0),
    (f"([A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*){_NOT}", _SOFT, 0),
    (r"((?ai:can))(?ai:not)", _AS, 0),
    (r"((?ai:gon|wan))(?ai:na)", _AS, 0),
    (r"((?ai:got))(?ai:ta)", _AS, 0),
    (r"((?ai:lem|gim))(?ai:me)", _AS, 0),
    (r"('[tT])(?ai:is|was)", _AS, 0),
    (f"({WORD})", _SOFT, 0),
    (rf"({APOSTROPHE}[nN]{APOSTROPHE}?|[lLdDjJ]{APOSTROPHE}|(?ai:dunkin|somethin|ol){APOSTROPHE})", _AS, 0),
    (
        rf"({APOSTROPHE}(?ai:em|till?|[2-9]0s)|[cC]{APOSTROPHE}(?ai:mon)|(?ai:e{APOSTROPHE}er|o{APOSTROPHE}o|nat{APOSTROPHE}l))",
        _AS,
        0,
    ),
    (rf"('[0-9][0-9]){_GAP}", _AS, 0),
    (rf"([nA-HJ-XZ]{QUOTE}[{_A}]{{2,}})", _AS, 0),
    (rf"([{_A}]+[aeiouyAEIOUY]{QUOTE}[aeiouA-Z][{_A}]*)", _AS, 0),
    (rf"([yY]{APOSTROPHE})[{_A}]", _AS, 0),
    (f"({_URL})", _AS, 0),
    (f"({_SITE})", _AS, 0),
    (f"({_MAIL})", _AS, 0),
    (rf"(@[a-zA-Z_][a-zA-Z_0-9]*|#[{_A}{_M}]+)", _AS, 0),
    (f"({_VERB})[^A-Za-z]", writing.quotes, 0),
    (f"({_NOT})[^A-Za-z]", writing.quotes, 0),
    (rf"([{_D}]{{1,2}}[\-/][{_D}]{{1,2}}[\-/][{_D}]{{2,4}})", _AS, 0),
    (rf"([\-+]?{_NUMBER})", _SOFT, 0),
    (r"([\u207a\u207b\u208a\u208b]?(?:[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|[\u2080-\u2089]+))", _AS, 0),
    (rf"((?:[{_D}]{{1,4}}[\- \u00a0])?[{_D}]{{1,4}}(?:\\?/|\u2044)[{_D}]{{1,4}})", writing.unbroken, 0),
    (r"([\u00bc-\u00be\u2153\u2154])", writing.fraction, 0),
    (
        r"(-(?ai:[rl][rcs]b)-|(?ai:c\.d\.s|pro-|anti-|s(?:&|&amp;)p-500|s(?:&|&amp;)ls|cap'n|c'est))",
        writing.entities,
        0,
    ),
    (f"({_SLASHED})", _AS, 0),
    (r"([A-Z]*\$|#)", _AS, 0),
    (r"([\u00a2-\u00a5\u0080\u20a0\u20a4\u20ac])", writing.money, 0),
    (f"({_ENDING}){_SENTENCE}", _AS, 1),
    (rf"({_ENDING})[\s\S][\s\S]", _AS, 0),
    (f"({_ENDING})", _AS, 1),
    (f"({_TITLE})", _AS, 0),
    (rf"({_caseless(NUMBERED)}\.)[{_D}]", _AS, 0),
    (rf"({_caseless(NUMBERED)}\.){_GAP}[{_D}]", _AS, 0),
    (rf"([A-Za-z]\.)(?!{_ACRONYM_SENTENCE})", _AS, 0),
    (f"({_ACRONYM}){_ACRONYM_SENTENCE}", _AS, 1),
    (f"({_ACRONYM})", _AS, 0),
    (rf"({_FILE})(?:{_GAP}|[.?!,])", _AS, 0),
    (rf"({WORD}\.)[,;:\u3001]", _SOFT, 0),
    (f"({_PHONE})", writing.bracketed, 0),
    (f"({_DOUBLE_QUOTE})[A-Za-z0-9$]", writing.opening, 0),
    (f"({_DOUBLE_QUOTE})", writing.closing, 0),
    (rf"({_BLANK}+|(?ai:&nbsp;))", writing.nothing, 0),
    (r"(<|>|(?ai:&lt;|&gt;))", writing.entities, 0),
    (rf"({_SMILEY})[^A-Za-z0-9]", writing.bracketed, 0),
    (f"({_ASIAN_SMILEY})", writing.bracketed, 0),
    (r"([(){}\[\]])", writing.bracket, 0),
    (r"(-+)", writing.hyphens, 0),
    (r"(\.{3,5}|[\u0085\u2026]|(?:\.[ \u00a0]){2,4}\.)", writing.ellipsis, 0),
    (r"(@+|#+|_+)", _AS, 0),
    (r"(\*+|(?:\\\*){1,3})", _AS, 0),
    (r"([,;:\u3001])", _AS, 0),
    (r"([?!]+)", _AS, 0),
    (r"(\.)", _AS, 0),
    (f"({_HYPHENATED})", _SOFT, 0),
    (rf"({_HYPHENATED}\.)[,;:\u3001]", _SOFT, 0),
    (rf"({THING}\.)[,;:\u3001]", _SOFT, 0),
    (f"({THING})", _SOFT, 0),
    (rf"({_JOINED}\.)[,;:\u3001]", writing.entities, 0),
    (f"({_JOINED})", writing.entities, 0),
    (r"(')[A-Za-z][^ \t\n\r\u00a0]", writing.opening_single, 0),
    (f"({_VERB}|{_NOT})", writing.quotes, 0),
    (f"({_QUOTES})", writing.quotes, 0),
    (r"(<<|>>)", _AS, 0),
    (rf"([=/+%&~\^|\\\u207a\u207b\u208a\u208b{SYMBOL}])", _AS, 0),
)
"""Pattern, how it is written, and how many characters are read once more; in the order of precedence."""


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules in the order of their precedence."""
    return tuple(Rule(re.compile(pattern), write, again) for pattern, write, again in _TABLE)
