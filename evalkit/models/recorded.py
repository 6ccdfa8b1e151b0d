"""A model known by its identity alone, whose stored answers can be scored anew without loading it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.types import Answer, Failure, Job, JsonScalar, Request


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """Stands for the model of that identity, so that its answers are found in the cache; it cannot answer itself."""

    name: str
    identity: Mapping[str, JsonScalar]
    capabilities: frozenset[Job]

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield a `missing` failure for each request: what is stored is never asked."""
        for position, request in enumerate(requests):
            message = f"no stored answer to {request.sample_id}; `evalkit run` asks for it"
            yield position, Failure("missing", message)
