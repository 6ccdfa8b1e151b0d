"""The oracle: a model that knows the truth behind every blocksworld sample, the ceiling of its metrics.

It finds the scene by what it is shown and asked, never by the references: a picture by its pixels, a wish for a picture
by the image id in the sample's id together with the caption.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from evalkit.errors import DataError, UsageError
from evalkit.images import image_of
from evalkit.keys import digest
from evalkit.types import IMAGE_JOBS, Answer, Failure, Generation, Image, Job, Json, JsonScalar, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld import ORACLE_MODEL
from evalkit_tasks.blocksworld.captions import captions
from evalkit_tasks.blocksworld.files import document
from evalkit_tasks.blocksworld.records import scene_of
from evalkit_tasks.blocksworld.render import PIXELS, render
from evalkit_tasks.blocksworld.scene import Scene
from evalkit_tasks.drawn_text import SIDE, drawn_text
from evalkit_tasks.text_prompts import quoted_text

TEXT_RENDERING = "text_rendering@1"
"""The task whose words are drawn, though they are not of blocksworld."""
_CODE = 1
"""Version of what this file answers; another answer to the same request is another version."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Truth:
    """What is behind the shipped pictures.

    `scenes` and `captions` are found by image id; `seen`, `targets` and `answers` by the digest of a picture's pixels,
    the latter two holding pairs of an instruction or question and what follows from it.
    """

    scenes: Mapping[int, Scene]
    captions: Mapping[int, Sequence[str]]
    seen: Mapping[str, Scene]
    targets: Mapping[str, Sequence[tuple[str, Scene]]]
    answers: Mapping[str, Sequence[tuple[str, str]]]
    digest: str


@dataclass(frozen=True, slots=True)
class Oracle:
    """Answers from the truth. A picture has the size that is asked for, else 64 pixels a side."""

    truth: Truth

    @property
    def name(self) -> str:
        """`oracle`."""
        return ORACLE_MODEL.name

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The version of its code and the digest of what it knows."""
        return {"model": "blocksworld oracle", "code": _CODE, "data": self.truth.digest}

    @property
    def capabilities(self) -> frozenset[Job]:
        """Every job."""
        return frozenset(ORACLE_MODEL.jobs)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield the true answer to each request, or a `missing` failure for what is not of blocksworld."""
        for position, request in enumerate(requests):
            yield position, self._answer(request)

    def _answer(self, request: Request) -> Answer:
        if request.task == TEXT_RENDERING:
            return _written(request)
        if request.job in IMAGE_JOBS:
            scene = self._edited(request) if request.job == "text-guided-editing" else self._wished(request)
            return _missing(request) if scene is None else _drawn(scene, request)
        text = self._said(request)
        return _missing(request) if text is None else Generation((Text(text),))

    def _wished(self, request: Request) -> Scene | None:
        """Return the scene of the image id that the sample's id starts with, if a caption of it is asked for."""
        found = re.match(r"\D*(\d+)", request.sample_id)
        image = int(found[1]) if found else -1
        wish = _words(request)
        known = any(caption in wish for caption in self.truth.captions.get(image, ()))
        return self.truth.scenes.get(image) if known or not wish else None

    def _edited(self, request: Request) -> Scene | None:
        edits = [edit for shown in _shown(request) for edit in self.truth.targets.get(shown, ())]
        return _longest_match(edits, _words(request))

    def _said(self, request: Request) -> str | None:
        shown = _shown(request)
        if request.job == "vqa":
            answers = [answer for picture in shown for answer in self.truth.answers.get(picture, ())]
            return _longest_match(answers, _words(request))
        scenes = [self.truth.seen[picture] for picture in shown if picture in self.truth.seen]
        # Not a reference: another annotator's words for the same picture, drawn by the request's seed.
        return captions(scenes[0], request.seed)[3] if scenes else None


def _words(request: Request) -> str:
    return "\n".join(part.text for part in request.parts if isinstance(part, Text))


