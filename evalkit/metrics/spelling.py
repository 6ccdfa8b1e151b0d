"""How far what was read is what was asked for: characters, words, and the whole text.

Both are compared in a normal form (`normal`): Unicode NFKC, case folded, apostrophes dropped, and every other sign that
is neither letter nor digit a blank. Readers lose blanks, so blanks between the words that were asked for do not count.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

VERSION = 1
"""Raised whenever any of these numbers, or the normal form, changes."""
NORMAL_FORM = "NFKC, case folded, letters and digits"

_APOSTROPHES = "'’‘`´"


def normal(text: str) -> str:
    """Return the words of `text` in lower case, without signs, one blank between them.

    >>> normal("Don't PANIC -- 24/7!")
    'dont panic 24 7'
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (letter if letter.isalnum() else " " for letter in folded if letter not in _APOSTROPHES)
    return " ".join("".join(kept).split())


def character_accuracy(asked: str, read: str) -> float:
    """Return 1 less the edit distance of both texts by the length of the longer one, without their blanks: 0 to 1.

    >>> character_accuracy("Hello", "hallo!")
    0.8

    Raises:
        ValueError: `asked` holds no letter or digit.
    """
    target, said = _joined(asked), _joined(read)
    _require_something(target)
    return 1 - edit_distance(target, said) / max(len(target), len(said))


def is_exact(asked: str, read: str) -> bool:
    """Return whether both texts have the same letters and digits in the same order, and nothing besides.

    >>> is_exact("Coffee Shop", "coffeeshop")
    True
    """
    return _joined(asked) == _joined(read)


def right_words(asked: str, read: str) -> tuple[int, int]:
    """Return how many of the words that were asked for are read, and how many there are.

    It is the larger of two counts: of the words that stand in the reading by themselves, in whatever order, and of
    those that `aligned_words` finds, whose blanks the reader may have lost.

    >>> right_words("the quick fox", "thequick fix"), right_words("the end", "end the")
    ((2, 3), (2, 2))

    Raises:
        ValueError: `asked` holds no letter or digit.
    """
    words, tokens = normal(asked).split(), normal(read).split()
    _require_something("".join(words))
    by_themselves = (Counter(words) & Counter(tokens)).total()
    return max(by_themselves, aligned_words(words, tokens)), len(words)


def aligned_words(words: Sequence[str], tokens: Sequence[str]) -> int:
    """Return how many of `words` are found where the edit distance aligns both texts, whatever the blanks.

    A word is found where all of its characters stand together, and beside them stands the end of a token, or what its
    neighbour was read as: of `helloworld` both words are found, of `shelloo` none.
    """
    target, said = "".join(words), "".join(tokens)
    breaks = {0, *accumulate(map(len, tokens))}
    places = [None, *alignment(target, said), None]
    right = 0
    for word, (start, end) in zip(words, pairwise((0, *accumulate(map(len, words)))), strict=True):
        first = places[start + 1]
        if first is None or places[start + 1 : end + 1] != list(range(first, first + len(word))):
            continue
        left_free = first in breaks or places[start] == first - 1
        right_free = first + len(word) in breaks or places[end + 1] == first + len(word)
        right += said[first : first + len(word)] == word and left_free and right_free
    return right


def edit_distance(a: str, b: str) -> int:
    """Return the least number of characters to insert, delete or replace to make `b` of `a`.

    >>> edit_distance("kitten", "sitting")
    3

    Source: Levenshtein 1966, Soviet Physics Doklady 10.
    """
    return int(_distances(a, b)[-1, -1])


def alignment(a: str, b: str) -> list[int | None]:
    """Return for each character of `a` the place in `b` of what it is kept or replaced as, None where it is deleted.

    Of the alignments with the least edits it is the one that, read from the end, keeps or replaces where it can.

    >>> alignment("cat", "chat")
    [0, 2, 3]
    """
    distances = _distances(a, b)
    places: list[int | None] = [None] * len(a)
    i, j = len(a), len(b)
    while i and j:
        if distances[i, j] == distances[i - 1, j - 1] + (a[i - 1] != b[j - 1]):
            i, j = i - 1, j - 1
            places[i] = j
        elif distances[i, j] == distances[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    return places


def _distances(a: str, b: str) -> npt.NDArray[np.int64]:
    """Return the edit distance of each two beginnings of `a` and `b`, `(len(a) + 1, len(b) + 1)`."""
    table = np.zeros((len(a) + 1, len(b) + 1), np.int64)
    table[0] = np.arange(len(b) + 1)
    letters, along = np.array(list(b), dtype="<U1"), np.arange(len(b) + 1)
    for i, letter in enumerate(a, start=1):
        best = np.minimum(table[i - 1, :-1] + (letters != letter), table[i - 1, 1:] + 1)
        # What an insertion gives is the least of what stands to the left, each place one more: a running minimum.
        table[i] = np.minimum.accumulate(np.concatenate([[i], best]) - along) + along
    return table


def _joined(text: str) -> str:
    return normal(text).replace(" ", "")


def _require_something(target: str) -> None:
    if not target:
        raise ValueError("the text that was asked for holds no letter or digit")
