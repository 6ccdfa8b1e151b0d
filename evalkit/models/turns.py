"""Editing sessions: a request that holds several texts is asked one text at a time, each about the answer to the last.

A model need not know of sessions. It is asked for the first edit of the request's picture, then for the second edit of
the picture that it made, and so on; what it makes last is the answer to the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.interfaces import Model
from evalkit.keys import digest
from evalkit.types import Answer, Failure, Generation, Image, Request, Text

SEED_DIGITS = 15
"""Hexadecimal digits of a seed, which stays below 2 to the 60."""


@dataclass(frozen=True, slots=True)
class _Session:
    """Where the request of a session stands in the batch, and which of its texts is asked next."""

    position: int
    request: Request
    turn: int
    turns: tuple[Text, ...]
    seconds: float

    def step(self) -> Request:
        """Return the request of this turn alone, with a seed of its own after the first."""
        others = tuple(part for part in self.request.parts if not isinstance(part, Text))
        seed = self.request.seed if self.turn == 0 else int(digest([self.request.seed, self.turn])[:SEED_DIGITS], 16)
        return replace(self.request, parts=(*others, self.turns[self.turn]), seed=seed)

    def answered(self, answer: Answer) -> _Session | Answer:
        """Return the session at its next turn, or what it ended in."""
        seconds = self.seconds + answer.seconds
        number = f"turn {self.turn + 1} of {len(self.turns)}"
        if isinstance(answer, Failure):
            return replace(answer, message=f"{number}: {answer.message}", seconds=seconds)
        if self.turn + 1 == len(self.turns):
            return replace(answer, seconds=seconds)
        pictures = [part for part in answer.parts if isinstance(part, Image)]
        if len(pictures) != 1:
            return Failure("malformed", f"{number}: the answer holds {len(pictures)} pictures, not 1", seconds)
        source = replace(pictures[0], role="source")
        return replace(self, request=replace(self.request, parts=(source,)), turn=self.turn + 1, seconds=seconds)


def answers_in_turns(model: Model, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
    """Yield what `model.generate` yields, each session of editing being asked turn by turn.

    A turn that fails ends its session: the failure says which turn it was. What the model raises goes through.
    """
    sessions = [_Session(position, r, 0, _turns(r), 0.0) for position, r in enumerate(requests)]
    if all(len(session.turns) < 2 for session in sessions):
        yield from model.generate(requests)
        return
    while sessions:
        steps = [session.step() if len(session.turns) > 1 else session.request for session in sessions]
        going: list[_Session] = []
        for index, answer in model.generate(steps):
            session = sessions[index]
            after = session.answered(answer) if len(session.turns) > 1 else answer
            if isinstance(after, (Generation, Failure)):
                yield session.position, after
            else:
                going.append(after)
        sessions = going


def _turns(request: Request) -> tuple[Text, ...]:
    """Return the texts of an editing request, one a turn; of other jobs none is a turn."""
    if request.job != "text-guided-editing":
        return ()
    return tuple(part for part in request.parts if isinstance(part, Text))
