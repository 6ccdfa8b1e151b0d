"""Pictures from labelled boxes, looked at by a detector (`object_to_image@1`, object-to-image).

One item of val2017: photo 000000397133.jpg of 640 x 427 pixels, its first caption and those of its objects that are
large enough, left, top, width, height in pixels:

    A man is in a kitchen making pizzas.
    dining table      1.00, 240.24, 346.63, 186.76
    person          388.66,  69.92, 109.41, 277.62
    oven              1.36, 164.33, 192.56,  98.37
    oven              0.00, 210.90, 191.36,  98.98

The model is asked for a picture with these objects in these boxes. A pinned detector then looks at its answer, and
COCO's average precision says how well what it finds agrees with what was asked.

    ap[DETECTOR]           mean precision over the thresholds .50 to .95, as COCOeval has it
    ap50[DETECTOR]         at the threshold .50
    photo_ap[DETECTOR]     the same detector on the real photos of the samples that were answered: the ceiling
    photo_ap50[DETECTOR]

Protocol `layout-ap`. Choices that move the number:

    detector        torchvision's Faster R-CNN ResNet-50 FPN v2 (COCO_V1), `-t detector=retinanet-resnet50-fpn-v2`, or
                    yolo11n-onnx (AGPL-3.0: only where it is asked for); its name stands in the number's name
    min_area        objects whose box is more than .02 of the photo (`-t min_area=0.03`: others keep 3 %)
    min_objects     photos with 3 to 8 of them, crowds aside: the filter of sg2im, LostGAN and LayoutDiffusion, who
    max_objects     count objects of COCO-Stuff too, which no detector finds; so there are other photos here
    caption         the photo's first caption, by id, is said with the boxes; -t caption=none: the boxes alone
    unasked         objects of the photo that were left out (too small, crowds) are ignored: to draw them is neither
                    right nor wrong, on answers as on photos. Any other object that is found is wrong
    frame           boxes of an answer are stretched to the photo's size: a model that draws squares is not cropped

The interval is a jackknife over photos. With the embedded blocksworld a COCO detector is senseless: there the analytic
oracle reads the picture, every block with the score 1, and its name stands in the numbers: `ap[oracle]`.

Anchors: published ones are by other detectors and filters, none comparable. There is no official scorer: GLIGEN and
others report the AP of YOLOv4 ("YOLO score"), and GLIGEN's own evaluation is known to differ from its paper
(gligen/GLIGEN issue 519). Faster R-CNN's 46.7 and RetinaNet's
41.5 on all of val2017 (pytorch/vision#5763, #5756) are with every object counted; `photo_ap` is with large ones only.

Pitfalls. AP at n = 100 photos is another expectation than at 3,000: compare at equal n. A detector rewards pictures in
the style of photos. AP above the photos' means that the drawn objects are plainer than real ones.

Data: COCO val2017 or val2014 (instances, captions, photos; official zips are read in place; annotations CC BY 4.0,
photos under their Flickr terms), or blocksworld. Source: Lin et al. 2014, arXiv:1405.0312; Johnson et al. 2018,
arXiv:1804.01622 (sg2im); Sun and Wu 2019, arXiv:1908.07500 (LostGAN); Li et al. 2023, arXiv:2301.07093 (GLIGEN);
cocodataset/cocoapi `cocoeval.py`, whose numbers evalkit's equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from evalkit.errors import DataError, UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import Detections, ordered
from evalkit.features.detector import detector
from evalkit.features.detectors import DETECTORS
from evalkit.features.pictures import Picture, load
from evalkit.interfaces import Scored
from evalkit.metrics.pictures.average_precision import Objects
from evalkit.metrics.pictures.boxes import BoxMetric, Finder, Looked
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.types import Image, JsonScalar
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.judging import JUDGE, JUDGE_VERSION
from evalkit_tasks.blocksworld.oracle import read
from evalkit_tasks.blocksworld.render import PIXELS
from evalkit_tasks.blocksworld.truth import CLASSES, instances
from evalkit_tasks.layouts import Layout, LayoutSet, choose_layouts
from evalkit_tasks.options import one_of
from evalkit_tasks.sample_task import SampleTask

NAME = "object_to_image@1"
PROTOCOL = "layout-ap"
ORACLE = "oracle"


def object_to_image(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on COCO's layouts, or on blocksworld's.

    Raises:
        UsageError: no such data, or an option has no such value.
        DataError: the data are missing or malformed.
    """
    chosen = choose_layouts(workspace, options)
    finder = _finder(chosen.workspace, options)
    fields: dict[str, JsonScalar] = {
        "data": chosen.card.name,
        "data_digest": chosen.card.digest,
        "prompt": f"{options.get('caption') or 'first'} caption, the boxes with their categories",
        "min_area": chosen.filter.min_area,
        "objects": f"{chosen.filter.least} to {chosen.filter.most}",
        "unasked": "ignored",
        "frame": "boxes stretched to the photo's size",
    }
    asked = partial(asked_objects, chosen.layouts)
    looks = (Looked("answer", "", partial(answer, chosen.layouts)), Looked("photo", "photo_", partial(photo, chosen)))
    metric = BoxMetric(PROTOCOL, fields, chosen.workspace, finder, looks, asked)
    return SampleTask(chosen.workspace, NAME, "object-to-image", chosen.card, chosen.samples, (metric,))


