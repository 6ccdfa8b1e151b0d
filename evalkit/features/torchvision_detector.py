"""Torchvision's detection networks with weights of ours: built by name, loaded strictly, one picture at a time.

Resizing and normalising are part of the network (shorter side 800, at most 1333, ImageNet's mean); a picture goes in as
pixels in 0 to 1, as torchvision's own `ObjectDetection` preset gives them.

Source: torchvision `models/detection`; the recipes of its weights are pytorch/vision#5763 (Faster R-CNN) and #5756
(RetinaNet).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torchvision.models import detection

from evalkit.errors import WeightsError
from evalkit.features.detections import Detections, ordered
from evalkit.features.detectors import DetectorSpec
from evalkit.features.state_dicts import read_tensors
from evalkit.images import Pixels
from evalkit.weights import Found


def torchvision_detector(found: Found, spec: DetectorSpec, device: str) -> Callable[[Pixels], Detections]:
    """Return what finds objects in a picture `(H, W, 3)`.

    Raises:
        WeightsError: the file is damaged or of another architecture.
    """
    network = _network(found, spec).to(device)

    def detect(picture: Pixels) -> Detections:
        planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).to(device).float() / 255
        with torch.inference_mode():
            (made,) = network([planes])
        boxes, scores, labels = (made[name].cpu().numpy() for name in ("boxes", "scores", "labels"))
        return ordered(boxes, scores, labels, spec.limit)

    return detect


def _network(found: Found, spec: DetectorSpec) -> torch.nn.Module:
    build = getattr(detection, spec.builder)
    network: torch.nn.Module = build(
        weights=None, weights_backbone=None, num_classes=spec.categories, **dict(spec.settings)
    )
    tensors = {name: torch.from_numpy(value) for name, value in read_tensors(found.path, found.file.layout).items()}
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        first = str(error).split("\n")[1].strip() if "\n" in str(error) else str(error)
        raise WeightsError(
            f"{found.path} does not fit {spec.builder}: {first[:200]}; it is of another architecture"
        ) from error
    return network.eval()
