"""The errors that evalkit raises on purpose.

    EvalkitError
    ├── UsageError            the caller can fix it: an unknown name, a wrong flag, an impossible choice
    ├── DataError             an input is missing, malformed, or its digest differs from the pinned one
    ├── CacheError            a stored entry is damaged, or the store cannot be written or read
    ├── WeightsError          a weight file is missing, damaged, or of another architecture
    ├── RunError              a run cannot go on or ended with failed samples
    ├── NotEnoughSamples      an estimator was asked about fewer samples than it is defined for
    └── NotComparable         two numbers were put side by side whose protocols differ

A message says what is wrong, with the value, and the next step to take. The command line prints the message
without a traceback and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EvalkitError(Exception):
    """The root of the tree: catch this to catch everything that evalkit raises on purpose."""


class UsageError(EvalkitError):
    """The caller can fix it: an unknown name, a wrong flag, an impossible choice."""


class DataError(EvalkitError):
    """An input is missing, malformed, or its digest differs from the pinned one."""


class CacheError(EvalkitError):
    """A stored entry is damaged, or the store cannot be written or read."""


class WeightsError(EvalkitError):
    """A weight file is missing, damaged, or of another architecture."""


class RunError(EvalkitError):
    """A run cannot go on or ended with failed samples."""


class NotEnoughSamples(EvalkitError):
    """An estimator was asked about fewer samples than it is defined for."""


class NotComparable(EvalkitError):
    """Two numbers were put side by side whose protocols differ."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return words that offer the known name nearest to `name`, or all known names where none is near.

    >>> nearest("coco_fdi", ["coco_fid", "vqav2"])
    "; did you mean 'coco_fid'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(names)}" if names else ""
