r"""Captions as tokens: what coco-caption makes of them through Stanford's PTBTokenizer, without Java.

The reference is `edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase` of CoreNLP 3.4.1, a line a caption,
less coco-caption's list of punctuation. There a caption also sees the first words of the next one in the batch, which
decide about the period of a single letter or of `No.` at its very end (10 of the 25,014 captions of COCO val2017 end
so). Here its tokens depend on nothing but itself: it is read as if a caption that starts with `A` came next, as mostly
happens. `following` gives the real neighbour; with it all 25,014 are equal to the reference, without it all but one.

Fuzzing against the reference finds no difference any more. What is known not to be covered:

- abbreviations of more than four letters that no probe thought of;
- character entities other than those in the grammar, and smileys and URLs of more than the usual make.

Two differences are meant: a line end within a caption is a blank whatever its kind (in the reference a carriage return
or a vertical tab starts a new line and shifts all captions that follow), and a caption of blanks is the empty text.
"""

from __future__ import annotations

import re
from functools import cache

from evalkit.metrics.captions.abbreviations import special_words
from evalkit.metrics.captions.grammar import Rule, rules
from evalkit.metrics.captions.letters import Kinds

TOKENISER = "ptb-3.4.1"
"""Name of the tokeniser in protocols."""
TOKENISER_VERSION = 1
"""Raised whenever any text's tokens change."""
NEXT_CAPTION = "\nA "
"""What stands behind every caption, to be looked at only."""

PUNCTUATION = frozenset(
    ("''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";")
)
"""Tokens that coco-caption drops. It spells brackets in upper case and compares after lower-casing: they stay."""

_LINE_ENDS = re.compile(r"\r\n|[\n\r\u000b\u000c\u0085\u2028\u2029]")
_PLAIN_WORD = re.compile(r"[A-Za-z]+(?=[.,]?[ \n])")
"""No rule that starts at such a word reaches further, the special words aside."""
_CONTEXT_FREE = re.compile(r"[A-Za-z]+(?:['\-][A-Za-z]+)*[.,]?")


def treebank_tokens(text: str, following: str = "") -> list[str]:
    """Return the Penn Treebank's tokens of one line, in the case that they have; `following` is only looked at."""
    seen = text + following
    if not seen.isascii():
        seen = seen.translate(_kinds())
    tokens: list[str] = []
    position = 0
    while position < len(text):
        plain = _PLAIN_WORD.match(seen, position)
        if plain is not None and plain[0].lower() not in special_words():
            tokens.append(plain[0])
            position = plain.end()
            continue
        found = _longest(seen, position)
        if found is None:
            position += 1
            continue
        rule, end = found
        token = rule.write(text[position:end])
        if token:
            tokens.append(token)
        position = end - rule.again
    return tokens


@cache
def _kinds() -> Kinds:
    return Kinds()


def _longest(text: str, position: int) -> tuple[Rule, int] | None:
    best, reach = None, position
    for rule in rules():
        found = rule.pattern.match(text, position)
        if found is not None and found.end() > reach:
            best, reach = (rule, found.end(1)), found.end()
    return best


class CaptionTokeniser:
    """Makes captions into text of tokens with single blanks between; it remembers the words that it has seen.

    A word of letters, with hyphens or apostrophes within and at most one comma or period behind, has the same tokens
    everywhere unless it is an abbreviation. A caption of such words alone is put together from them.
    """

    def __init__(self) -> None:
        self._words = _Words()

    def __call__(self, caption: str, following: str = NEXT_CAPTION) -> str:
        """Return the caption's tokens in lower case, less `PUNCTUATION`, joined by blanks.

        >>> CaptionTokeniser()("A man (left) can't ride; the U.S. team's bike...")
        "a man -lrb- left -rrb- ca n't ride the u.s. team 's bike"
        """
        line = caption if caption.isprintable() else _LINE_ENDS.sub(" ", caption)
        pieces = [self._words[word] for word in line.split(" ")]
        if None in pieces:
            return _coco(treebank_tokens(line, following))
        return " ".join(filter(None, pieces))


class _Words(dict[str, str | None]):
    """The tokens of words, joined by blanks; None where they depend on what stands around the word."""

    def __missing__(self, word: str) -> str | None:
        made = self[word] = _context_free(word) if word else ""
        return made


def _context_free(word: str) -> str | None:
    bare = word[:-1] if word.endswith((".", ",")) else word
    if bare.isascii() and bare.isalpha() and bare.lower() not in special_words():
        return bare.lower()
    if _CONTEXT_FREE.fullmatch(word) is None:
        return None
    tokens = treebank_tokens(word, " a")
    if len(tokens[-1]) > 1 and tokens[-1].endswith("."):
        return None
    return _coco(tokens)


def _coco(tokens: list[str]) -> str:
    lowered = (token.lower() for token in tokens)
    return " ".join(token for token in lowered if token not in PUNCTUATION)
