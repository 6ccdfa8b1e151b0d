"""Questions about pictures, whatever files they come from, and the laws that all of them keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture, ZipPicture
from evalkit.keys import digest
from evalkit.types import Json
from evalkit_tasks.coco_json import require_inside, require_new, require_text
from evalkit_tasks.official_files import Archive, Folder

ANNOTATORS = 10
"""People who answered each question of the VQA family."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question as its file has it. `file` is its picture's path below the folder or zip that holds the pictures.

    `answers` are people's, empty where they are not public; `ocr` are words that an OCR system read in the picture.
    """

    id: str
    image: str
    file: str
    text: str
    answers: tuple[str, ...]
    strata: tuple[tuple[str, str], ...] = ()
    ocr: tuple[str, ...] = ()

    @property
    def document(self) -> list[Json]:
        """All of it that could change what is asked or scored."""
        answers: list[Json] = list(self.answers)
        return [
            self.id,
            self.image,
            self.file,
            self.text,
            answers,
            [list(pair) for pair in self.strata],
            list(self.ocr),
        ]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """One split of a dataset of questions; `pictures` are those of the questions, in their order."""

    name: str
    split: str
    questions: tuple[Question, ...]
    pictures: tuple[FilePicture | ZipPicture, ...]
    digest: str
    licence: str
    stamps: tuple[str, ...] = ()


def checked(questions: Iterable[Question], where: str, annotators: int | None) -> list[Question]:
    """Return `questions` if each id, text and picture's name can be right.

    `annotators` is how many answers each must have; None: the answers are not public.

    Raises:
        DataError: one cannot; the message names `where` and the question.
    """
    seen: set[str] = set()
    found = list(questions)
    for question in found:
        require_new(question.id, seen, f"{where}: question id")
        require_text(question.text, f"{where}: question {question.id}")
        require_inside(question.file, f"{where}: question {question.id}")
        if annotators is not None:
            require_answers(question.id, len(question.answers), annotators, where)
    if not found:
        raise DataError(f"{where} holds no questions; fetch it again")
    return found


def require_answers(question: str | int, found: int, annotators: int, where: str) -> None:
    """Return if a question has as many answers as the score is defined for; else DataError."""
    if found != annotators:
        raise DataError(
            f"{where}: question {question} has {found} answers instead of {annotators}, and the score is defined for "
            "that number; fetch the file again"
        )


def require_split(found: str, wanted: str, what: str) -> None:
    """Return if `what` is of the split `wanted`, or does not say of which; else DataError."""
    if found and found != wanted:
        raise DataError(f"{what} is of {found}, not of {wanted}; name that split's file, or choose with -t split=")


def with_pictures(
    questions: Sequence[Question], stores: Sequence[Folder | Archive], where: str
) -> tuple[FilePicture | ZipPicture, ...]:
    """Return the picture of each question, from the first store that holds it.

    Raises:
        DataError: a picture is in none; the first one and how many are named.
    """
    found = {file: _stored(file, stores) for file in dict.fromkeys(question.file for question in questions)}
    missing = [question for question in questions if found[question.file] is None]
    if missing:
        places = " or ".join(str(store.path) for store in stores)
        raise DataError(
            f"{sum(picture is None for picture in found.values()):,} of the {len(found):,} images that {where} asks "
            f"about are missing, the first being {missing[0].file} of question {missing[0].id} in {places}; complete "
            "the folder, or give the official zip in its place"
        )
    return tuple(picture for question in questions if (picture := found[question.file]) is not None)


def _stored(file: str, stores: Sequence[Folder | Archive]) -> FilePicture | ZipPicture | None:
    return next((picture for store in stores if (picture := store.find(file)) is not None), None)


def questions_digest(questions: Iterable[Question]) -> str:
    """Return the digest of a set of questions, their order included."""
    return digest([question.document for question in questions])


def part_stamps(what: str, found: int, full: int | None) -> tuple[str, ...]:
    """Return the stamp of a split of which not all questions are there; `full` is None where that is not known."""
    return () if full in {None, found} else (f"{found:,} of the {full:,} questions of {what}",)


def commonest(answers: Sequence[str]) -> str:
    """Return the answer that most people gave, the first of equals."""
    return Counter(answers).most_common(1)[0][0]
