"""JSON from outside, one value at a time: each function returns its argument if it is of that kind."""

from __future__ import annotations

from evalkit.types import Json


def an_object(value: Json) -> dict[str, Json]:
    """Return `value` if it is a JSON object, else raise TypeError."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return value


def a_list(value: Json) -> list[Json]:
    """Return `value` if it is a JSON array, else raise TypeError."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def a_text(value: Json) -> str:
    """Return `value` if it is a JSON string, else raise TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def a_whole_number(value: Json) -> int:
    """Return `value` if it is a whole JSON number, else raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def a_number(value: Json) -> float:
    """Return `value` if it is a JSON number, else raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is not a number")
    return value
