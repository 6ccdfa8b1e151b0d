"""The file that a benchmark's server wants, where the right answers are not public."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from evalkit.errors import RunError
from evalkit.interfaces import MetricResult, Scored
from evalkit.types import Json, Text, Unavailable

Entry: TypeAlias = Callable[[Scored, str], Json]
"""What gives one answered sample and its text the entry that the server reads."""


@dataclass(slots=True)
class SubmissionState:
    """The entries so far, by sample id."""

    entries: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submission:
    """Writes `file` beside the run: a JSON list of all answers, ordered by sample id. It makes no number."""

    file: str
    server: str
    """Where the file is to be sent."""
    asked: int
    """Entries that the server wants: one a question of the whole split."""
    entry: Entry
    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    @property
    def names(self) -> tuple[str, ...]:
        """`submission`."""
        return ("submission",)

    def only(self, names: Collection[str]) -> Submission:
        """Return this metric: it makes one thing only."""
        return self

    def prepare(self) -> None:
        """Do nothing: all that is written comes with the samples."""

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the samples."""
        return 0

    def start(self) -> SubmissionState:
        """Return the state of no samples."""
        return SubmissionState()

    def update(self, state: SubmissionState, scored: Sequence[Scored]) -> SubmissionState:
        """Return `state` with these samples' entries added.

        Raises:
            RunError: an answer is not one text.
        """
        for one in scored:
            said = [part.text for part in one.generation.parts if isinstance(part, Text)]
            if len(said) != 1:
                raise RunError(f"the answer to {one.sample.id!r} holds {len(said)} texts, not one; mend the model")
            state.entries[one.sample.id] = self.entry(one, said[0])
        return state

    def merge(self, left: SubmissionState, right: SubmissionState) -> SubmissionState:
        """Return the state of both sides' samples."""
        return SubmissionState(left.entries | right.entries)

    def finish(self, state: SubmissionState) -> MetricResult:
        """Return no number, and the file; it is the same whatever order and shards the samples came in."""
        entries = [entry for _, entry in sorted(state.entries.items())]
        short = (
            "" if len(entries) == self.asked else f" (it holds {len(entries):,} of the {self.asked:,} answers wanted)"
        )
        reason = f"the right answers are not public: send {self.file} of the run's folder to {self.server}{short}"
        return MetricResult({"submission": Unavailable(reason)}, (), {}, {}, {self.file: json.dumps(entries) + "\n"})
