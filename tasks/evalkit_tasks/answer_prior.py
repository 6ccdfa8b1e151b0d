"""The commonest training answer to a question's type: what the VQA baseline of `retrieval` says, blind to the picture.

It is the "per question type prior" of Antol et al. 2015 (arXiv:1505.00468, section 5). The type of a question is the
longest of the data's question types that it starts with; where the data name none, or none fits, its first two words;
a beginning that training has not seen is answered as all questions together are. Of a training question counts the
answer that most people gave; of equally common answers the one that stands first in alphabetical order is said.

    blocksworld    four questions to each of the drawn training scenes
    vqav2, okvqa   the official questions and annotations of train, from the task's folder
    easy-vqa       the wheel's train split
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import DataError
from evalkit.keys import digest
from evalkit.types import Json
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.questions import question_type
from evalkit_tasks.blocksworld.training import training_record
from evalkit_tasks.easy_vqa import SOURCE as EASY_VQA
from evalkit_tasks.question_task import required_document
from evalkit_tasks.questions import commonest
from evalkit_tasks.vqa_json import vqa_questions

TRAINING_FILES: Mapping[str, tuple[str, str, str, str, str]] = {
    "vqav2": (
        "v2_OpenEnded_mscoco_train2014_questions.json",
        "v2_Questions_Train_mscoco.zip",
        "v2_mscoco_train2014_annotations.json",
        "v2_Annotations_Train_mscoco.zip",
        "https://visualqa.org/download.html",
    ),
    "okvqa": (
        "OpenEnded_mscoco_train2014_questions.json",
        "OpenEnded_mscoco_train2014_questions.json.zip",
        "mscoco_train2014_annotations.json",
        "mscoco_train2014_annotations.json.zip",
        "https://okvqa.allenai.org/download.html",
    ),
}
"""Questions, their zip, annotations, their zip, and where they are had."""
QUESTION_DATA = (*TRAINING_FILES, EASY_VQA.name)
"""Data that hold questions and no captions."""


@dataclass(frozen=True, slots=True)
class Trained:
    """One training question: its words, its type if the data name one, and the answer that most people gave."""

    question: str
    type: str
    answer: str


@dataclass(frozen=True, slots=True)
class AnswerPrior:
    """The commonest answers. `types` are the data's; `by_type` has those that occur, first two words among them."""

    name: str
    types: frozenset[str]
    by_type: Mapping[str, str]
    overall: str
    digest: str

    def __call__(self, prompt: str) -> str:
        """Return what is said to a prompt whose first line is the question, `Question: ` before it aside.

        >>> told = [Trained("How many dogs?", "how many", "2"), Trained("Is it red?", "", "yes")]
        >>> prior = answer_prior("example", told)
        >>> prior("How many cats are there?"), prior("Is it late?"), prior("Why?")
        ('2', 'yes', '2')
        """
        question = (prompt.strip().splitlines() or [""])[0].removeprefix("Question: ")
        return self.by_type.get(_type(question, self.types), self.overall)


def answer_prior(name: str, told: Iterable[Trained]) -> AnswerPrior:
    """Return the commonest answers of these training questions.

    Raises:
        DataError: there are none.
    """
    known = list(told)
    if not known:
        raise DataError(f"{name} has no training questions; choose other data")
    types = frozenset(one.type for one in known if one.type)
    counts: dict[str, Counter[str]] = {}
    for one in known:
        counts.setdefault(one.type or _first_words(one.question), Counter())[one.answer] += 1
    overall = sum(counts.values(), Counter[str]())
    by_type = {kind: _commonest(answers) for kind, answers in sorted(counts.items())}
    kinds: list[Json] = [*sorted(types)]
    document: list[Json] = [kinds, dict(by_type), _commonest(overall)]
    return AnswerPrior(name, types, by_type, _commonest(overall), digest(document))


def _commonest(answers: Counter[str]) -> str:
    return min(answers, key=lambda answer: (-answers[answer], answer))


def _type(question: str, types: frozenset[str]) -> str:
    words = question.lower().rstrip("?").split()
    for length in range(len(words), 0, -1):
        if (kind := " ".join(words[:length])) in types:
            return kind
    return _first_words(question) if "none of the above" not in types else "none of the above"


def _first_words(question: str) -> str:
    return " ".join(question.lower().rstrip("?").split()[:2])


def prior_of(workspace: Workspace, scenes: int) -> AnswerPrior | None:
    """Return the prior of the workspace's data, None where those have no training answers that are known here.

    `scenes` is how many training scenes of blocksworld are asked about.

    Raises:
        DataError: training files are missing or malformed.
    """
    data = workspace.data or ""
    if data == "blocksworld":
        pairs = (pair for index in range(scenes) for pair in training_record(index).questions(4))
        told = (Trained(question, question_type(question), answer) for question, answer in pairs)
        return answer_prior(f"blocksworld training scenes 0 to {scenes - 1}", told)
    directory = workspace.data_dir or workspace.datasets / data
    if data == EASY_VQA.name:
        found = EASY_VQA.official(workspace, directory, "train").questions
        return answer_prior("easy-vqa train", (Trained(one.text, "", one.answers[0]) for one in found))
    return _official(data, directory) if data in TRAINING_FILES else None


def _official(data: str, directory: Path) -> AnswerPrior:
    questions, questions_zip, annotations, annotations_zip, get = TRAINING_FILES[data]
    asked = required_document(directory, questions, questions_zip, get)
    told = required_document(directory, annotations, annotations_zip, get)
    listed = vqa_questions(asked, told, "train2014", str)
    trained = (Trained(one.text, dict(one.strata).get("question_type", ""), commonest(one.answers)) for one in listed)
    return answer_prior(f"{data} train", trained)
