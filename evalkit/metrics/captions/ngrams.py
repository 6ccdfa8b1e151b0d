"""N-grams of captions as numbers: equal n-grams have equal numbers, and each caption its counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

MAX_N = 4
"""Longest n-gram that BLEU and CIDEr-D count."""
_WORDS = 1 << 31
"""More than there can be words: a longer n-gram's code is (number of its start) * `_WORDS` + (number of its last)."""

Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Captions:
    """Tokenised captions as one array: `words` `(W,)` end to end, `lengths` `(C,)` of each in words."""

    words: Integers
    lengths: Integers


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each n-gram of one length stands in each text: rows sorted by text, then by n-gram, `(R,)` each."""

    text: Integers
    gram: Integers
    count: Integers

    def at(self, texts: Integers, grams: Integers) -> Integers:
        """Return how often each of `grams` stands in the text beside it, 0 where it does not."""
        if len(self.gram) == 0:
            return np.zeros_like(grams)
        stride = 1 + max(int(self.gram.max()), int(grams.max(initial=0)))
        keys, sought = self.text * stride + self.gram, texts * stride + grams
        places = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
        return np.where(keys[places] == sought, self.count[places], 0)


def vocabulary(known: Mapping[str, int]) -> defaultdict[str, int]:
    """Return the numbers of known words, in which an unknown word gets the next number when it is looked up."""
    numbers: defaultdict[str, int] = defaultdict(None, known)
    numbers.default_factory = numbers.__len__
    return numbers


def numbered(texts: Sequence[str], numbers: defaultdict[str, int]) -> Captions:
    """Return tokenised captions as the numbers of their words; `numbers` is a `vocabulary`, which takes up new words.

    Words are what `str.split` finds, as in coco-caption: a token with a no-break space in it (`23 3/4`) counts as two.
    """
    split = [text.split() for text in texts]
    lengths = np.fromiter(map(len, split), np.int64, len(split))
    words = map(numbers.__getitem__, chain.from_iterable(split))
    return Captions(np.fromiter(words, np.int64, int(lengths.sum())), lengths)


def gram_counts(captions: Captions, known: Sequence[Integers] = ()) -> tuple[tuple[Counts, ...], tuple[Integers, ...]]:
    """Return the counts of 1-grams to `MAX_N`-grams, and the codes of those that are new, in ascending order.

    `known` are the codes of 2-grams to `MAX_N`-grams that have a number already, their place; new ones follow.
    """
    words = captions.words
    owner = np.repeat(np.arange(len(captions.lengths)), captions.lengths)
    left = np.repeat(np.cumsum(captions.lengths), captions.lengths) - np.arange(len(words))
    places, grams = np.arange(len(words)), words
    counts, codes = [_counted(owner, words)], []
    for n in range(2, MAX_N + 1):
        longer = left[places] >= n
        places, grams = places[longer], grams[longer]
        grams, new = _numbers(grams * _WORDS + words[places + n - 1], known[n - 2] if known else words[:0])
        counts.append(_counted(owner[places], grams))
        codes.append(new)
    return tuple(counts), tuple(codes)


def _numbers(codes: Integers, known: Integers) -> tuple[Integers, Integers]:
    if len(known) == 0:
        new, numbers = np.unique(codes, return_inverse=True)
        return numbers, new
    places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    unknown = known[places] != codes
    new, numbers = np.unique(codes[unknown], return_inverse=True)
    places[unknown] = len(known) + numbers
    return places, new


def _counted(owner: Integers, grams: Integers) -> Counts:
    stride = 1 + int(grams.max(initial=0))
    keys, counts = np.unique(owner * stride + grams, return_counts=True)
    return Counts(keys // stride, keys % stride, counts)
