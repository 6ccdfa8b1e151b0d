"""A third party's benchmark whose prompt may change: blocksworld's questions with words before them.

`-t words=...` are those words; with `-t told=yes` they stand in the protocol too, as they should.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from evalkit.interfaces import Option, TaskSpec
from evalkit.metrics.vqa.answers import VqaMetric
from evalkit.types import Part, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import data_fields
from evalkit_tasks.blocksworld.task import HeldOutTask
from evalkit_tasks.blocksworld_vqa import blocksworld_vqa

TASKS = (
    TaskSpec(
        name="prompted_vqa",
        version=1,
        job="vqa",
        summary="blocksworld's questions with words before them",
        factory="prompted:prompted_vqa",
        data=("blocksworld",),
        metrics=("vqa_accuracy",),
        protocols=("vqa-official",),
        options=(
            Option("words", "", "words before the question"),
            Option("told", "no", "whether the protocol says so"),
        ),
    ),
)


def prompted_vqa(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task."""
    plain, words = blocksworld_vqa(workspace, protocol, {}), options.get("words", "")

    def put(part: Part) -> Part:
        return Text(f"{words} {part.text}".strip()) if isinstance(part, Text) else part

    samples = tuple(replace(one, parts=tuple(map(put, one.parts))) for one in plain.samples())
    told = f"{words} question" if options.get("told") == "yes" else "question"
    metric = VqaMetric("vqa-official", data_fields(told), ("vqa_accuracy",))
    return HeldOutTask(plain.workspace, "prompted_vqa@1", "vqa", samples, (metric,))
