"""The question and annotation files of VQAv2's format, which OK-VQA and blocksworld share, read strictly.

    {"data_subtype": "val2014", "questions": [{"question_id": 262148000, "image_id": 262148,
     "question": "Where is he looking?"}, ...]}

    {"data_subtype": "val2014", "annotations": [{"question_id": 262148000, "image_id": 262148,
     "question_type": "none of the above", "answer_type": "other",
     "answers": [{"answer_id": 1, "answer": "down", "answer_confidence": "yes"}, ...]}, ...]}

OK-VQA's answers hold the words as they were written (`raw_answer`) beside their stems (`answer`), and name their
question types in `question_types`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from pydantic import Field, TypeAdapter

from evalkit.errors import DataError
from evalkit_tasks.coco_json import Strict, parsed, require_new
from evalkit_tasks.official_files import Document
from evalkit_tasks.questions import ANNOTATORS, Question, checked, require_answers, require_split

AnswerField: TypeAlias = Literal["answer", "raw_answer"]


class _Question(Strict):
    question_id: int = Field(ge=0)
    image_id: int = Field(ge=0)
    question: str


class _Questions(Strict):
    data_subtype: str = ""
    questions: list[_Question]


class _Answer(Strict):
    answer: str
    answer_id: int
    raw_answer: str | None = None


class _Annotation(Strict):
    question_id: int
    image_id: int | None = None
    question_type: str = ""
    answer_type: str = ""
    answers: list[_Answer]


class _Annotations(Strict):
    data_subtype: str = ""
    annotations: list[_Annotation]
    question_types: dict[str, str] = Field(default_factory=dict)


def vqa_questions(
    asked: Document,
    told: Document | None,
    subtype: str,
    file_name: Callable[[int], str],
    answer_field: AnswerField = "answer",
) -> list[Question]:
    """Return the questions of a pair of files, in the order of the first; `told` is None where answers are not public.

    `subtype` is the `data_subtype` that both must have, and `file_name` the official name of an image's file.

    Raises:
        DataError: a file is of another kind or split, an id stands twice, a question has no annotation or an annotation
            no question, has not ten answers, or has two of one answer id.
    """
    questions = parsed(TypeAdapter(_Questions), asked.content, asked.where, f"the official questions of {subtype}")
    require_split(questions.data_subtype, subtype, asked.where)
    annotations = {} if told is None else _annotations(told, subtype, answer_field)
    found = []
    seen: set[int] = set()
    for question in questions.questions:
        require_new(question.question_id, seen, f"{asked.where}: question id")
        answers, strata = annotations.pop(question.question_id, ((), ())) if told else ((), ())
        if told and not answers:
            raise DataError(f"{told.where} has no annotation of question {question.question_id} of {asked.where}")
        image = question.image_id
        found.append(
            Question(str(question.question_id), str(image), file_name(image), question.question, answers, strata)
        )
    listed = checked(found, asked.where, None)
    if annotations and told:
        raise DataError(
            f"{told.where} has {len(annotations):,} annotations of questions that {asked.where} has not, the first of "
            f"question {next(iter(annotations))}; fetch both files again"
        )
    return listed


_Told: TypeAlias = tuple[tuple[str, ...], tuple[tuple[str, str], ...]]


def _annotations(told: Document, subtype: str, answer_field: AnswerField) -> dict[int, _Told]:
    file = parsed(TypeAdapter(_Annotations), told.content, told.where, f"the official annotations of {subtype}")
    require_split(file.data_subtype, subtype, told.where)
    seen: set[int] = set()
    found: dict[int, _Told] = {}
    for annotation in file.annotations:
        require_new(annotation.question_id, seen, f"{told.where}: annotation of question")
        _require_own_ids(annotation, told.where)
        kinds = {"answer_type": annotation.answer_type, "question_type": annotation.question_type}
        named = {**kinds, "question_type": file.question_types.get(annotation.question_type, kinds["question_type"])}
        answers = tuple(_text(answer, answer_field, annotation, told.where) for answer in annotation.answers)
        require_answers(annotation.question_id, len(answers), ANNOTATORS, told.where)
        found[annotation.question_id] = (answers, _held(named))
    return found


def _held(strata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in strata.items() if value)


def _require_own_ids(annotation: _Annotation, where: str) -> None:
    ids = {answer.answer_id for answer in annotation.answers}
    if len(ids) != len(annotation.answers):
        raise DataError(
            f"{where}: question {annotation.question_id} has two answers of one answer_id; the official score leaves "
            "out annotators by it: fetch the file again"
        )


def _text(answer: _Answer, answer_field: AnswerField, annotation: _Annotation, where: str) -> str:
    text = answer.answer if answer_field == "answer" else answer.raw_answer
    if text is None:
        raise DataError(f"{where}: question {annotation.question_id} has no {answer_field}; leave -t answers= out")
    return text
