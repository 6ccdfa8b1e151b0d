"""TextVQA, questions whose answer is written in the picture, by the VQA accuracy (`textvqa@1`, vqa).

One item of TextVQA_0.5.1_val.json:

    {"question_id": 34602, "image_id": "003a8ae2ef43b901", "question": "what is the brand of this camera?",
     "answers": ["nous les gosses", "dakota", "clos culombu", "dakota digital", "dakota", "dakota", "dakota digital",
     "dakota digital", "dakota", "dakota"], ...}

The model is shown the photo and the question, a line end, and `Answer the question using a single word or phrase.`
(`-t prompt=`). With `-t prompt=short-answer-ocr` the words that the Rosetta OCR system read are shown too: that is what
LLaVA's numbers are made with, and it is another protocol.

Data, as downloaded from textvqa.org into one folder (`--data-dir`): TextVQA_0.5.1_val.json (5,000 questions; test has
5,734, whose answers are not public: submission.json is written for EvalAI), the photos as train_images, test_images or
train_val_images.zip, test_images.zip, read in place, and for OCR words TextVQA_Rosetta_OCR_v0.2_val.json; or a hub
dataset (`--data hf:REPO@REVISION`). Annotations CC BY 4.0; the photos are of Open Images, CC BY 2.0.

Protocol `evalai`. Official scorer: EvalAI's, whose processor facebookresearch/mmf has at c46b3b3; it normalises both
sides always. `vqa-official` and `lmms` are its relatives: see `evalkit.metrics.vqa`. Choices that move the number:

    prompt          OCR words or none: points
    ocr             which system's words were shown
    prediction_read, answers_read, normalised, annotators    as for VQAv2

Anchors, val: LLaVA-1.5-7B 58.2 and -13B 61.3 (with OCR words), LLaVA-1.6-7B 64.9, Qwen-VL-Chat-7B 61.5, IDEFICS-80B
30.9.

Pitfalls. Some answers are `unanswerable` or `answering does not require reading text in the image`. Case does not
count, hyphens and points may. The questions are in lower case.

Source: Singh et al. 2019, arXiv:1904.08920.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import Field, TypeAdapter

from evalkit.interfaces import AnyMetric
from evalkit.metrics.submission import Submission
from evalkit.metrics.vqa.answers import OVERALL, VqaMetric
from evalkit.types import JsonScalar
from evalkit.workspace import Workspace
from evalkit_tasks.coco_json import Strict, parsed
from evalkit_tasks.prompts import QUESTION_PROMPTS, Prompt, chosen_prompt
from evalkit_tasks.question_task import (
    QuestionTask,
    Source,
    answer_entry,
    chosen_questions,
    picture_stores,
    required_document,
    task_fields,
)
from evalkit_tasks.questions import (
    ANNOTATORS,
    Question,
    QuestionSet,
    checked,
    part_stamps,
    questions_digest,
    require_split,
    with_pictures,
)

NAME = "textvqa@1"
DEFAULT_PROTOCOL = "evalai"
LICENCE = "annotations CC BY 4.0; photos of Open Images CC BY 2.0"
QUESTIONS = {"val": 5_000, "test": 5_734}
_GET = "https://textvqa.org/dataset"


class _Question(Strict):
    question_id: int = Field(ge=0)
    image_id: str
    question: str
    set_name: str = ""
    answers: list[str] = Field(default_factory=list)


class _Questions(Strict):
    data: list[_Question]


class _Seen(Strict):
    image_id: str
    ocr_tokens: list[str]


class _SeenWords(Strict):
    data: list[_Seen]


def textvqa(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> QuestionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    prompt = chosen_prompt(options, QUESTION_PROMPTS)
    source = Source("textvqa", partial(_official, prompt), tuple(QUESTIONS), LICENCE, annotators=ANNOTATORS)
    here, questions = chosen_questions(workspace, options, source)
    fields: dict[str, JsonScalar] = {**task_fields(questions, prompt), "ocr": _ocr_name(here, prompt)}
    return QuestionTask(here, NAME, questions, prompt, (_metric(protocol, questions, fields),))


def _ocr_name(workspace: Workspace, prompt: Prompt) -> str:
    if not prompt.wants_ocr:
        return "none"
    return "Rosetta v0.2" if workspace.data == "textvqa" else "the dataset's ocr_tokens"


def _metric(protocol: str | None, questions: QuestionSet, fields: Mapping[str, JsonScalar]) -> AnyMetric:
    if questions.questions[0].answers:
        return VqaMetric(protocol or DEFAULT_PROTOCOL, fields, (OVERALL,))
    wanted = QUESTIONS.get(questions.split, len(questions.questions))
    return Submission("submission.json", "https://eval.ai (TextVQA Challenge)", wanted, answer_entry)


def _official(prompt: Prompt, workspace: Workspace, directory: Path, split: str) -> QuestionSet:
    document = required_document(directory, f"TextVQA_0.5.1_{split}.json", None, _GET)
    file = parsed(TypeAdapter(_Questions), document.content, document.where, f"the official questions of {split}")
    words = _ocr(directory, split) if prompt.wants_ocr else {}
    for one in file.data:
        require_split(one.set_name, split, f"{document.where}: question {one.question_id}")
    asked = [
        Question(
            str(one.question_id),
            one.image_id,
            f"{one.image_id}.jpg",
            one.question,
            tuple(one.answers),
            ocr=words.get(one.image_id, ()),
        )
        for one in file.data
    ]
    listed = checked(asked, document.where, ANNOTATORS if split == "val" else None)
    folders = ("train_images", "train_val_images") if split == "val" else ("test_images",)
    pictures = with_pictures(listed, picture_stores((directory,), folders, _GET), document.where)
    stamps = part_stamps(f"TextVQA {split}", len(listed), QUESTIONS[split])
    return QuestionSet(f"textvqa {split}", split, tuple(listed), pictures, questions_digest(listed), LICENCE, stamps)


def _ocr(directory: Path, split: str) -> dict[str, tuple[str, ...]]:
    document = required_document(directory, f"TextVQA_Rosetta_OCR_v0.2_{split}.json", None, _GET)
    file = parsed(TypeAdapter(_SeenWords), document.content, document.where, f"the Rosetta OCR words of {split}")
    return {one.image_id: tuple(one.ocr_tokens) for one in file.data}