def _finder(workspace: Workspace, options: Mapping[str, str]) -> Finder:
    if workspace.data == "blocksworld":
        one_of(options, "detector", (ORACLE,))
        return OracleFinder()
    if options.get("detector") == ORACLE:
        raise UsageError("-t detector=oracle reads blocksworld's pictures only; choose another or --data blocksworld")
    return detector(workspace, one_of(options, "detector", tuple(DETECTORS)))


def asked_objects(layouts: Mapping[str, Layout], scored: Scored) -> Objects:
    """Return every object of a sample's photo, those that were not asked for ignored."""
    layout = layouts[scored.sample.id]
    wanted = {one.id for one in layout.asked}
    every = layout.photo.instances
    return Objects(
        np.array([[one.x, one.y, one.width, one.height] for one in every], np.float64),
        np.array([one.category for one in every], np.int64),
        np.array([one.id not in wanted for one in every], np.bool_),
        np.array([one.crowd for one in every], np.bool_),
    )


def answer(layouts: Mapping[str, Layout], scored: Scored) -> tuple[Picture, float, float]:
    """Return the answered picture, and what stretches its boxes to the photo's size.

    Raises:
        RunError: the answer does not hold one picture.
    """
    made, asked = answered_picture(scored), layouts[scored.sample.id].photo
    return made, asked.width / made.width, asked.height / made.height


def photo(chosen: LayoutSet, scored: Scored) -> tuple[Picture, float, float]:
    """Return the real photo of a sample.

    Raises:
        DataError: it has another size than the instances file says.
    """
    real = next(part for part in scored.sample.references if isinstance(part, Image))
    said = chosen.layouts[scored.sample.id].photo
    if (real.width, real.height) != (said.width, said.height):
        raise DataError(
            f"image {said.id} ({said.file}) is of {real.width} x {real.height} pixels, but {chosen.card.name} says "
            f"{said.width} x {said.height}; fetch the photos and annotations of one split"
        )
    return real, 1.0, 1.0


@dataclass(frozen=True, slots=True)
class OracleFinder:
    """The analytic oracle as a detector of blocksworld's shapes: each block that it reads, its visible part boxed."""

    name: str = ORACLE

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """The judge and its version."""
        return {"detector": JUDGE, "judge_version": JUDGE_VERSION}

    def prepare(self) -> None:
        """Do nothing: it needs nothing."""

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Detections]:
        """Return the blocks in each picture."""
        return [_read(picture) for picture in pictures]


def _read(picture: Picture) -> Detections:
    pixels = load(picture)
    found = instances(read(pixels).scene)
    height, width = pixels.shape[:2]
    corners = [(x, y, x + across, y + down) for x, y, across, down in (one.box for one in found)]
    boxes = np.array(corners, np.float32).reshape(-1, 4)
    categories = np.array([CLASSES[one.block.shape] for one in found], np.int64)
    made = ordered(boxes, np.ones(len(found), np.float32), categories, len(found))
    return made.scaled(width / PIXELS, height / PIXELS)
