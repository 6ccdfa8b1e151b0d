"""YOLO networks exported to ONNX, run by onnxruntime on the processor: letterbox, forward, non-maximum suppression.

A picture is scaled so that its longer side is 640 (bilinear), padded with grey 114 to a square, and read as pixels in
0 to 1. The network gives, for 8,400 places, centre, width and height of a box and a score for each of 80 categories.
Every score above 0.001 is a detection; of those of one category that overlap by more than 0.7 the surest stays, and the
300 surest are returned.

Source: ultralytics 8.3, `data/augment.py` (LetterBox), `utils/ops.py` (non_max_suppression with several labels a box)
and `cfg/default.yaml` (validation's settings). Facts only: the code is AGPL-3.0, and so are the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torchvision.ops import batched_nms

from evalkit.errors import WeightsError
from evalkit.features.detections import COCO_IDS, Detections, Singles, ordered
from evalkit.features.detectors import DetectorSpec
from evalkit.images import Pixels

GREY = 114
CANDIDATES = 30_000
"""Detections that are looked at before suppression, the surest."""


def yolo(path: Path, spec: DetectorSpec) -> Callable[[Pixels], Detections]:
    """Return what finds objects in a picture `(H, W, 3)`.

    Raises:
        WeightsError: the file is damaged, or no YOLO of that many categories.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as raised

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # sums of several threads may come out in another order
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (taken,), (given,) = session.get_inputs(), session.get_outputs()
    except (raised.Fail, raised.InvalidGraph, raised.InvalidProtobuf, raised.NotImplemented, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as ONNX ({error}); delete it and get it again") from error
    if given.shape[1] != 4 + spec.categories:
        raise WeightsError(f"{path} gives {given.shape} numbers, not 4 + {spec.categories} a place; another network")
    size, threshold, overlap = int(spec.number("size")), spec.number("score_thresh"), spec.number("nms_thresh")

    def detect(picture: Pixels) -> Detections:
        planes, scale, left, top = letterbox(picture, size)
        (raw,) = session.run([given.name], {taken.name: planes[None]})
        boxes, scores, categories = candidates(np.asarray(raw[0], np.float32), threshold)
        boxes = (boxes - np.array([left, top, left, top], np.float32)) / np.float32(scale)
        height, width = picture.shape[:2]
        boxes = boxes.clip(0, np.array([width, height, width, height], np.float32))
        kept = batched_nms(*map(torch.from_numpy, (boxes, scores, categories)), overlap).numpy()
        return ordered(boxes[kept], scores[kept], np.array(COCO_IDS)[categories[kept]], spec.limit)

    return detect


def letterbox(picture: Pixels, size: int) -> tuple[Singles, float, int, int]:
    """Return planes `(3, size, size)` in 0 to 1 of a picture in grey borders, its scale, and where its corner lies."""
    height, width = picture.shape[:2]
    scale = min(size / height, size / width)
    across, down = max(round(width * scale), 1), max(round(height * scale), 1)
    left, top = round((size - across) / 2 - 0.1), round((size - down) / 2 - 0.1)
    inner = PillowImage.fromarray(picture)
    if (across, down) != (width, height):
        inner = inner.resize((across, down), PillowImage.Resampling.BILINEAR)
    canvas = np.full((size, size, 3), GREY, np.uint8)
    canvas[top : top + down, left : left + across] = np.asarray(inner)
    return canvas.transpose(2, 0, 1).astype(np.float32) / np.float32(255), scale, left, top


def candidates(raw: Singles, threshold: float) -> tuple[Singles, Singles, npt.NDArray[np.int64]]:
    """Return boxes `(N, 4)` as corners, scores `(N,)` and classes `(N,)` of the network's `(4 + C, places)`."""
    scores = raw[4:]
    classes, places = np.nonzero(scores > threshold)
    best = np.argsort(-scores[classes, places], kind="stable")[:CANDIDATES]
    classes, places = classes[best], places[best]
    x, y, width, height = raw[:4, places]
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    return boxes, scores[classes, places], classes.astype(np.int64)
