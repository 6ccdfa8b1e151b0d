"""Which of its estimates a metric makes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from evalkit.errors import UsageError, nearest


def chosen_names(known: Sequence[str], wanted: Collection[str] | None) -> tuple[str, ...]:
    """Return those of the `known` estimates that are wanted, in their order; None wants all.

    >>> chosen_names(("fid", "kid", "recall"), {"recall", "fid"})
    ('fid', 'recall')

    Raises:
        UsageError: an unknown name is wanted.
    """
    for name in wanted or ():
        if name not in known:
            raise UsageError(f"no estimate named {name!r}{nearest(name, known)}")
    return tuple(name for name in known if wanted is None or name in wanted)
