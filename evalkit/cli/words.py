"""Numbers, sizes and durations as people read them, and text in columns."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from evalkit.errors import UsageError
from evalkit.types import Json

GAP = "  "
LEAST_ROOM = 8
"""Columns that the last cell gets however wide the others are."""


def number(value: float) -> str:
    """Return `value` with five significant digits.

    >>> number(110.28082617), number(-0.00067925), number(500.0), number(1234567.0)
    ('110.28', '-0.00067925', '500', '1,234,567')
    """
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.5g}"


def size(count: int) -> str:
    """Return `count` bytes in the largest decimal unit that leaves at least 1.

    >>> size(999), size(80_000_000), size(1_250_000_000)
    ('999 B', '80 MB', '1.2 GB')
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.2g} {unit}" if value < 10 and unit != "B" else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.2g} TB" if value < 10 else f"{value:.0f} TB"


def duration(seconds: float) -> str:
    """Return `seconds` in the two largest units.

    >>> duration(0.25), duration(41), duration(125), duration(7260), duration(180000)
    ('0.2 s', '41 s', '2 min 5 s', '2 h 1 min', '2 d 2 h')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for name, length, part, below in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {name} {whole % length // below} {part}"
    return f"{whole} s"


def quantity(count: float, unit: str) -> str:
    """Return how many of a `unit`, which is bytes where it is `B`.

    >>> quantity(1, "image"), quantity(3, "entry"), quantity(0.5, "image"), quantity(2000, "B")
    ('1 image', '3 entries', '0.50 images', '2 kB')
    """
    if unit == "B":
        return size(round(count))
    shown = f"{count:,.0f}" if count >= 100 or count == int(count) else f"{count:.2f}" if count < 1 else f"{count:.1f}"
    several = f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"
    return f"{shown} {unit if count == 1 else several}"


def key_values(flag: str, items: Iterable[str]) -> dict[str, str]:
    """Return the `name=value` pairs of a repeated flag; commas may also part them.

    >>> key_values("-a", ["size=64,by=sample", "stop=a,b"])
    {'size': '64', 'by': 'sample', 'stop': 'a,b'}

    Raises:
        UsageError: an item is not `name=value`, or a name stands twice.
    """
    found: dict[str, str] = {}
    for item in items:
        for pair in re.split(r",(?=[A-Za-z_][\w-]*=)", item):
            name, equals, value = pair.partition("=")
            if not equals or not name:
                raise UsageError(f"{flag} {pair!r} is not name=value; write it as {flag} {name or 'name'}=VALUE")
            if name in found:
                raise UsageError(f"{flag} {name} is given twice ({found[name]!r} and {value!r}); keep one")
            found[name] = value
    return found


def page_width() -> int | None:
    """Return how many columns standard output has, None where it is not a terminal."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def columns(rows: Sequence[Sequence[str]], width: int | None, indent: str = "") -> str:
    """Return `rows` as aligned columns, the last one wrapped so that lines fit in `width` (None: no wrapping).

    >>> print(columns([("a", "one two three"), ("bcd", "four")], 12))
    a    one two
         three
    bcd  four
    """
    widths = [max((len(cell) for cell in column), default=0) for column in list(zip(*rows, strict=True))[:-1]]
    lines = []
    for *cells, last in rows:
        head = indent + "".join(cell.ljust(wide) + GAP for cell, wide in zip(cells, widths, strict=True))
        room = None if width is None else max(LEAST_ROOM, width - len(head))
        parts = [last] if room is None else textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False)
        lines += [(head if i == 0 else " " * len(head)) + part for i, part in enumerate(parts or [""])]
    return "\n".join(line.rstrip() for line in lines)


def print_json(document: Json, file: TextIO) -> None:
    """Write `document` as indented JSON."""
    print(json.dumps(document, indent=1, ensure_ascii=False), file=file)
