"""GenEval's prompts: the official `evaluation_metadata.jsonl`, read strictly.

One line of its 553:

    {"tag": "position", "include": [{"class": "teddy bear", "count": 1},
     {"class": "dog", "count": 1, "position": ["right of", 0]}], "prompt": "a photo of a dog right of a teddy bear"}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter

from evalkit.errors import DataError
from evalkit_tasks.coco_json import Strict, parsed, require_new
from evalkit_tasks.edit_sets import require_text
from evalkit_tasks.geneval_judging import COLOURS, TAGS, Clause, Item, Relation

COUNTS: Mapping[str, int] = dict(zip(TAGS, (80, 99, 80, 94, 100, 100), strict=True))
"""Prompts of each task."""
LICENCE = "MIT"


class _Clause(Strict):
    name: str = Field(alias="class")
    count: int = Field(ge=1)
    color: str | None = None
    position: tuple[Relation, int] | None = None


class _Line(Strict):
    tag: Literal["single_object", "two_object", "counting", "colors", "position", "color_attr"]
    include: list[_Clause] = Field(min_length=1)
    exclude: list[_Clause] = Field(default_factory=list)
    prompt: str


def read_items(path: Path, names: Collection[str]) -> tuple[Item, ...]:
    """Return the prompts of an official file, in its order; `names` are the classes that may be asked for.

    Raises:
        DataError: the file is missing or malformed, a prompt stands twice, is empty or too long, or asks for an unknown
            class or colour, or for a place beside something that no earlier clause asks for.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); get it with `evalkit fetch geneval`, or name its folder with "
            "--data-dir"
        ) from error
    items, seen, adapter = [], set[str](), TypeAdapter(_Line)
    for number, line in enumerate(lines, start=1):
        where = f"{path}: line {number}"
        found = parsed(adapter, line, where, "a line of GenEval's evaluation_metadata.jsonl")
        require_new(require_text(found.prompt, f"{where}: the prompt"), seen, f"{where}: the prompt")
        items.append(
            Item(found.tag, found.prompt, _clauses(found.include, where, names), _clauses(found.exclude, where, names))
        )
    if not items:
        raise DataError(f"{path} holds no prompts; fetch it again")
    return tuple(items)


def _clauses(found: list[_Clause], where: str, names: Collection[str]) -> tuple[Clause, ...]:
    for number, one in enumerate(found):
        if one.name not in names:
            raise DataError(f"{where} asks for {one.name!r}, which is none of GenEval's 80 classes; mend the line")
        if one.color is not None and one.color not in COLOURS:
            raise DataError(f"{where} asks for the colour {one.color!r}, none of {', '.join(COLOURS)}; mend the line")
        if one.position is not None and not 0 <= one.position[1] < number:
            raise DataError(
                f"{where}: clause {number} is beside clause {one.position[1]}, no earlier one; mend the line"
            )
    return tuple(Clause(one.name, one.count, one.color, one.position) for one in found)
