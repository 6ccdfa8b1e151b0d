"""Text to image on blocksworld, judged by what the caption says (`blocksworld_composition@1`, text-to-image).

One item: picture 2 of the held-out set, its caption that tells where things are,

    A green diamond to the left of a purple cross, along with a red square, a purple cross and a red diamond.

The model is asked for a picture of the caption, as it stands. Of the five captions of each picture one is asked, drawn
once and for all by the image id, so that all five kinds occur (`terse`, `number`, `place`, `looks`, `full`).

Protocol. The oracle reads the picture (`blocksworld/oracle.py`), the caption is parsed (`blocksworld/parser.py`), and
only what it says is judged: a terse caption does not say where.

    composition          pictures in which objects, colours, count and positions are all right, as far as they are named
    objects              each described thing is there, with its shape
    object_colours       with its colour
    count                there are as many blocks as the caption tells of: no more and no fewer
    positions            the named places, in thirds of the picture, and the relation are right
    looks                the named sizes and textures are right; no part of `composition`
    background           the named background is right; no part of `composition`
    geneval_...          GenEval's six tasks, where the caption is of such a task (arXiv:2310.11513); their published
                         mean over six is another number than `composition`, which every prompt enters once

Each described thing stands for one block of the picture, the best pairing being taken. Left of, above and so on hold by
GenEval's rule, places by the third that a block's centre lies in, in front and behind by what hides a twentieth.

Pitfalls. What is drawn but cannot be read as a block does not count as there: pictures in another style than
blocksworld's are not judged by this. On noisy or blurred pictures the oracle errs: blocksworld/README.md says how much.

Data: shipped with evalkit, Apache-2.0. There are no published numbers; the ceiling, by `-m oracle`, is in
blocksworld/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.interfaces import Scored
from evalkit.metrics.means import Measure, Tally
from evalkit.types import Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import HeldOutPicture, asked_caption, embedded, held_out_pictures
from evalkit_tasks.blocksworld.judging import composed, geneval
from evalkit_tasks.blocksworld.parser import claims_of
from evalkit_tasks.blocksworld.task import HeldOutTask, answered_reading, judged_metric

NAME = "blocksworld_composition@1"
PROMPT = "one of the five captions, drawn by image id, as it stands"
MEASURES = (
    Measure("composition", by=("stratum", "caption_kind")),
    *map(Measure, ("objects", "object_colours", "count", "positions", "looks", "background")),
    *map(Measure, ("geneval_single", "geneval_two", "geneval_counting", "geneval_colours")),
    *map(Measure, ("geneval_position", "geneval_colour_attribution")),
)


def judge(scored: Scored) -> dict[str, Tally]:
    """Return the tallies of one picture, against the caption that was asked."""
    (prompt,) = (part.text for part in scored.sample.parts if isinstance(part, Text))
    claims, reading = claims_of(prompt), answered_reading(scored)
    whole, tasks = composed(claims, reading), geneval(claims, reading)
    judged = {
        "composition": whole.right,
        "objects": whole.objects,
        "object_colours": whole.colours,
        "count": whole.count,
        "positions": whole.positions,
        "looks": whole.looks,
        "background": whole.background,
        "geneval_single": tasks.single,
        "geneval_two": tasks.two,
        "geneval_counting": tasks.counting,
        "geneval_colours": tasks.colours,
        "geneval_position": tasks.position,
        "geneval_colour_attribution": tasks.colour_attribution,
    }
    return {name: Tally(float(right)) for name, right in judged.items() if right is not None}


def blocksworld_composition(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task.

    Raises:
        UsageError: other data are asked for.
        DataError: the shipped files are damaged.
    """
    here = embedded(workspace)
    samples = tuple(_sample(picture) for picture in held_out_pictures(here))
    return HeldOutTask(here, NAME, "text-to-image", samples, (judged_metric(PROMPT, MEASURES, judge),))


def _sample(picture: HeldOutPicture) -> Sample:
    kind, caption = asked_caption(picture)
    strata = (*picture.strata, ("caption_kind", kind))
    return Sample(f"{picture.id}-{caption.id}", (Text(caption.text),), (picture.image(),), strata, str(picture.id))
