"""Of several candidates for an answer, the one that the dual encoder finds nearest to what was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from cm3leon.retrieval import Embedder, Pixels

Candidate = TypeVar("Candidate")


def gathered(wished: Sequence[int], made: Iterable[tuple[int, Candidate]]) -> Iterator[tuple[int, list[Candidate]]]:
    """Yield each answer's number with its candidates, in their order, once the last of them is there.

    Candidate i is for answer `wished[i]`; `made` yields each i once, in any order, with what was made of it.
    """
    waiting = Counter(wished)
    found: dict[int, dict[int, Candidate]] = {}
    for number, candidate in made:
        answer = wished[number]
        found.setdefault(answer, {})[number] = candidate
        if len(found[answer]) == waiting[answer]:
            yield answer, [one for _, one in sorted(found.pop(answer).items())]


def nearest_picture(embedder: Embedder | None, words: str, pictures: Sequence[Pixels]) -> int:
    """Return which picture is nearest to the words: the first of one, of equals, or where nothing can rank them."""
    if len(pictures) == 1 or embedder is None or not words.strip():
        return 0
    return int(np.argmax(embedder.pictures(pictures) @ embedder.texts([words])[0]))


def nearest_text(embedder: Embedder | None, picture: Pixels, texts: Sequence[str]) -> int:
    """Return which text is nearest to the picture: the first of equals, or where nothing can rank them.

    Empty texts are never nearest, unless all are.
    """
    told = [number for number, text in enumerate(texts) if text]
    if not told or embedder is None:
        return 0
    scores = embedder.texts([texts[number] for number in told]) @ embedder.pictures([picture])[0]
    return told[int(np.argmax(scores))]
