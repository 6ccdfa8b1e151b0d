"""Mask2Former for instances: the network of transformers, fed and read as mmdetection feeds and reads its own.

A picture is resized (bilinear, shorter side 800, longer at most 1333), normalised by ImageNet's mean and deviation, and
padded with zeros below and to the right to a multiple of 32. Each of 100 queries gives a score for each category and a
mask; the masks are brought to the padded size, cut, and brought to the picture's own. Of all pairs of query and
category the 100 surest are detections. Their score is that of the category times the mean of the mask's probability
inside it, their box that around the mask.

Source: Cheng et al. 2022, arXiv:2112.01527; open-mmlab/mmdetection v2, `configs/mask2former` and
`maskformer_fusion_head.py` at 0c515928. GenEval's own file is mmdetection's training of this network for panoptic
segmentation (80 things and 53 kinds of stuff among which its scores are shared); the hub's is for instances, by the
network's authors. So scores, and with them what passes a threshold, are not the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

from evalkit.features.backbones import IMAGENET_MEAN, IMAGENET_STD
from evalkit.features.detections import COCO_IDS, Detections
from evalkit.features.mask2former_network import MULTIPLE, SWIN_S_COCO, Mask2FormerShape, mask2former_network
from evalkit.features.segments import Segments, encoded
from evalkit.images import Pixels
from evalkit.weights import Found

LIMIT = 100
LEAST_SCORE = 0.05
"""Detections that are less sure are not kept."""


def mask2former(found: Found, device: str, shape: Mask2FormerShape = SWIN_S_COCO) -> Callable[[Pixels], Segments]:
    """Return what finds objects in a picture `(H, W, 3)`.

    Raises:
        UsageError: transformers is not installed.
        WeightsError: the file is damaged or of another architecture.
    """
    network = mask2former_network(found, device, shape)

    def detect(picture: Pixels) -> Segments:
        planes, inner = fed(picture, shape)
        with torch.inference_mode():
            made = network(pixel_values=torch.from_numpy(planes)[None].to(device))
            masks = functional.interpolate(
                made.masks_queries_logits, size=planes.shape[1:], mode="bilinear", align_corners=False
            )
            masks = functional.interpolate(
                masks[:, :, : inner[0], : inner[1]], size=picture.shape[:2], mode="bilinear", align_corners=False
            )
            return instances(made.class_queries_logits[0], masks[0])

    return detect


def fed(picture: Pixels, shape: Mask2FormerShape = SWIN_S_COCO) -> tuple[npt.NDArray[np.float32], tuple[int, int]]:
    """Return planes `(3, H', W')` of a picture as the network takes them, and the rows and columns of the picture."""
    height, width = picture.shape[:2]
    scale = min(shape.short_side / min(height, width), shape.long_side / max(height, width))
    down, across = max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)
    sized = PillowImage.fromarray(picture).resize((across, down), PillowImage.Resampling.BILINEAR)
    planes = np.asarray(sized, np.float32).transpose(2, 0, 1) / np.float32(255)
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    rows, columns = (math.ceil(side / MULTIPLE) * MULTIPLE for side in (down, across))
    padded = np.zeros((3, rows, columns), np.float32)
    padded[:, :down, :across] = (planes - mean) / std
    return padded, (down, across)


def instances(classes: Tensor, masks: Tensor) -> Segments:
    """Return the detections of logits of categories `(Q, C + 1)` and of masks `(Q, H, W)`, the surest first."""
    scores = classes.softmax(dim=-1)[:, :-1]
    surest = scores.flatten().topk(min(LIMIT, scores.numel()))
    queries, labels = surest.indices // scores.shape[1], surest.indices % scores.shape[1]
    inside = masks > 0
    area = inside.flatten(1).sum(dim=1)
    quality = (masks.sigmoid() * inside).flatten(1).sum(dim=1) / (area + 1e-6)
    total = (surest.values * quality[queries]).cpu().numpy()
    order = np.argsort(-total, kind="stable")
    order = order[total[order] >= LEAST_SCORE]
    kept, ids = queries.cpu().numpy()[order], np.array(COCO_IDS)[labels.cpu().numpy()[order]]
    pixels = {int(query): inside[int(query)].cpu().numpy() for query in np.unique(kept)}
    boxes = np.array([_box(pixels[int(query)]) for query in kept], np.float32).reshape(-1, 4)
    found = Detections(boxes, total[order].astype(np.float32), ids.astype(np.int64))
    packs = {query: encoded(one) for query, one in pixels.items()}
    return Segments(found, masks.shape[1], masks.shape[2], tuple(packs[int(query)] for query in kept))


def _box(inside: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
