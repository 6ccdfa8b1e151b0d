"""Parsed JSON as frozen dataclasses: every field there, of its own type, and nothing else."""

from __future__ import annotations

import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints


def parsed(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401  (the kind says what is returned)
    """Return `value`, of parsed JSON, as a `kind`: nothing is converted but a list to a tuple and an int to a float.

    Raises:
        ValueError: a field is missing, unknown or of another type; the message names it behind `where`.
    """
    if is_dataclass(kind):
        return _parsed_fields(kind, value, where)
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        if value in choices and isinstance(value, str):
            return value
        raise ValueError(f"{where} is {value!r}, not one of {', '.join(map(repr, choices))}")
    if get_origin(kind) is types.UnionType:
        return None if value is None else parsed(choices[0], value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} is {value!r}, not a list")
        return tuple(parsed(choices[0], part, f"{where}[{i}]") for i, part in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):  # type: ignore[arg-type]
        raise ValueError(f"{where} is {value!r}, not {'a number' if kind is float else f'of type {kind.__name__}'}")
    return value


def _parsed_fields(kind: Any, value: object, where: str) -> Any:  # noqa: ANN401
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'the config'} is {value!r}, not an object")
    lead = f"{where}." if where else ""
    known = {field.name: field for field in fields(kind)}
    unknown = [f"{lead}{name}" for name in value if name not in known]
    missing = [f"{lead}{name}" for name, field in known.items() if field.default is MISSING and name not in value]
    if unknown or missing:
        faults = [f"{what} {', '.join(names)}" for what, names in (("unknown", unknown), ("missing", missing)) if names]
        raise ValueError(f"fields are wrong: {'; '.join(faults)}")
    hints = get_type_hints(kind)
    return kind(**{name: parsed(hints[name], part, f"{lead}{name}") for name, part in value.items()})
