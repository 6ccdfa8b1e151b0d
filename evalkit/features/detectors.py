"""The object detectors that scores name, as data: which weights, which code, and every setting that moves a box.

The name of a detector stands in the name of every score made with it: `ap[fasterrcnn-resnet50-fpn-v2]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from evalkit.errors import UsageError, nearest
from evalkit.types import JsonScalar

Kind: TypeAlias = Literal["torchvision", "yolo-onnx"]


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """A detector by name: `weight` in the weight table, `builder` the network, `limit` detections a picture.

    `settings` are the network's own, given to its builder and to the protocol.
    """

    name: str
    weight: str
    kind: Kind
    builder: str
    limit: int
    settings: Mapping[str, JsonScalar] = field(default_factory=dict)
    categories: int = 91
    """Classes of the network: torchvision's count the background and the ids that COCO left out."""

    def number(self, setting: str) -> float:
        """Return a setting that is a number.

        Raises:
            TypeError: it is none.
        """
        value = self.settings[setting]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{setting} of {self.name} is {value!r}, no number")
        return value


_SHORT_SIDE: Mapping[str, JsonScalar] = MappingProxyType({"min_size": 800, "max_size": 1333})
_FASTER: Mapping[str, JsonScalar] = MappingProxyType({"box_score_thresh": 0.05, "box_nms_thresh": 0.5})
_RETINA: Mapping[str, JsonScalar] = MappingProxyType({"score_thresh": 0.05, "nms_thresh": 0.5})

DETECTORS: Mapping[str, DetectorSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            DetectorSpec(
                "fasterrcnn-resnet50-fpn-v2",
                "fasterrcnn-resnet50-fpn-v2",
                "torchvision",
                "fasterrcnn_resnet50_fpn_v2",
                100,
                {**_SHORT_SIDE, **_FASTER, "box_detections_per_img": 100},
            ),
            DetectorSpec(
                "retinanet-resnet50-fpn-v2",
                "retinanet-resnet50-fpn-v2",
                "torchvision",
                "retinanet_resnet50_fpn_v2",
                300,
                {**_SHORT_SIDE, **_RETINA, "detections_per_img": 300},
            ),
            DetectorSpec(
                "yolo11n-onnx",
                "yolo11n-onnx",
                "yolo-onnx",
                "onnx",
                300,
                {"size": 640, "score_thresh": 0.001, "nms_thresh": 0.7},
                categories=80,
            ),
        )
    }
)
"""Every detector by name, the default first. Settings are those that its published AP was measured with."""


def detector_spec(name: str) -> DetectorSpec:
    """Return the detector of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in DETECTORS:
        raise UsageError(f"no detector named {name!r}{nearest(name, DETECTORS)}")
    return DETECTORS[name]
