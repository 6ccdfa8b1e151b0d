"""Values of `-t key=value`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.errors import UsageError, nearest


def one_of(options: Mapping[str, str], name: str, values: Sequence[str]) -> str:
    """Return the option's value, the first of `values` where it is not given.

    Raises:
        UsageError: it is none of `values`.
    """
    value = options.get(name) or values[0]
    if value not in values:
        raise UsageError(f"-t {name}={value} is not known{nearest(value, values)}")
    return value
