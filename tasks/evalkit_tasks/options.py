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


def whole_number(options: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    """Return the option's value as a whole number, `default` where it is not given.

    Raises:
        UsageError: it is no whole number of `least` or more.
    """
    text = options.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise UsageError(f"-t {name}={text} is not a whole number of {least} or more")
    return int(text)


def share(options: Mapping[str, str], name: str, default: float) -> float:
    """Return the option's value as a number from 0 to 1, `default` where it is not given.

    Raises:
        UsageError: it is none.
    """
    text = options.get(name) or str(default)
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"-t {name}={text} is not a number from 0 to 1") from error
    if not 0 <= value <= 1:
        raise UsageError(f"-t {name}={text} is not a number from 0 to 1")
    return value
