"""GQA, compositional questions about scene graphs, by its exact match (`gqa@1`, vqa).

One item of val_balanced_questions.json:

    "00126851": {"imageId": "1159529", "question": "Are there carts near the pond?", "answer": "yes",
     "isBalanced": true, "groups": {"global": null, "local": "13-pond_cart"}, "entailed": [],
     "types": {"detailed": "existRelS", "semantic": "rel", "structural": "verify"}, ...}

The model is shown the photo and the question, a line end, and `Answer the question using a single word or phrase.`
(`-t prompt=`).

Data, as downloaded from Stanford into one folder (`--data-dir`), zips read in place: questions1.2.zip, or the file of
the split (`testdev_balanced`: 12,578 questions, the field's; `val_balanced`: 132,062; `testdev_all`, `val_all`), the
photos as images or images.zip, and, for validity and plausibility, val_choices.json or eval.zip with it. CC BY 4.0.

Protocol `gqa-official` (eval.py of the dataset): the answer must be equal to the right one, letter for letter.
`gqa-lmms` compares without case and punctuation, as lmms-eval does. Numbers, in percent unless said:

    gqa_accuracy                        of the balanced questions; by structural and by semantic type
    gqa_binary, gqa_open                of yes/no and choice questions; of those that query
    gqa_validity, gqa_plausibility      answers that could be right of such a question; that are seen of such a thing
    gqa_consistency                     of right answers: share of entailed questions that are right; needs all asked
    gqa_distribution                    chi-square from the true answers, by group, over 100; lower is better

Grounding, which needs attention maps, is not made.

Anchors, testdev-balanced: LLaVA-1.5-7B 62.0, -13B 63.3, LLaVA-1.6-7B 64.2, Qwen-VL-Chat-7B 57.5, IDEFICS-80B 45.2.

Pitfalls. `A dog.` is wrong where `dog` is right. Numbers on val and on testdev do not compare. The mirrors on the hub
hold questions and photos in two tables: unpack the official files instead.

Source: Hudson and Manning 2019, arXiv:1902.09506. Official scorer: eval.py of the dataset's eval.zip, which has no
repository of its own; SHI-Labs/VCoder at 2f95684 holds a copy (`playground/data/eval/gqa/data/eval/eval.py`) that goes
on where scene graphs or choices are missing. `gqa-lmms`: lmms_eval/tasks/gqa of EvolvingLMMs-Lab/lmms-eval at fd7e12a.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, TypeAdapter

from evalkit.errors import DataError, UsageError
from evalkit.interfaces import AnyMetric
from evalkit.metrics.vqa.gqa import GqaItem, gqa_metrics
from evalkit.workspace import Workspace
from evalkit_tasks.coco_json import Strict, parsed
from evalkit_tasks.official_files import official_document
from evalkit_tasks.prompts import QUESTION_PROMPTS, chosen_prompt
from evalkit_tasks.question_task import (
    QuestionTask,
    Source,
    chosen_questions,
    picture_stores,
    required_document,
    task_fields,
)
from evalkit_tasks.questions import Question, QuestionSet, checked, part_stamps, questions_digest, with_pictures

NAME = "gqa@1"
DEFAULT_PROTOCOL = "gqa-official"
LICENCE = "CC BY 4.0"
QUESTIONS: Mapping[str, int | None] = {
    "testdev_balanced": 12_578,
    "val_balanced": 132_062,
    "testdev_all": None,
    "val_all": None,
}
"""Questions in each split, None where that is not known."""
_GET = "https://cs.stanford.edu/people/dorarad/gqa/download.html"


class _Groups(Strict):
    whole: str | None = Field(None, alias="global")


class _Types(Strict):
    detailed: str
    semantic: str
    structural: str


class _Question(Strict):
    image_id: str = Field(alias="imageId")
    question: str
    answer: str
    balanced: bool = Field(alias="isBalanced")
    groups: _Groups
    types: _Types
    entailed: list[str] = Field(default_factory=list)


class _Choices(Strict):
    valid: list[str]
    plausible: list[str]


def gqa(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> QuestionTask:
    """Return the task on the data that the workspace names.

    Raises:
        UsageError: an option has no such value, or a hub dataset is asked for.
        DataError: the data are missing or malformed.
    """
    if workspace.data is not None and workspace.data.startswith("hf:"):
        raise UsageError(f"gqa is read from its official files, not from {workspace.data}; get them from {_GET}")
    prompt = chosen_prompt(options, QUESTION_PROMPTS)
    items: dict[str, GqaItem] = {}

    def official(workspace: Workspace, directory: Path, split: str) -> QuestionSet:
        found, held = _official(directory, split)
        items.update(held)
        return found

    source = Source("gqa", official, tuple(QUESTIONS), LICENCE)
    here, questions = chosen_questions(workspace, options, source)
    fields = task_fields(questions, prompt)
    metrics: tuple[AnyMetric, ...] = gqa_metrics(protocol or DEFAULT_PROTOCOL, fields, items)
    return QuestionTask(here, NAME, questions, prompt, metrics)


def _official(directory: Path, split: str) -> tuple[QuestionSet, dict[str, GqaItem]]:
    document = required_document(directory, f"{split}_questions.json", "questions1.2.zip", _GET)
    adapter = TypeAdapter(dict[str, _Question])
    file = parsed(adapter, document.content, document.where, f"GQA's official {split}_questions.json")
    choices = _choices(directory, split.partition("_")[0])
    missing = next((id_ for id_ in file if choices is not None and id_ not in choices), None)
    if missing is not None:
        raise DataError(f"the choices beside {document.where} lack question {missing}; fetch both files again")
    listed = checked([_question(id_, one) for id_, one in file.items()], document.where, None)
    pictures = with_pictures(listed, picture_stores((directory,), ("images",), _GET), document.where)
    stamps = part_stamps(f"GQA {split}", len(listed), QUESTIONS[split])
    items = {id_: _item(one, choices[id_] if choices else None) for id_, one in file.items()}
    digest = questions_digest(listed)
    return QuestionSet(f"gqa {split}", split, tuple(listed), pictures, digest, LICENCE, stamps), items


def _choices(directory: Path, tier: str) -> dict[str, _Choices] | None:
    document = official_document(directory, f"{tier}_choices.json", "eval.zip")
    if document is None:
        return None
    return parsed(
        TypeAdapter(dict[str, _Choices]), document.content, document.where, f"GQA's official {tier}_choices.json"
    )


def _question(id_: str, one: _Question) -> Question:
    strata = (("structural_type", one.types.structural), ("semantic_type", one.types.semantic))
    return Question(id_, one.image_id, f"{one.image_id}.jpg", one.question, (one.answer,), strata)


def _item(one: _Question, choices: _Choices | None) -> GqaItem:
    common = ("color", "material", "shape") if "Common" in one.types.detailed else None
    return GqaItem(
        answer=one.answer,
        balanced=one.balanced,
        open=one.types.structural == "query",
        group=one.groups.whole,
        entailed=tuple(one.entailed),
        valid=None if choices is None else common or tuple(choices.valid),
        plausible=None if choices is None else common or tuple(choices.plausible),
    )
