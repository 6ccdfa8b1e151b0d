"""Visual question answering on blocksworld by the official VQA accuracy (`blocksworld_vqa@1`, vqa).

One item: question 1002 about picture 1, in VQAv2's own format,

    What shape is at the top left?        ring, ring, ring, ring, ring, ring, ring, circle, ring, ring

The model is shown the picture and asked the question as it stands; a prompt around it is the adapter's own.

Protocol. Its answer is compared with ten annotators' answers as the VQA evaluation does (`--protocol vqa-official`,
`evalai` or `lmms`: see `evalkit.metrics.vqa`). Six annotators or more say the truth, the others a synonym or a mistake,
so the truth is always worth 100.

There are 2,000 questions, four a picture: yes/no, number and other, of eleven question types. Numbers are broken down
by answer type and question type, and the errors are clustered by picture.

Pitfalls. An answer in a sentence (`It is red.`) is worth 0, as in every VQA evaluation: short answers are asked for by
whoever writes the model's adapter. A yes/no question is right half of the time by chance.

Data: shipped with evalkit, Apache-2.0. There are no published numbers; the ceiling, by `-m oracle`, is in
blocksworld/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.json_values import a_list, a_text, a_whole_number, an_object
from evalkit.metrics.vqa.answers import VqaMetric
from evalkit.types import Json, Part, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import HeldOutPicture, data_fields, embedded, held_out_pictures, rows
from evalkit_tasks.blocksworld.task import HeldOutTask

NAME = "blocksworld_vqa@1"
DEFAULT_PROTOCOL = "vqa-official"
PROMPT = "the picture, the question as it stands"


def blocksworld_vqa(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task.

    Raises:
        UsageError: other data or an unknown protocol are asked for.
        DataError: the shipped files are damaged.
    """
    here = embedded(workspace)
    pictures = {picture.id: picture for picture in held_out_pictures(here)}
    images = {number: picture.image() for number, picture in pictures.items()}
    answers = {a_whole_number(row["question_id"]): row for row in rows("answers_val.json", "annotations")}
    samples = []
    for row in rows("questions_val.json", "questions"):
        image, question = a_whole_number(row["image_id"]), a_whole_number(row["question_id"])
        parts = (images[image], Text(a_text(row["question"])))
        samples.append(_sample(question, parts, answers[question], pictures[image]))
    metric = VqaMetric(protocol or DEFAULT_PROTOCOL, data_fields(PROMPT))
    return HeldOutTask(here, NAME, "vqa", tuple(samples), (metric,))


def _sample(question: int, parts: tuple[Part, ...], told: Mapping[str, Json], picture: HeldOutPicture) -> Sample:
    people = tuple(Text(a_text(an_object(answer)["answer"])) for answer in a_list(told["answers"]))
    kinds = tuple((name, a_text(told[name])) for name in ("answer_type", "question_type"))
    return Sample(str(question), parts, people, (*kinds, *picture.strata), str(picture.id))
