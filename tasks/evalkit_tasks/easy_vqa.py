"""easy-VQA, questions about one drawn shape in 64 x 64 pixels (`easy_vqa@1`, vqa).

One item of test: question 0, about picture 0, `easy_vqa/data/test/images/0.png`,

    what is the red shape?        triangle

A third party's drawn set that runs anywhere: 9,673 test questions about 1,000 pictures (and 38,575 about 4,000 in
train), 13 answers. The model is shown the picture and the question, a line end, and `Answer the question using a single
word or phrase.` (`-t prompt=`).

Data: the wheel easy-vqa 1.0 of the package index (3 MB, MIT, Victor Zhou), fetched when it is not at hand, known by its
SHA-256 and read in place: it is neither installed nor imported. `--data-dir` names a folder that holds it.

Protocol `easy-vqa-exact`: an answer is right if it is the word that the file has, case, blanks around it and a final
period aside. Choices that move the number: that, and the prompt.

    easy_vqa_accuracy    in percent; by answer type: yes/no, shape, color

There is no official scorer: the package holds data alone, and its author's demo picks one of the 13 answers, so that a
classifier's accuracy is the same number. There are no published numbers of models that write.

Pitfalls. Three of four questions are answered by yes or no. Errors are clustered by picture.

Source: github.com/vzhou842/easy-VQA.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from evalkit.archives import member_bytes
from evalkit.errors import RunError
from evalkit.interfaces import Scored
from evalkit.metrics.means import MeanMetric, Measure, Tally
from evalkit.types import Text, ZipPicture
from evalkit.workspace import Workspace
from evalkit_tasks.coco_json import parsed
from evalkit_tasks.official_files import Archive, members
from evalkit_tasks.prompts import QUESTION_PROMPTS, chosen_prompt
from evalkit_tasks.question_task import QuestionTask, Source, chosen_questions, task_fields
from evalkit_tasks.questions import Question, QuestionSet, checked, questions_digest, with_pictures
from evalkit_tasks.sources import EASY_VQA, easy_vqa_wheel

NAME = "easy_vqa@1"
PROTOCOL = "easy-vqa-exact"
LICENCE = "MIT"
SPLITS = ("test", "train")
SHAPES = frozenset({"circle", "rectangle", "triangle"})
MEASURES = (Measure("easy_vqa_accuracy", "percent", by=("answer_type",)),)


def easy_vqa(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> QuestionTask:
    """Return the task; the wheel is fetched if it is not at hand.

    Raises:
        UsageError: an option has no such value.
        DataError: the wheel cannot be had, or is another one.
    """
    prompt = chosen_prompt(options, QUESTION_PROMPTS)
    here, questions = chosen_questions(workspace, options, SOURCE)
    metric = MeanMetric(PROTOCOL, task_fields(questions, prompt), MEASURES, _judged)
    return QuestionTask(here, NAME, questions, prompt, (metric,))


def _judged(scored: Scored) -> dict[str, Tally]:
    said = [part.text for part in scored.generation.parts if isinstance(part, Text)]
    if len(said) != 1:
        raise RunError(f"the answer to question {scored.sample.id!r} holds {len(said)} texts, not one; mend the model")
    right = Text(said[0].strip().removesuffix(".").lower()) in scored.sample.references
    return {"easy_vqa_accuracy": Tally(100.0 * right)}


def _official(workspace: Workspace, directory: Path, split: str) -> QuestionSet:
    wheel = easy_vqa_wheel(workspace, directory)
    member = ZipPicture(wheel, f"easy_vqa/data/{split}/questions.json")
    adapter = TypeAdapter(list[tuple[str, str, int]])
    rows = parsed(adapter, member_bytes(member), str(member), "easy-VQA's questions")
    asked = [
        Question(str(number), str(image), f"easy_vqa/data/{split}/images/{image}.png", text, (answer,), _kind(answer))
        for number, (text, answer, image) in enumerate(rows)
    ]
    listed = checked(asked, str(member), None)
    pictures = with_pictures(listed, [Archive(wheel, members(wheel))], str(member))
    digest = questions_digest(listed)
    return QuestionSet(f"easy-vqa {split}", split, tuple(listed), pictures, digest, LICENCE)


def _kind(answer: str) -> tuple[tuple[str, str], ...]:
    kind = "yes/no" if answer in {"yes", "no"} else "shape" if answer in SHAPES else "color"
    return (("answer_type", kind),)


SOURCE = Source(EASY_VQA, _official, SPLITS, LICENCE)
