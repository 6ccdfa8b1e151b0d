"""Pictures from outlines or depth on blocksworld (`blocksworld_edges@1`, structure-to-image).

One item: the outlines of the blocks of picture 1 of the held-out set, white on black, one pixel wide, with its first
caption,

    There are two red rings.

The caption names shapes and colours alone, so where things go and how large they are is in the map. With
`-t condition=depth` the map is that of depth: black behind, and the brighter the nearer.

Protocol. The condition is extracted again from the answer, as is done for photos (ControlNet++, arXiv:2404.07987), and
compared with what was asked, at the size that was asked. The extractor is the oracle: it reads the blocks
(`blocksworld/oracle.py`), and what was read is outlined by the very function that made the condition. An edge filter on
the answer's pixels would not do: it also finds stripes, dots and chequers, which the condition leaves out.

    edge_f1           2 P R / (P + R) of each picture, then the mean, with
    edge_precision    P: outline pixels of the answer with an asked one among the nine pixels around it
    edge_recall       R: asked outline pixels with one of the answer's among the nine
    depth_rmse        root mean square difference of the depth of a picture, in levels of 255, then the mean

One pixel of tolerance is 1.1 % of the diagonal of 64 by 64; the boundary measures of BSDS and DAVIS allow 0.75 and
0.8 % (Martin 2004, doi:10.1109/TPAMI.2004.1273918; Perazzi 2016, doi:10.1109/CVPR.2016.85), which round to it.

Pitfalls. The oracle reads whole shapes: one that is drawn a little crooked is outlined as if it were straight, and what
cannot be read as a block has no outline. A picture without blocks has no precision, and an F1 of 0.

Data: shipped with evalkit, Apache-2.0. There are no published numbers; the ceiling, by `-m oracle`, is in
blocksworld/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from evalkit.errors import UsageError, nearest
from evalkit.images import image_of
from evalkit.interfaces import Scored
from evalkit.metrics.means import Judge, Measure, Tally
from evalkit.types import Image, Sample, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.held_out import HeldOutPicture, embedded, held_out_pictures
from evalkit_tasks.blocksworld.scene import Scene
from evalkit_tasks.blocksworld.task import HeldOutTask, answered_reading, judged_metric
from evalkit_tasks.blocksworld.truth import Inside, depth_map, edge_map, picture

NAME = "blocksworld_edges@1"
CONDITIONS = ("edges", "depth")
EDGE_MEASURES = (Measure("edge_f1", by=("stratum",)), Measure("edge_precision"), Measure("edge_recall"))
DEPTH_MEASURES = (Measure("depth_rmse", unit="levels of 255", higher_is_better=False, by=("stratum",)),)


@dataclass(frozen=True, slots=True)
class EdgeJudge:
    """Compares outlines with those that were asked for, of scenes that it knows by sample id."""

    scenes: Mapping[str, Scene]

    def __call__(self, scored: Scored) -> dict[str, Tally]:
        """Return the tallies of one picture."""
        asked = edge_map(self.scenes[scored.sample.id])
        return boundary_match(asked, edge_map(answered_reading(scored).scene))


def boundary_match(asked: Inside, found: Inside) -> dict[str, Tally]:
    """Return F1, precision and recall of the outline `found` `(H, W)`, with a tolerance of one pixel."""
    near_asked, near_found = (ndimage.binary_dilation(plane, np.ones((3, 3), bool)) for plane in (asked, found))
    planes = (found & near_asked, found, asked & near_found, asked)
    right, told, met, wanted = (int(np.count_nonzero(plane)) for plane in planes)
    precision, recall = right / max(told, 1), met / max(wanted, 1)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"edge_f1": Tally(f1), "edge_precision": Tally(right, told), "edge_recall": Tally(met, wanted)}


@dataclass(frozen=True, slots=True)
class DepthJudge:
    """Compares depth with what was asked for, of scenes that it knows by sample id."""

    scenes: Mapping[str, Scene]

    def __call__(self, scored: Scored) -> dict[str, Tally]:
        """Return the tally of one picture."""
        asked = depth_map(self.scenes[scored.sample.id]).astype(np.float64)
        found = depth_map(answered_reading(scored).scene)
        return {"depth_rmse": Tally(float(np.sqrt(np.square(asked - found).mean())))}


def blocksworld_edges(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> HeldOutTask:
    """Return the task with the option `condition`: `edges` or `depth`.

    Raises:
        UsageError: other data or another condition are asked for.
        DataError: the shipped files are damaged.
    """
    here = embedded(workspace)
    condition = options.get("condition") or CONDITIONS[0]
    if condition not in CONDITIONS:
        raise UsageError(f"-t condition={condition} is not known{nearest(condition, CONDITIONS)}")
    pictures = held_out_pictures(here)
    scenes = {str(picture.id): picture.scene for picture in pictures}
    judge: Judge = EdgeJudge(scenes) if condition == "edges" else DepthJudge(scenes)
    measures = EDGE_MEASURES if condition == "edges" else DEPTH_MEASURES
    metric = judged_metric(f"the first caption, the map of {condition}", measures, judge)
    samples = tuple(_sample(picture, condition) for picture in pictures)
    return HeldOutTask(here, NAME, "structure-to-image", samples, (metric,))


def _sample(held: HeldOutPicture, condition: str) -> Sample:
    parts = (_condition(held.scene, condition), Text(held.captions[0].text))
    return Sample(str(held.id), parts, (held.image(),), held.strata, str(held.id))


def _condition(scene: Scene, condition: str) -> Image:
    if condition == "depth":
        return image_of(picture(depth_map(scene)), "depth")
    return image_of(picture(edge_map(scene)), "edges")
