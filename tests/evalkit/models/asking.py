"""Requests on real photos, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.images import read_image
from evalkit.interfaces import Model
from evalkit.types import Answer, Failure, Generation, Image, Job, Part, Request, Text


def photos(shared_data: Path, count: int) -> list[Image]:
    """The first photos of COCO that lie beside the project."""
    paths = sorted((shared_data / "coco-mini" / "val2017").glob("*.jpg"))[:count]
    return [read_image(path, str(path)) for path in paths]


def request(job: Job, *parts: Part, seed: int = 0, sample: str = "s") -> Request:
    return Request("t@1", sample, job, parts, seed)


def question(seed: int = 1, **knobs: object) -> Request:
    return replace(request("vqa", Text("What is it?"), seed=seed, sample=str(seed)), **knobs)  # type: ignore[arg-type]


def answers(model: Model, requests: Sequence[Request]) -> list[Answer]:
    """Every answer, in the order of the requests."""
    found = dict(model.generate(requests))
    return [found[position] for position in range(len(requests))]


def text(answer: Answer) -> str:
    assert isinstance(answer, Generation), answer
    (part,) = answer.parts
    assert isinstance(part, Text)
    return part.text


def picture(answer: Answer) -> Image:
    assert isinstance(answer, Generation), answer
    (part,) = answer.parts
    assert isinstance(part, Image)
    return part


def failure(answer: Answer) -> Failure:
    assert isinstance(answer, Failure), answer
    return answer
