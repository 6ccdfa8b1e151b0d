"""Text of others made safe to look at: nothing hides, nothing reorders its neighbours, nothing goes on for ever.

Escaping for HTML or Markdown is the page's own work; this is about characters that no escaping touches.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 600
"""Characters of one text that a page shows."""
LONGEST_NAME = 80
"""Characters of the name of a model, a task or an estimate that a report shows."""

_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, overrides of the writing direction, halves of surrogate pairs, and non-characters."""


def visible(text: str) -> str:
    r"""Return `text` with each control character, direction override and lone surrogate as a mark that can be seen.

    >>> visible("a\x00b\u202ec")
    'a␀b⟨U+202E⟩c'
    """
    return _HIDDEN.sub(lambda match: _mark(match.group()), text.replace("\r\n", "\n").replace("\r", "\n"))


def _mark(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return `text`, its end replaced by a count of what is missing where it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    cut = longest
    while cut > longest - 20 and unicodedata.combining(text[cut]):
        cut -= 1
    return f"{text[:cut]}… ({len(text) - cut:,} more characters)"


def label(text: str, longest: int = 40) -> str:
    """Return `text` as one line of at most `longest` characters, for names in plots and attributes."""
    line = " ".join(visible(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