def _shown(request: Request) -> list[str]:
    return [part.digest for part in request.parts if isinstance(part, Image)]


def _longest_match(pairs: Sequence[tuple[str, V]], text: str) -> V | None:
    """Return what goes with the longest phrase that `text` holds, whatever prompt stands around it."""
    held = [(phrase, value) for phrase, value in pairs if phrase in text]
    return max(held, key=lambda pair: len(pair[0]))[1] if held else None


def _missing(request: Request) -> Failure:
    what = f"sample {request.sample_id} of {request.task}"
    return Failure("missing", f"{what} is not of blocksworld; use --data blocksworld")


def _written(request: Request) -> Answer:
    text = quoted_text(_words(request))
    if not text:
        return Failure("malformed", f"sample {request.sample_id} quotes no words to be written")
    width, height = request.width or request.height or SIDE, request.height or request.width or SIDE
    return Generation((image_of(drawn_text(text, width, height)),))


def _drawn(scene: Scene, request: Request) -> Answer:
    width = request.width or request.height or PIXELS
    if (request.height or width) != width or not 16 <= width <= 1024:
        asked = f"{request.width} x {request.height}"
        return Failure("malformed", f"the oracle draws squares of 16 to 1024 pixels, not {asked}; ask for another size")
    return Generation((image_of(render(scene, width)),))


def known_truth() -> Truth:
    """Return what is behind the shipped files.

    Raises:
        DataError: a file is missing or damaged.
    """
    names = ("scenes_val.json", "captions_val.json", "questions_val.json", "answers_val.json")
    documents = {name: document(name) for name in names}
    try:
        return _truth(documents, digest(dict(documents)))
    except (KeyError, TypeError) as error:
        raise DataError(f"blocksworld's annotations are damaged ({error!r}); install evalkit again") from error


def _truth(documents: Mapping[str, dict[str, Json]], whole: str) -> Truth:
    scenes: dict[int, Scene] = {}
    digests: dict[int, str] = {}
    for row in _rows(documents["scenes_val.json"]["scenes"]):
        image = _number(row["image_id"])
        scenes[image] = scene_of(row["scene"], f"scenes_val.json, image {image}")
        digests[image] = str(row["pixel_digest"])
    captioned: dict[int, list[str]] = {}
    for row in _rows(documents["captions_val.json"]["annotations"]):
        captioned.setdefault(_number(row["image_id"]), []).append(str(row["caption"]))
    targets: dict[str, list[tuple[str, Scene]]] = {}
    for row in _rows(documents["scenes_val.json"]["edits"]):
        target = scene_of(row["target"], f"scenes_val.json, edit {row['img_id']}")
        targets.setdefault(str(row["source_digest"]), []).append((str(row["instruction"]), target))
    told = _rows(documents["answers_val.json"]["annotations"])
    answer_of = {_number(row["question_id"]): str(row["multiple_choice_answer"]) for row in told}
    answers: dict[str, list[tuple[str, str]]] = {}
    for row in _rows(documents["questions_val.json"]["questions"]):
        pair = str(row["question"]), answer_of[_number(row["question_id"])]
        answers.setdefault(digests[_number(row["image_id"])], []).append(pair)
    seen = {digests[image]: scene for image, scene in scenes.items()}
    return Truth(scenes, captioned, seen, targets, answers, whole)


def _rows(value: Json) -> list[dict[str, Json]]:
    rows = value if isinstance(value, list) else [value]
    found = [row for row in rows if isinstance(row, dict)]
    if len(found) < len(rows):
        raise TypeError("a list of objects was expected")
    return found


def _number(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not a whole number")
    return value


def oracle_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Oracle:
    """Return the oracle.

    Raises:
        UsageError: something stands behind the colon of `oracle:`, or an option is given.
        DataError: the shipped files are damaged.
    """
    if argument or options:
        raise UsageError("the oracle takes neither an argument nor options; write -m oracle")
    return Oracle(known_truth())
