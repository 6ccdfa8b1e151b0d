"""VizWiz-VQA, questions that blind people asked about their own photos (`vizwiz@1`, vqa).

One item of val.json:

    {"image": "VizWiz_val_00000000.jpg", "question": "Ok. There is another picture I hope it is a better one.",
     "answers": [{"answer": "unanswerable", "answer_confidence": "yes"}, ...], "answer_type": "unanswerable",
     "answerable": 0}

The model is shown the photo and the question with `When the provided information is insufficient, respond with
'Unanswerable'.` and `Answer the question using a single word or phrase.` behind it (`-t prompt=`).

Data, as downloaded from vizwiz.org into one folder (`--data-dir`), zips read in place: val.json or Annotations.zip with
it (4,319 questions; test has 8,000, whose answers are not public: submission.json is written for EvalAI), and the
photos as val, test, val.zip or test.zip; or a hub dataset (`--data hf:REPO@REVISION`). CC BY 4.0.

Protocol `vizwiz-official`. Official scorer: the VQA evaluation of the VizWiz API, which is a zip on vizwiz.org and has
no repository and so no commit, after vqaEval.py of GT-Vision-Lab/VQA at a013f00: the prediction is normalised, people's
answers are compared as they stand, and the contractions have curly apostrophes. `evalai` is what lmms-eval takes.
Numbers:

    vqa_accuracy        by answer type: yes/no, number, other, unanswerable
    answerability_ap    average precision of telling that a question cannot be answered, the second official task
    answerability_f1    F1 of the same

The official task wants a score from 0 to 1 for each question. A model that only writes gives none: here the score is 1
where its answer is `unanswerable`, case and a final period aside, and else 0: the field `score` of the protocol. So the
average precision is that of one threshold.

Anchors, test-dev: Flamingo-9B 28.8, CM3Leon-7B 37.6 (arXiv:2309.02591), LLaVA-1.5-7B 50.0, -13B 53.6, LLaVA-1.6-7B
57.6, Qwen-VL-Chat-7B 38.9, IDEFICS-80B 36.0.

Pitfalls. Without the sentence about insufficient information most models never say `unanswerable`, which is right for a
third of the questions. Always saying it is a strong baseline. Photos are blurred and rotated: EXIF is not applied.

Source: Gurari et al. 2018, arXiv:1802.08218.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from evalkit.interfaces import AnyMetric, Scored
from evalkit.metrics.corpus import CorpusMetric
from evalkit.metrics.submission import Submission
from evalkit.metrics.vqa.answerability import STATISTICS, Told, told_unanswerable
from evalkit.metrics.vqa.answers import OVERALL, VqaMetric
from evalkit.types import Json
from evalkit.workspace import Workspace
from evalkit_tasks.coco_json import Strict, parsed
from evalkit_tasks.prompts import QUESTION_PROMPTS, chosen_prompt
from evalkit_tasks.question_task import (
    QuestionTask,
    Source,
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

NAME = "vizwiz@1"
DEFAULT_PROTOCOL = "vizwiz-official"
LICENCE = "CC BY 4.0"
QUESTIONS = {"val": 4_319, "test": 8_000}
UNANSWERABLE = "unanswerable"
_GET = "https://vizwiz.org/tasks-and-datasets/vqa/"


class _Answer(Strict):
    answer: str


class _Question(Strict):
    image: str
    question: str
    answers: list[_Answer] | None = None
    answer_type: str | None = None
    answerable: int | None = None


def vizwiz(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> QuestionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value.
        DataError: the data are missing or malformed.
    """
    prompt = chosen_prompt(options, QUESTION_PROMPTS, "short-or-unanswerable")
    here, questions = chosen_questions(workspace, options, SOURCE)
    if not questions.questions[0].answers:
        wanted = QUESTIONS.get(questions.split, len(questions.questions))
        server = "https://eval.ai (VizWiz VQA Challenge)"
        return QuestionTask(here, NAME, questions, prompt, (Submission("submission.json", server, wanted, _entry),))
    fields = task_fields(questions, prompt)
    name = protocol or DEFAULT_PROTOCOL
    answers: AnyMetric = VqaMetric(name, fields, (OVERALL, f"{OVERALL}_by_answer_type"))
    score = {"score": f"1 where the answer is {UNANSWERABLE}, else 0", "positive": "label answerable 0"}
    able: AnyMetric = CorpusMetric("vizwiz-answerability", {**fields, **score}, _answerability, STATISTICS)
    return QuestionTask(here, NAME, questions, prompt, (answers, able))


def _entry(scored: Scored, said: str) -> Json:
    return {"image": f"{scored.sample.id}.jpg", "answer": said}


def _answerability(scored: Scored) -> Told:
    """Return what the official label says, or the answer type where a dataset has only that, beside what was said."""
    known = dict(scored.sample.strata)
    label = known["answerable"] == "0" if "answerable" in known else known.get("answer_type") == UNANSWERABLE
    return Told(label, told_unanswerable(scored))


def _official(workspace: Workspace, directory: Path, split: str) -> QuestionSet:
    document = required_document(directory, f"{split}.json", "Annotations.zip", _GET)
    file = parsed(TypeAdapter(list[_Question]), document.content, document.where, f"VizWiz' official {split}.json")
    for one in file:
        require_split(_split_of(one.image), split, f"{document.where}: {one.image}")
    listed = checked(_questions(file), document.where, ANNOTATORS if split == "val" else None)
    pictures = with_pictures(listed, picture_stores((directory,), (split,), _GET), document.where)
    stamps = part_stamps(f"VizWiz {split}", len(listed), QUESTIONS[split])
    return QuestionSet(f"vizwiz {split}", split, tuple(listed), pictures, questions_digest(listed), LICENCE, stamps)


def _questions(file: Sequence[_Question]) -> list[Question]:
    return [
        Question(
            id=one.image.rpartition(".")[0] or one.image,
            image=one.image,
            file=one.image,
            text=one.question,
            answers=tuple(answer.answer for answer in one.answers or ()),
            strata=_strata(one),
        )
        for one in file
    ]


def _strata(one: _Question) -> tuple[tuple[str, str], ...]:
    kind = () if one.answer_type is None else (("answer_type", one.answer_type),)
    return kind if one.answerable is None else (*kind, ("answerable", str(one.answerable)))


def _split_of(image: str) -> str:
    parts = image.split("_")
    return parts[1] if len(parts) == 3 and parts[0] == "VizWiz" else ""


SOURCE = Source("vizwiz", _official, tuple(QUESTIONS), LICENCE, annotators=ANNOTATORS)
