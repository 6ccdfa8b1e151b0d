"""The fields of configs that others wrote, each taken with its type checked and never guessed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cm3leon.tensor_files import CheckpointError

_Value = TypeVar("_Value", int, float, bool, str)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a config that others wrote, each taken with its type checked."""

    path: Path
    values: Mapping[str, object]

    def take(self, name: str, kind: type[_Value], default: _Value | None = None) -> _Value:
        """Return a field, `default` where it is absent or null.

        Raises:
            CheckpointError: it is absent without a default, or of another type.
        """
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if kind is float and type(value) is int:
            return kind(value)
        if type(value) is not kind:
            raise CheckpointError(f"{self.path}: {name} is {value!r}, not of type {kind.__name__}")
        return value

    def numbers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Return a field that is a list of whole numbers, `default` where it is absent or null.

        Raises:
            CheckpointError: it is absent without a default, or of another type.
        """
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, list) or any(type(number) is not int for number in value):
            raise CheckpointError(f"{self.path}: {name} is {value!r}, not a list of whole numbers")
        return tuple(value)

    def within(self, name: str) -> Fields:
        """Return the fields of the object that a field holds.

        Raises:
            CheckpointError: it is absent, or no object.
        """
        return fields_of(self.path, self.values.get(name), name)

    def must(self, name: str, allowed: Collection[object]) -> None:
        """Check that a field, null where it is absent, has a value that this model knows.

        Raises:
            CheckpointError: it has another.
        """
        value = self.values.get(name)
        if value not in allowed:
            known = ", ".join(repr(value) for value in allowed if value is not None) or "none"
            raise CheckpointError(f"{self.path}: {name} is {value!r}, which this model does not know (known: {known})")


def fields_of(path: Path, value: object, name: str = "its content") -> Fields:
    """Return the fields of an object of a parsed file.

    Raises:
        CheckpointError: it is no object.
    """
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: {name} is {type(value).__name__}, not an object")
    return Fields(path, value)
