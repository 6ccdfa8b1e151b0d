"""Small sets of questions in the benchmarks' official formats, made on the spot."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tasks.coco_files import picture_bytes

Document = dict[str, Any]

QUESTIONS: Sequence[tuple[int, int, str, str, str, tuple[str, ...]]] = (
    (42000, 42, "How many cats are on the mat?", "how many", "number", ("2",) * 6 + ("two",) * 2 + ("3",) * 2),
    (42001, 42, "Is this a cat?", "is this a", "yes/no", ("yes",) * 10),
    (5000, 5, "What color is the grass?", "what color is the", "other", ("green",) * 7 + ("dark green",) * 3),
)
"""Question id, image id, question, question type, answer type, and ten people's answers."""


def _unchanged(document: Document) -> None:
    return None


def vqa_documents(subtype: str, raw: bool = False) -> tuple[Document, Document]:
    """Return the questions and annotations of VQAv2's format; `raw` adds OK-VQA's raw answers."""
    questions = [{"question_id": q, "image_id": i, "question": text} for q, i, text, *_ in QUESTIONS]
    annotations = [
        {
            "question_id": q,
            "image_id": i,
            "question_type": kind,
            "answer_type": answer_type,
            "multiple_choice_answer": answers[0],
            "answers": [
                {
                    "answer_id": n + 1,
                    "answer": text,
                    "answer_confidence": "yes",
                    **({"raw_answer": f"{text}s"} if raw else {}),
                }
                for n, text in enumerate(answers)
            ],
        }
        for q, i, _, kind, answer_type, answers in QUESTIONS
    ]
    shared = {"info": {"version": "2.0"}, "data_type": "mscoco", "data_subtype": subtype}
    return {**shared, "questions": questions}, {**shared, "annotations": annotations}


def write_vqa(
    directory: Path,
    split: str = "val",
    zipped: bool = False,
    questions: Callable[[Document], None] = _unchanged,
    annotations: Callable[[Document], None] = _unchanged,
) -> Path:
    """Write VQAv2's official files of a split, changed by the callables, and return `directory`."""
    subtype = {"val": "val2014", "train": "train2014", "test-dev": "test-dev2015"}[split]
    asked, told = vqa_documents(subtype)
    questions(asked)
    annotations(told)
    of = {"val": "Val", "train": "Train", "test-dev": "Test"}[split]
    files = {f"v2_OpenEnded_mscoco_{subtype}_questions.json": (asked, f"v2_Questions_{of}_mscoco.zip")}
    if split != "test-dev":
        files[f"v2_mscoco_{subtype}_annotations.json"] = (told, f"v2_Annotations_{of}_mscoco.zip")
    for name, (document, archive) in files.items():
        write(directory, name, document, archive if zipped else None)
    folder = "test2015" if split == "test-dev" else subtype
    if split != "train":
        write_pictures(directory, folder, (f"COCO_{folder}_{image:012d}.jpg" for image in (42, 5)), zipped)
    return directory


def write(directory: Path, name: str, document: object, archive: str | None = None) -> None:
    """Write a JSON file into `directory`, or as a member of the zip `archive` there."""
    directory.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document)
    if archive is None:
        (directory / name).write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(directory / archive, "a") as opened:
        opened.writestr(name, text)


def write_pictures(directory: Path, folder: str, names: Any, zipped: bool = False) -> None:
    """Write a small picture of each name, which differs with its place, into a folder or a zip of that name."""
    contents: Mapping[str, bytes] = {name: picture_bytes(place) for place, name in enumerate(names)}
    if zipped:
        with zipfile.ZipFile(directory / f"{folder}.zip", "w") as opened:
            for name, content in contents.items():
                opened.writestr(f"{folder}/{name}", content)
        return
    (directory / folder).mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / folder / name).write_bytes(content)


