"""OK-VQA, questions that need outside knowledge, by the VQA accuracy (`okvqa@1`, vqa).

One item of val: question 2971475 about COCO_val2014_000000297147.jpg, its ten answers being five people's, each twice,

    What sport can you use this for?        race, race, race, race, race, race, motocross, motocross, ride, ride

The model is shown the photo and the question, a line end, and `Answer the question using a single word or phrase.`
(`-t prompt=`).

Data, as downloaded from okvqa.allenai.org into one folder (`--data-dir`), zips read in place: the 5,046 questions of

    OpenEnded_mscoco_val2014_questions.json or OpenEnded_mscoco_val2014_questions.json.zip
    mscoco_val2014_annotations.json or mscoco_val2014_annotations.json.zip
    val2014 or val2014.zip, also where `evalkit fetch coco` puts them

or a hub dataset (`--data hf:REPO@REVISION`). Annotations CC BY 4.0; the photos under their Flickr terms.

Protocol `vqa-official` (official scorer: that of VQA, vqaEval.py of GT-Vision-Lab/VQA at a013f00), or `evalai`, `lmms`.
Choices that move the number:

    answer_field    `answer`: the stems that the official files hold for scoring (`-t answers=raw_answer`: the words as
                    they were written); a hub dataset has what it has
    annotators      ten answers of five people, so that one of the five is worth 60 and two are worth 100
    prompt, prediction_read, answers_read, normalised    as for VQAv2

Anchors, val, zero-shot: Flamingo-9B 44.7, CM3Leon-7B 23.8 (arXiv:2309.02591).

Pitfalls. A plural or an -ing form is not its stem: `racing` is 0 where `race` is right. Version 1.0 and 1.1 of the
annotations differ. The questions' types are topics, not first words.

Source: Marino et al. 2019, arXiv:1906.00067.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from evalkit.errors import UsageError, nearest
from evalkit.metrics.vqa.answers import VqaMetric
from evalkit.workspace import Workspace
from evalkit_tasks.prompts import QUESTION_PROMPTS, chosen_prompt
from evalkit_tasks.question_task import (
    QuestionTask,
    Source,
    chosen_questions,
    picture_stores,
    required_document,
    task_fields,
)
from evalkit_tasks.questions import ANNOTATORS, QuestionSet, part_stamps, questions_digest, with_pictures
from evalkit_tasks.vqa_json import AnswerField, vqa_questions

NAME = "okvqa@1"
DEFAULT_PROTOCOL = "vqa-official"
LICENCE = "annotations CC BY 4.0; photos under their Flickr terms"
QUESTIONS = {"val": 5_046}
ANSWER_FIELDS: tuple[AnswerField, ...] = ("answer", "raw_answer")
_GET = "https://okvqa.allenai.org/download.html"


def okvqa(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> QuestionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    prompt = chosen_prompt(options, QUESTION_PROMPTS)
    answers = _answer_field(options)
    source = Source("okvqa", partial(_official, answers), tuple(QUESTIONS), LICENCE, annotators=ANNOTATORS)
    here, questions = chosen_questions(workspace, options, source)
    fields = {**task_fields(questions, prompt), "answer_field": answers}
    return QuestionTask(here, NAME, questions, prompt, (VqaMetric(protocol or DEFAULT_PROTOCOL, fields),))


def _answer_field(options: Mapping[str, str]) -> AnswerField:
    asked = options.get("answers") or ANSWER_FIELDS[0]
    for known in ANSWER_FIELDS:
        if asked == known:
            return known
    raise UsageError(f"-t answers={asked} is not known{nearest(asked, ANSWER_FIELDS)}")


def _official(answers: AnswerField, workspace: Workspace, directory: Path, split: str) -> QuestionSet:
    questions, annotations = "OpenEnded_mscoco_val2014_questions.json", "mscoco_val2014_annotations.json"
    asked = required_document(directory, questions, f"{questions}.zip", _GET)
    told = required_document(directory, annotations, f"{annotations}.zip", _GET)
    listed = vqa_questions(asked, told, "val2014", lambda image: f"COCO_val2014_{image:012d}.jpg", answers)
    stores = picture_stores((directory, workspace.datasets / "coco"), ("val2014",), "`evalkit fetch coco`")
    pictures = with_pictures(listed, stores, asked.where)
    stamps = part_stamps(f"OK-VQA {split}", len(listed), QUESTIONS[split])
    return QuestionSet(f"okvqa {split}", split, tuple(listed), pictures, questions_digest(listed), LICENCE, stamps)
