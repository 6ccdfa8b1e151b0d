"""Editing on blocksworld: the edit done, and all else kept (`blocksworld_edit@1`, text-guided-editing).

One item: turn 1 of session 100001, the picture 100001-input.png with the instruction

    Make the large yellow shape purple.

The model is shown the picture and told the instruction, as it stands. Each of the 500 turns of the 250 sessions is
asked on its true source picture (single turn).

Protocol. The oracle reads the answer (`blocksworld/oracle.py`) and it is compared with the true target scene. What the
instruction does not say is to stay as it was.

    edit_success    the edit is done and all else is preserved; also by kind of edit and by turn
    edit_done       what was asked for is there: the block has the colour, size, shape or place, or all that was said of
                    a new one; it is gone from where it was taken away; or the background is the one asked for
    preserved       every other block has its shape, colour, size, texture and third of the picture, the changed one
                    what was not to change, the background is the old one, and no other block is there
    l1_outside      mean absolute difference from the source outside the mask, pixels in 0 to 1; an answer of another
                    size is first brought to that of the source, bicubic, as MagicBrush has it (arXiv:2306.10012)

Pitfalls. Returning the source is preserved in full and never done: read both beside `edit_success`. The mask holds
where the block of the true target lies: one that is moved elsewhere within the third asked for succeeds, at the price
of a larger `l1_outside`.

Data: shipped with evalkit, Apache-2.0. There are no published numbers; the ceiling, by `-m oracle`, is in
blocksworld/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from evalkit.images import Pixels, pixels
from evalkit.interfaces import Scored
from evalkit.metrics.means import Measure, Tally
from evalkit.types import Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import HeldOutEdit, embedded, held_out_edits
from evalkit_tasks.blocksworld.judging import edited
from evalkit_tasks.blocksworld.oracle import read
from evalkit_tasks.blocksworld.task import HeldOutTask, answered_pixels, judged_metric
from evalkit_tasks.blocksworld.truth import Inside

NAME = "blocksworld_edit@1"
PROMPT = "the source picture, the instruction as it stands"
MEASURES = (
    Measure("edit_success", by=("edit_type", "turn")),
    Measure("edit_done", by=("edit_type",)),
    Measure("preserved", by=("edit_type",)),
    Measure("l1_outside", unit="mean absolute difference", higher_is_better=False),
)


@dataclass(frozen=True, slots=True)
class EditJudge:
    """Compares answers with the edits that were asked for, which it knows by sample id."""

    edits: Mapping[str, HeldOutEdit]

    def __call__(self, scored: Scored) -> dict[str, Tally]:
        """Return the tallies of one answer."""
        edit, answer = self.edits[scored.sample.id], answered_pixels(scored)
        found = edited(edit.source, edit.target, read(answer))
        outside = edit.outside()
        return {
            "edit_success": Tally(float(found.done and found.preserved)),
            "edit_done": Tally(float(found.done)),
            "preserved": Tally(float(found.preserved)),
            "l1_outside": Tally(l1_inside(answer, pixels(edit.before()), outside), float(outside.any())),
        }


def l1_inside(answer: Pixels, source: Pixels, region: Inside) -> float:
    """Return the mean absolute difference, 0 to 1, of two pictures in `region` `(H, W)` of the second; 0 of nothing."""
    if answer.shape != source.shape:
        height, width, _ = source.shape
        resized = PillowImage.fromarray(answer).resize((width, height), PillowImage.Resampling.BICUBIC)
        answer = np.asarray(resized)
    if not region.any():
        return 0.0
    difference = np.abs(answer[region].astype(np.float64) - source[region])
    return float(difference.mean()) / 255


def blocksworld_edit(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task.

    Raises:
        UsageError: other data are asked for.
        DataError: the shipped files are damaged.
    """
    here = embedded(workspace)
    edits = {f"{edit.session}-{edit.turn}": edit for edit in held_out_edits()}
    samples = tuple(_sample(name, edit) for name, edit in edits.items())
    metric = judged_metric(PROMPT, MEASURES, EditJudge(edits))
    return HeldOutTask(here, NAME, "text-guided-editing", samples, (metric,))


def _sample(name: str, edit: HeldOutEdit) -> Sample:
    strata = (("edit_type", edit.kind), ("turn", str(edit.turn)), ("blocks", str(len(edit.source.blocks))))
    return Sample(name, (edit.before(), Text(edit.instruction)), (edit.after(),), strata, str(edit.session))
