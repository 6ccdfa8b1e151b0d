"""The VQA accuracy: how far an answer agrees with ten people's, each of them left out in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evalkit.errors import DataError
from evalkit.metrics.vqa.normaliser import NORMALS, READINGS, VqaProtocol


def leave_one_out(matches: int, annotators: int) -> float:
    """Return the accuracy of an answer that `matches` of the annotators gave, 0 to 1.

    The mean over annotators of min(1, matches among the others / 3): of ten, 0, .3, .6, .9 and from four on 1. It takes
    the annotators to be told apart, as they are by `answer_id` in the official files.

    >>> [leave_one_out(matches, 10) for matches in range(6)]
    [0.0, 0.3, 0.6, 0.9, 1.0, 1.0]

    Source: Antol et al. 2015, arXiv:1505.00468, and vqaEval.py of GT-Vision-Lab/VQA at a013f00.
    """
    agreeing = matches * min(3, matches - 1)
    others = (annotators - matches) * min(3, matches)
    return (agreeing + others) / (3 * annotators)


class VqaScorer:
    """Scores answers under one protocol; it remembers the normal form of every answer that it has seen."""

    def __init__(self, protocol: VqaProtocol) -> None:
        self._protocol = protocol
        self._scores = [leave_one_out(matches, protocol.annotators) for matches in range(protocol.annotators + 1)]
        self._prediction = _Remembered(READINGS[protocol.prediction])
        self._answers = _Remembered(READINGS[protocol.answers])
        self._normal = None if protocol.normal is None else _Remembered(NORMALS[protocol.normal])

    def __call__(self, question: str, prediction: str, answers: Sequence[str]) -> float:
        """Return the accuracy of `prediction` to the question of that id, 0 to 1.

        Raises:
            DataError: there are not as many answers as the protocol has annotators.
        """
        if len(answers) != self._protocol.annotators:
            raise DataError(
                f"question {question!r} has {len(answers)} answers and {self._protocol.name} needs "
                f"{self._protocol.annotators}; mend the annotations or leave the question out"
            )
        said = self._prediction[prediction]
        people = [self._answers[answer] for answer in answers]
        if self._normal is not None and people.count(people[0]) != len(people):
            said = self._normal[said]
            people = [self._normal[answer] for answer in people]
        return self._scores[people.count(said)]


class _Remembered(dict[str, str]):
    """The values of a function, each made once."""

    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, text: str) -> str:
        made = self[text] = self._function(text)
        return made
