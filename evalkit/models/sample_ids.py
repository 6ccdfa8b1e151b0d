"""What an answer made elsewhere may be named by, and which samples such names answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Matched:
    """Samples that have no answer, and names that answer no sample; both in their own order."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]


def bare(name: str) -> str:
    """Return `name` without leading zeros where it is a number.

    >>> bare("000000397133"), bare("0"), bare("s007")
    ('397133', '0', 's007')
    """
    return name.lstrip("0") or "0" if name.isdecimal() else name


def names_of(sample_id: str, by: str) -> list[str]:
    """Return the names under which the answer to a sample may stand, the first that exists being taken.

    >>> names_of("397133-37", "auto"), names_of("397133-37", "image")
    (['397133-37', '37'], ['397133'])
    """
    pieces = sample_id.split("-")
    ways = {
        "manifest": [sample_id],
        "sample": [bare(sample_id)],
        "caption": [bare(pieces[-1])],
        "image": [bare(pieces[0])],
        "auto": [bare(sample_id), bare(pieces[-1])],
    }
    return list(dict.fromkeys(ways[by]))


def matched(names: Collection[str], by: str, sample_ids: Iterable[str]) -> Matched:
    """Return which of `sample_ids` no name answers, and which of `names` answer none of them."""
    missing, used = [], set()
    for sample_id in sample_ids:
        name = next((name for name in names_of(sample_id, by) if name in names), None)
        if name is None:
            missing.append(sample_id)
        else:
            used.add(name)
    return Matched(tuple(missing), tuple(name for name in names if name not in used))
