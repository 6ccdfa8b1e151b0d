"""What the visual question benchmarks share: which questions are asked, how, and where they are looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import DataError, UsageError, nearest
from evalkit.interfaces import AnyMetric, DataCard, Scored
from evalkit.keys import digest
from evalkit.types import Job, Json, JsonScalar, Request, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.caption_sets import DEMO
from evalkit_tasks.official_files import Archive, Document, Folder, official_document, photo_store, photos_place
from evalkit_tasks.prompts import Prompt
from evalkit_tasks.questions import Question, QuestionSet
from evalkit_tasks.shown import ShownSamples, named_picture


@dataclass(frozen=True, slots=True)
class Source:
    """Where the questions of one benchmark come from.

    `official(directory, split)` reads its files as they are downloaded, `demo` is the embedded set in the same format,
    where that makes sense. `hub_split` and `annotators` are for hub datasets.
    """

    name: str
    official: Callable[[Workspace, Path, str], QuestionSet]
    splits: tuple[str, ...]
    """Official splits, the default first."""
    licence: str
    demo: Callable[[], QuestionSet] | None = None
    annotators: int | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """What `--data` understands."""
        return (self.name, *(("blocksworld",) if self.demo else ()), "hf:REPO@REVISION")


def chosen_questions(workspace: Workspace, options: Mapping[str, str], source: Source) -> tuple[Workspace, QuestionSet]:
    """Return the questions that the workspace and the options ask for, and the workspace with what was chosen.

    Without `--data` the official files are taken where their folder is, else the embedded set, if there is one.

    Raises:
        UsageError: no such data or split.
        DataError: the data are missing or malformed; the message says how to get them.
    """
    name, split = workspace.data, options.get("split", "")
    directory = workspace.data_dir or workspace.datasets / source.name
    if name is not None and name.startswith("hf:"):
        from evalkit_tasks.hub_questions import hub_questions

        return replace(workspace, data_dir=None), hub_questions(workspace, name[3:], options, source.annotators)
    if name is None:
        name = source.name
        if source.demo is not None and workspace.data_dir is None and not directory.is_dir():
            workspace.progress.say(
                f"no {source.name} in {directory}: using the embedded blocksworld, and stamping its numbers as {DEMO} "
                f"(`evalkit fetch {source.name}` gets the real questions, or name their folder with --data-dir)"
            )
            name = "blocksworld"
    if name == "blocksworld" and source.demo is not None:
        if workspace.data_dir is not None or split not in {"", "val"}:
            raise UsageError("--data blocksworld takes no --data-dir and has the split val only; leave them out")
        return replace(workspace, data=name), source.demo()
    if name != source.name:
        raise UsageError(f"no data named {name!r} for this task{nearest(name, source.known)}")
    split = split or source.splits[0]
    if split not in source.splits:
        raise UsageError(f"{source.name} has no split {split!r}{nearest(split, source.splits)}")
    return replace(workspace, data=name, data_dir=directory), source.official(workspace, directory, split)


@dataclass(frozen=True, slots=True)
class QuestionTask:
    """A benchmark of questions about pictures."""

    workspace: Workspace
    name: str
    """Versioned name."""
    questions: QuestionSet
    prompt: Prompt
    scoring: tuple[AnyMetric, ...]

    @property
    def job(self) -> Job:
        """What its requests ask for."""
        return "vqa"

    @property
    def data(self) -> DataCard:
        """The questions."""
        return DataCard(self.questions.name, self.questions.digest, self.questions.licence, self.questions.stamps)

    def samples(self) -> Sequence[Sample]:
        """Return one sample a question, in the order of the file: the picture, the question, and OCR's words if shown.

        Standard errors are clustered by picture.
        """
        asked = self.questions.questions
        pictures = [
            named_picture(f"picture of question {question.id}", picture)
            for question, picture in zip(asked, self.questions.pictures, strict=True)
        ]
        return ShownSamples(self.workspace, [self._sample(question) for question in asked], pictures)

    def _sample(self, question: Question) -> Sample:
        words = (Text(", ".join(question.ocr)),) if self.prompt.wants_ocr else ()
        people = tuple(map(Text, question.answers))
        return Sample(question.id, (Text(question.text), *words), people, question.strata, question.image)

    def request(self, sample: Sample, seed: int) -> Request:
        """Return the picture with the question as the prompt puts it."""
        picture, *texts = sample.parts
        words = [part.text for part in texts if isinstance(part, Text)]
        values = dict(zip(("question", "ocr"), words, strict=False))
        parts = (picture, Text(self.prompt.words(values)))
        return Request(task=self.name, sample_id=sample.id, job=self.job, parts=parts, seed=seed)

    def metrics(self) -> Sequence[AnyMetric]:
        """Return the task's metrics."""
        return self.scoring


def task_fields(questions: QuestionSet, prompt: Prompt) -> dict[str, JsonScalar]:
    """Return what every protocol of a question benchmark says: the data, the prompt, and the people's answers."""
    answers: list[Json] = [[question.id, list(question.answers)] for question in questions.questions]
    return {"data": questions.name, "prompt": prompt.field, "answers_digest": digest(answers)}


def required_document(directory: Path, name: str, archive: str | None, get: str) -> Document:
    """Return an official file in `directory`, or in the archive as it is downloaded.

    Raises:
        DataError: it is not there; `get` says where it is had.
    """
    found = official_document(directory, name, archive)
    if found is None:
        other = f" and no {archive} that holds it" if archive else ""
        raise DataError(f"{directory} has no {name}{other}; get it from {get}, or name another folder with --data-dir")
    return found


def picture_stores(directories: Sequence[Path], folders: Sequence[str], get: str) -> list[Folder | Archive]:
    """Return the places among `directories` that hold one of `folders`, as a folder or as a zip of that name.

    Raises:
        DataError: none does; `get` says where the pictures are had.
    """
    found = [(place, folder) for place in directories for folder in folders if photos_place(place, folder)]
    if not found:
        names = " or ".join(f"{folder}/ or {folder}.zip" for folder in folders)
        raise DataError(f"no {names} in {' or '.join(map(str, directories))}; get the pictures from {get}")
    return [photo_store(place, folder, "") for place, folder in found]


def answer_entry(scored: Scored, said: str) -> Json:
    """Return the entry that EvalAI reads for one question: its id as a number where it is one."""
    id_ = scored.sample.id
    return {"question_id": int(id_) if id_.isascii() and id_.isdigit() else id_, "answer": said}
