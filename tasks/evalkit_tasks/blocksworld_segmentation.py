"""Pictures from label maps on blocksworld (`blocksworld_segmentation@1`, segmentation-to-image).

One item: the label map of picture 1 of the held-out set, 64 by 64 pixels, of which 175 are of class 7 (ring) and the
others of class 0 (background). No words are asked, so colours are the model's own choice; the names of the classes come
with the map for a model that wants them.

Protocol. The oracle reads the picture (`blocksworld/oracle.py`), and what was read is mapped again, at the size of the
asked map. The two maps are compared pixel by pixel.

    miou         mean over the eight classes (background and seven shapes) of the intersection of both maps by their
                 union, intersections and unions being summed over all pictures (Everingham 2010, the measure of PASCAL
                 VOC, doi:10.1007/s11263-009-0275-4); also by stratum
    iou_...      of one class

Pitfalls. The background covers nine tenths of the pixels and is easy to get right: look at the classes. What cannot be
read as a block is background.

Data: shipped with evalkit, Apache-2.0. There are no published numbers; the ceiling, by `-m oracle`, is in
blocksworld/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.images import image_of
from evalkit.interfaces import Scored
from evalkit.metrics.means import Measure, Tally
from evalkit.metrics.pictures import segmentation
from evalkit.types import LabelMap, Sample
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import HeldOutPicture, embedded, held_out_pictures
from evalkit_tasks.blocksworld.scene import Scene
from evalkit_tasks.blocksworld.task import HeldOutTask, answered_reading, judged_metric
from evalkit_tasks.blocksworld.truth import BACKGROUND_CLASS, CLASSES, Labels, label_map, label_picture

NAME = "blocksworld_segmentation@1"
PROMPT = "the label map, no words"
CLASS_NAMES: Mapping[int, str] = {
    BACKGROUND_CLASS: "background",
    **{number: shape for shape, number in CLASSES.items()},
}
_PARTS = tuple(f"iou_{name}" for name in CLASS_NAMES.values())
MEASURES = (
    Measure("miou", pooled=True, parts=_PARTS, by=("stratum",)),
    *(Measure(part, pooled=True) for part in _PARTS),
)


@dataclass(frozen=True, slots=True)
class SegmentationJudge:
    """Compares pictures with the maps that were asked for, of scenes that it knows by sample id."""

    scenes: Mapping[str, Scene]

    def __call__(self, scored: Scored) -> dict[str, Tally]:
        """Return the tallies of one picture."""
        asked = label_map(self.scenes[scored.sample.id])
        return overlaps(asked, label_map(answered_reading(scored).scene))


def overlaps(asked: Labels, read: Labels) -> dict[str, Tally]:
    """Return the pixels of the intersection and the union of each class in two label maps `(H, W)`."""
    found = segmentation.overlaps(asked, read)
    return {f"iou_{name}": found.get(number, Tally(0, 0)) for number, name in CLASS_NAMES.items()}


def blocksworld_segmentation(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task.

    Raises:
        UsageError: other data are asked for.
        DataError: the shipped files are damaged.
    """
    here = embedded(workspace)
    pictures = held_out_pictures(here)
    judge = SegmentationJudge({str(picture.id): picture.scene for picture in pictures})
    metric = judged_metric(PROMPT, MEASURES, judge)
    return HeldOutTask(here, NAME, "segmentation-to-image", tuple(map(mapped_sample, pictures)), (metric,))


def mapped_sample(picture: HeldOutPicture) -> Sample:
    """Return a picture's label map as a question, and the picture as its reference."""
    drawn = image_of(label_picture(label_map(picture.scene)), "segmentation")
    asked = LabelMap(drawn, tuple(CLASS_NAMES.items()))
    return Sample(str(picture.id), (asked,), (picture.image(),), picture.strata, str(picture.id))