def write_okvqa(directory: Path) -> Path:
    """Write OK-VQA's official files as zips of one member."""
    asked, told = vqa_documents("val2014", raw=True)
    told["question_types"] = {"how many": "Brands", "is this a": "Plants and Animals"}
    for name, document in (
        ("OpenEnded_mscoco_val2014_questions.json", asked),
        ("mscoco_val2014_annotations.json", told),
    ):
        write(directory, name, document, f"{name}.zip")
    write_pictures(directory, "val2014", (f"COCO_val2014_{image:012d}.jpg" for image in (42, 5)))
    return directory


def write_textvqa(directory: Path, split: str = "val") -> Path:
    """Write TextVQA's official file of `split` with the Rosetta words and the pictures."""
    data = [
        {"question_id": q, "image_id": f"{i:016x}", "question": text.lower(), "set_name": split, "image_width": 30}
        | ({"answers": list(answers)} if split == "val" else {})
        for q, i, text, _, _, answers in QUESTIONS
    ]
    seen = [{"image_id": f"{i:016x}", "ocr_tokens": ["STOP", f"{i}"], "ocr_info": []} for i in (42, 5)]
    write(directory, f"TextVQA_0.5.1_{split}.json", {"dataset_name": "textvqa", "data": data})
    write(directory, f"TextVQA_Rosetta_OCR_v0.2_{split}.json", {"data": seen})
    folder = "train_images" if split == "val" else "test_images"
    write_pictures(directory, folder, (f"{image:016x}.jpg" for image in (42, 5)))
    return directory


def write_vizwiz(directory: Path, split: str = "val", zipped: bool = False) -> Path:
    """Write VizWiz' official file of `split`; the second question is unanswerable."""
    rows: list[Document] = []
    for number, (_, _, text, _, kind, answers) in enumerate(QUESTIONS):
        row: Document = {"image": f"VizWiz_{split}_{number:08d}.jpg", "question": text}
        if split != "test":
            told = ("unanswerable",) * 10 if number == 1 else answers
            row["answers"] = [{"answer": answer, "answer_confidence": "yes"} for answer in told]
            row |= {"answer_type": "unanswerable" if number == 1 else kind, "answerable": int(number != 1)}
        rows.append(row)
    write(directory, f"{split}.json", rows, "Annotations.zip" if zipped else None)
    write_pictures(directory, split, [row["image"] for row in rows], zipped)
    return directory


def gqa_document() -> Document:
    """Return four questions of GQA's format: three balanced, one that is entailed by the first and is not."""

    def question(
        text: str, answer: str, structural: str, group: str | None, entailed: list[str], **more: object
    ) -> Document:
        types = {
            "detailed": more.get("detailed", "existC"),
            "semantic": more.get("semantic", "obj"),
            "structural": structural,
        }
        return {
            "imageId": more.get("image", "n1"),
            "question": text,
            "answer": answer,
            "isBalanced": more.get("balanced", True),
            "groups": {"global": group, "local": "x"},
            "entailed": entailed,
            "equivalent": [],
            "types": types,
            "semantic": [],
            "fullAnswer": answer,
        }

    return {
        "01": question("Is there a cat?", "yes", "verify", None, ["01", "04"]),
        "02": question("What animal is it?", "cat", "query", "animal", ["02"], semantic="cat", image="n2"),
        "03": question("Which color do both have?", "red", "query", "color", [], detailed="twoCommon", image="n2"),
        "04": question("Are there animals?", "yes", "verify", None, [], balanced=False),
    }


def write_gqa(directory: Path, split: str = "val_balanced", choices: bool = True, zipped: bool = False) -> Path:
    """Write GQA's official files; balanced splits lack the fourth question."""
    document = gqa_document()
    if split.endswith("balanced"):
        del document["04"]
    write(directory, f"{split}_questions.json", document, "questions1.2.zip" if zipped else None)
    if choices:
        known = {id_: {"valid": ["yes", "no"], "plausible": ["yes"]} for id_ in document}
        known["02"] = {"valid": ["cat", "dog"], "plausible": ["cat"]}
        write(directory, f"{split.partition('_')[0]}_choices.json", known)
    write_pictures(directory, "images", ("n1.jpg", "n2.jpg"), zipped)
    return directory
