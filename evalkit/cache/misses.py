"""Why a request is not answered from the cache: field by field, against the nearest answer that is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evalkit.cache.store import Cache
from evalkit.keys import canonical_json, digest, key_document
from evalkit.types import Json, JsonScalar, Request


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands for a field that one side does not have; it is not the same as a field that is None."""

    def __str__(self) -> str:
        return "(absent)"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of the key that differs, by its dotted name: `request.seed`, `model.weights`, `request.parts.0.text`."""

    field: str
    asked: JsonScalar | Absent
    stored: JsonScalar | Absent


@dataclass(frozen=True, slots=True)
class Miss:
    """How a request's key stands to what is stored.

    `nearest` is the key of the stored answer that differs in the fewest fields, of the same sample and task, or of the
    same sample in another task or version where the task has none; None where nothing of the sample is stored. It is
    `key` itself, without differences, for a request that is answered.
    """

    key: str
    nearest: str | None
    differences: tuple[Difference, ...]

    @property
    def answered(self) -> bool:
        """Whether there is no miss at all."""
        return self.nearest == self.key


def why(cache: Cache, identity: Mapping[str, JsonScalar], request: Request) -> Miss:
    """Return which fields of the key of `request`, put to the model of that identity, differ from the nearest entry.

    Raises:
        CacheError: the index is damaged.
    """
    document = key_document(identity, request)
    key = digest(document)
    stored = list(cache.records("sample_id = ?", (request.sample_id,)))
    candidates = [record for record in stored if record.task == request.task] or stored
    found = [(differences(document, record.document), record.key) for record in candidates]
    fewest, nearest = min(found, key=lambda pair: (len(pair[0]), pair[1]), default=((), None))
    return Miss(key, nearest, fewest)


def differences(asked: Mapping[str, Json], stored: Mapping[str, Json]) -> tuple[Difference, ...]:
    """Return the fields in which two key documents differ, sorted; 1, 1.0 and true are three different values."""
    left, right = dict(_flat("", dict(asked))), dict(_flat("", dict(stored)))
    return tuple(
        Difference(name, left.get(name, Absent()), right.get(name, Absent()))
        for name in sorted(left.keys() | right.keys())
        if name not in left or name not in right or canonical_json(left[name]) != canonical_json(right[name])
    )


def _flat(prefix: str, value: Json) -> Iterator[tuple[str, JsonScalar]]:
    if isinstance(value, list):
        value = _named(value)
    if not isinstance(value, dict):
        yield prefix, value
        return
    for name, item in value.items():
        yield from _flat(f"{prefix}.{name}" if prefix else name, item)


def _named(value: list[Json]) -> dict[str, Json]:
    """Return a list's items by position; a list of pairs of a name and a value (`Request.extra`) by those names."""
    pairs = [item for item in value if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)]
    named = {str(pair[0]): pair[1] for pair in pairs}
    if value and len(named) == len(value):
        return named
    return {str(position): item for position, item in enumerate(value)}
