"""VQAv2 by the official VQA accuracy (`vqav2@1`, vqa).

One item of val: question 262148000 about COCO_val2014_000000262148.jpg,

    Where is he looking?        down, down, at table, skateboard, down, table, down, down, down, down

The model is shown the photo and `Where is he looking?`, a line end, and `Answer the question using a single word or
phrase.` (`-t prompt=`). Its answer is compared with those of ten people.

Data, from `evalkit fetch vqav2` or as downloaded from visualqa.org into one folder (`--data-dir`), zips read in place:

    v2_OpenEnded_mscoco_val2014_questions.json, or v2_Questions_Val_mscoco.zip        214,354 questions
    v2_mscoco_val2014_annotations.json, or v2_Annotations_Val_mscoco.zip
    v2_OpenEnded_mscoco_test-dev2015_questions.json, or v2_Questions_Test_mscoco.zip  107,394 (test: 447,793)
    val2014 or val2014.zip, test2015 or test2015.zip; also where `evalkit fetch coco` puts them

The answers of test-dev and test are not public: the run writes submission.json for EvalAI beside itself. A hub dataset
(`--data hf:REPO@REVISION`) and the embedded blocksworld, which is stamped, have the same form. Annotations CC BY 4.0.

Protocol `vqa-official`, bug for bug the official scorer, `PythonEvaluationTools/vqaEvaluation/vqaEval.py` of
GT-Vision-Lab/VQA at a013f00; `evalai` and `lmms` are its relatives. Choices that move the number:

    prompt                  without the second line many models answer in sentences, which are worth 0
    prediction_read, answers_read, normalised   which normaliser, on which side, and when: see `evalkit.metrics.vqa`
    annotators              ten; the score is the mean over each of them left out of min(1, others who agree / 3)
    answers_digest          what people answered

Anchors, test-dev: Flamingo-9B 51.8, OpenFlamingo-9B 43.5, CM3Leon-7B 47.6, zero-shot (arXiv:2309.02591); LLaVA-1.5-7B
78.5, -13B 80.0, LLaVA-1.6-7B 81.8, Qwen-VL-Chat-7B 78.2, IDEFICS-80B 60.0.

Pitfalls. lmms-eval's task normalises the prediction even where all people agree, and so differs by tenths. val2014 was
seen in training by many models. A yes/no question is right half of the time by chance.

Source: Antol et al. 2015, arXiv:1505.00468; Goyal et al. 2017, arXiv:1612.00837.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evalkit.interfaces import AnyMetric
from evalkit.metrics.submission import Submission
from evalkit.metrics.vqa.answers import VqaMetric
from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import DEMO
from evalkit_tasks.coco import official_set
from evalkit_tasks.official_files import Document
from evalkit_tasks.prompts import QUESTION_PROMPTS, chosen_prompt
from evalkit_tasks.question_task import (
    QuestionTask,
    Source,
    answer_entry,
    chosen_questions,
    picture_stores,
    required_document,
    task_fields,
)
from evalkit_tasks.questions import ANNOTATORS, QuestionSet, part_stamps, questions_digest, with_pictures
from evalkit_tasks.shown import named_picture
from evalkit_tasks.sources import BLOCKSWORLD
from evalkit_tasks.vqa_json import vqa_questions

NAME = "vqav2@1"
DEFAULT_PROTOCOL = "vqa-official"
LICENCE = "annotations CC BY 4.0; photos under their Flickr terms"
QUESTIONS = {"val": 214_354, "test-dev": 107_394, "test": 447_793}
"""Questions in each split, the default first."""
_GET = "https://visualqa.org/download.html, or with `evalkit fetch vqav2`"


def vqav2(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> QuestionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    prompt = chosen_prompt(options, QUESTION_PROMPTS)
    here, questions = chosen_questions(workspace, options, SOURCE)
    return QuestionTask(here, NAME, questions, prompt, (_metric(protocol, questions, task_fields(questions, prompt)),))


def _metric(protocol: str | None, questions: QuestionSet, fields: Mapping[str, str | int | float | None]) -> AnyMetric:
    if questions.questions[0].answers:
        return VqaMetric(protocol or DEFAULT_PROTOCOL, fields)
    wanted = QUESTIONS.get(questions.split, len(questions.questions))
    return Submission("submission.json", "https://eval.ai (VQA Challenge)", wanted, answer_entry)


def _official(workspace: Workspace, directory: Path, split: str) -> QuestionSet:
    subtype = {"val": "val2014", "test-dev": "test-dev2015", "test": "test2015"}[split]
    of = "Val" if split == "val" else "Test"
    asked = required_document(
        directory, f"v2_OpenEnded_mscoco_{subtype}_questions.json", f"v2_Questions_{of}_mscoco.zip", _GET
    )
    told = None
    if split == "val":
        told = required_document(directory, "v2_mscoco_val2014_annotations.json", "v2_Annotations_Val_mscoco.zip", _GET)
    folder = "val2014" if split == "val" else "test2015"
    listed = vqa_questions(asked, told, subtype, lambda image: f"COCO_{folder}_{image:012d}.jpg")
    get = "`evalkit fetch coco`" if split == "val" else _GET
    stores = picture_stores((directory, workspace.datasets / "coco"), (folder,), get)
    pictures = with_pictures(listed, stores, asked.where)
    stamps = part_stamps(f"VQAv2 {split}", len(listed), QUESTIONS[split])
    return QuestionSet(f"vqav2 {split}", split, tuple(listed), pictures, questions_digest(listed), LICENCE, stamps)


def _demo() -> QuestionSet:
    """Return blocksworld's questions, which are in VQAv2's format."""
    photos = {photo.id: photo for photo in official_set(BLOCKSWORLD, "val", "blocksworld").photos}
    documents = [
        Document(str(path), path.read_bytes())
        for path in (BLOCKSWORLD / "annotations" / name for name in ("questions_val.json", "answers_val.json"))
    ]
    listed = vqa_questions(documents[0], documents[1], "val", str)
    pictures = tuple(named_picture("", photos[int(question.image)].picture).picture for question in listed)
    found = QuestionSet("blocksworld val", "val", tuple(listed), pictures, questions_digest(listed), "Apache-2.0")
    return replace(found, stamps=(DEMO,))


SOURCE = Source("vqav2", _official, tuple(QUESTIONS), LICENCE, _demo, ANNOTATORS)
