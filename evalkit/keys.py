"""Digests, cache keys and seeds: everything that turns values into names."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping

from evalkit.types import Json, JsonScalar, Request

SCHEMA = 1
"""Version of the key document. A change of what a key holds is a new schema."""


def canonical_json(value: Json) -> str:
    r"""Return the one JSON text of `value`: keys sorted, no spaces, ASCII only.

    >>> canonical_json({"b": 1.0, "a": ["é", None]})
    '{"a":["\\u00e9",null],"b":1.0}'

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Json) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def request_document(request: Request) -> dict[str, Json]:
    """Return every field of `request` as JSON; where pixels are stored (`Image.content`) is left out."""
    return {f.name: noun_json(getattr(request, f.name)) for f in dataclasses.fields(request)}


def noun_json(value: object) -> Json:
    """Return a noun of `evalkit.types` as JSON: a dataclass as an object with its name under `type`.

    Fields that take no part in comparison are left out.

    Raises:
        TypeError: `value` holds something that is neither a noun, a tuple nor a JSON scalar.
    """
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, tuple):
        return [noun_json(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        document: dict[str, Json] = {"type": type(value).__name__}
        for f in dataclasses.fields(value):
            if f.compare:
                document[f.name] = noun_json(getattr(value, f.name))
        return document
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def key_document(identity: Mapping[str, JsonScalar], request: Request) -> dict[str, Json]:
    """Return what a cache key is the digest of: the schema, the model's identity and the whole request."""
    return {"schema": SCHEMA, "model": dict(identity), "request": request_document(request)}


def request_key(identity: Mapping[str, JsonScalar], request: Request) -> str:
    """Return the cache key of `request` put to the model of that identity."""
    return digest(key_document(identity, request))


def sample_seed(task: str, sample_id: str, repeat: int, run_seed: int) -> int:
    """Return the seed of one sample's request, 0 <= seed < 2**63: it depends on nothing but these four."""
    text = canonical_json([task, sample_id, repeat, run_seed])
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big") >> 1
