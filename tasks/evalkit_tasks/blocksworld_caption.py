"""Captioning on blocksworld, with every named attribute checked (`blocksworld_caption@1`, captioning).

One item: picture 1 of the held-out set, with the references

    There are two red rings.
    Two rings, both red, on a gray gradient background.
    There is a red ring below another red ring.
    A small red ring and a red ring on a gray gradient background.
    A medium-sized solid red ring at the top left and a small solid red ring on the left; the background is a gray
    gradient.

The model is shown the picture and asked for a caption; no words are added here, a model's adapter has its own.

Protocol. Two judges, which see different faults:

    coco-caption         CIDEr-D, BLEU and ROUGE-L against the five captions: see `evalkit.metrics.captions`. The five
                         tell different things, so even a true caption is far from some of them.
    blocksworld-oracle   the caption is parsed (`blocksworld/parser.py`) and each attribute that it names is compared
                         with the true scene: shape, colour, size, texture, place in thirds, number, relation,
                         background. Each described thing stands for one block, the best pairing being taken.

    attribute_precision  named attributes that are right, of all that are named; one for each attribute besides
    block_recall         blocks of which a caption tells, everything that it says of them being right
    parsed               captions of which every word was understood; of others what is recognised counts

Attributes and blocks are pooled over all captions, so that a long caption weighs more than a short one. A caption that
claims nothing adds nothing to `attribute_precision`: read it beside `block_recall` and `parsed`.

Pitfalls. Saying little is safe: `There are two red rings.` has full precision. CIDEr-D takes its document frequencies
from the references of the pictures scored, so that with `--limit` it is another number, as its protocol says.

Data: shipped with evalkit, Apache-2.0. There are no published numbers; the ceiling, by `-m oracle`, is in
blocksworld/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.interfaces import Scored
from evalkit.metrics.captions.coco_caption import CaptionMetric
from evalkit.metrics.means import Measure, Tally
from evalkit.types import Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import HeldOutPicture, data_fields, embedded, held_out_pictures
from evalkit_tasks.blocksworld.judging import ATTRIBUTES, true_reading, verdict
from evalkit_tasks.blocksworld.parser import claims_of
from evalkit_tasks.blocksworld.scene import Scene
from evalkit_tasks.blocksworld.task import HeldOutTask, answered_text, judged_metric

NAME = "blocksworld_caption@1"
PROMPT = "the picture, no words"
MEASURES = (
    Measure("attribute_precision", pooled=True, parts=("attributes",), by=("stratum",)),
    *(Measure(f"{attribute}_precision", pooled=True, parts=(attribute,)) for attribute in ATTRIBUTES),
    Measure("block_recall", pooled=True, parts=("blocks",)),
    Measure("parsed"),
)


@dataclass(frozen=True, slots=True)
class CaptionJudge:
    """Compares captions with the true scenes, which it knows by sample id."""

    scenes: Mapping[str, Scene]

    def __call__(self, scored: Scored) -> dict[str, Tally]:
        """Return the tallies of one caption."""
        claims, truth = claims_of(answered_text(scored)), true_reading(self.scenes[scored.sample.id])
        found = verdict(claims, truth)
        named = {attribute: found.about(attribute) for attribute in ATTRIBUTES}
        told = sum(found.fits(thing) for thing in range(len(claims.things)))
        return {
            **{attribute: Tally(sum(right), len(right)) for attribute, right in named.items()},
            "attributes": Tally(sum(map(sum, named.values())), sum(map(len, named.values()))),
            "blocks": Tally(told, len(truth.blocks)),
            "parsed": Tally(float(claims.understood)),
        }


def blocksworld_caption(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task.

    Raises:
        UsageError: other data are asked for.
        DataError: the shipped files are damaged.
    """
    here = embedded(workspace)
    pictures = held_out_pictures(here)
    judge = CaptionJudge({str(picture.id): picture.scene for picture in pictures})
    metrics = (CaptionMetric(data_fields(PROMPT)), judged_metric(PROMPT, MEASURES, judge))
    return HeldOutTask(here, NAME, "captioning", tuple(map(_sample, pictures)), metrics)


def _sample(picture: HeldOutPicture) -> Sample:
    people = tuple(Text(caption.text) for caption in picture.captions)
    return Sample(str(picture.id), (picture.image(),), people, picture.strata, str(picture.id))
