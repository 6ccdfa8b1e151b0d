"""Protocols: what must agree before two numbers may stand side by side.

A protocol is data: every choice that moves a number, by name. Its digest stands on each `Estimate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.errors import NotComparable
from evalkit.keys import digest
from evalkit.types import Json, JsonScalar


@dataclass(frozen=True, slots=True)
class Protocol:
    """A named set of choices. `fields` is sorted by name: build one with `protocol(...)`."""

    name: str
    fields: tuple[tuple[str, JsonScalar], ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the name and all fields."""
        document: Json = {"name": self.name, "fields": dict(self.fields)}
        return digest(document)

    def with_fields(self, fields: Mapping[str, JsonScalar]) -> Protocol:
        """Return this protocol with `fields` added or replaced."""
        return protocol(self.name, {**dict(self.fields), **fields})


def protocol(name: str, fields: Mapping[str, JsonScalar]) -> Protocol:
    """Return the protocol of that name and those fields."""
    return Protocol(name, tuple(sorted(fields.items())))


def differences(a: Protocol, b: Protocol) -> dict[str, tuple[JsonScalar, JsonScalar]]:
    """Return the fields in which `a` and `b` differ, with both values; None stands for a missing field.

    >>> differences(protocol("x", {"size": 256}), protocol("x", {"size": 299}))
    {'size': (256, 299)}
    """
    left: dict[str, JsonScalar] = {"name": a.name, **dict(a.fields)}
    right: dict[str, JsonScalar] = {"name": b.name, **dict(b.fields)}
    return {
        key: (left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    }


def require_comparable(a: Protocol, b: Protocol) -> None:
    """Return if `a` and `b` agree.

    Raises:
        NotComparable: they differ; the message names each field with both values.
    """
    found = differences(a, b)
    if found:
        listed = "; ".join(f"{key}: {x!r} against {y!r}" for key, (x, y) in found.items())
        raise NotComparable(f"the two numbers were made under different protocols ({listed})")
