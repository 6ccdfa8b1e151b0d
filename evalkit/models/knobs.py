"""What users may set, read strictly: options by name, and the fields of a request that a model understands."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import fields

from evalkit.errors import UsageError, nearest
from evalkit.types import Failure, Request

ALWAYS = frozenset({"task", "sample_id", "job", "parts", "seed"})
"""Fields that are no knobs: every model takes them."""


class Unanswerable(Exception):
    """A request that this model cannot answer, whatever is tried; it becomes a `Failure` of `kind`."""

    def __init__(self, message: str, kind: str = "malformed") -> None:
        super().__init__(message)
        self.kind = kind

    def failure(self) -> Failure:
        """Return it as an answer."""
        return Failure(self.kind, str(self))


def require_known(request: Request, known: Collection[str]) -> None:
    """Return if every knob that `request` sets is among `known`: what would be ignored is refused.

    Raises:
        Unanswerable: one is not.
    """
    for f in fields(Request):
        value = getattr(request, f.name)
        if f.name not in ALWAYS and f.name not in known and value != f.default:
            raise Unanswerable(f"{f.name}={value!r} means nothing to this model for {request.job}; leave it out")


def choice(options: Mapping[str, str], name: str, values: Collection[str], default: str) -> str:
    """Return the option's value.

    Raises:
        UsageError: it is not one of `values`.
    """
    value = options.get(name) or default
    if value not in values:
        raise UsageError(f"-a {name}={value} is not known{nearest(value, values)}")
    return value


def asked(options: Mapping[str, str], name: str) -> bool:
    """Return whether the option says `yes`; without it `no`.

    Raises:
        UsageError: it says something else.
    """
    return choice(options, name, ("no", "yes"), "no") == "yes"


def whole(options: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    """Return the option as a whole number of `least` or more.

    Raises:
        UsageError: it is none.
    """
    text = options.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise UsageError(f"-a {name}={text} is not a whole number of {least} or more")
    return int(text)


def positive(options: Mapping[str, str], name: str) -> float | None:
    """Return the option as a number of 0 or more; None without it.

    Raises:
        UsageError: it is none.
    """
    text = options.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"-a {name}={text} is not a number of 0 or more")
    return value
