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
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional

from evalkit.errors import UsageError, WeightsError
from evalkit.features.backbones import IMAGENET_MEAN, IMAGENET_STD
from evalkit.features.detections import COCO_IDS, Detections
from evalkit.features.hub_networks import filled
from evalkit.features.segments import Segments, encoded
from evalkit.images import Pixels
from evalkit.weights import Found

SHORT_SIDE, LONG_SIDE, MULTIPLE = 800, 1333, 32
LIMIT = 100
LEAST_SCORE = 0.05
"""Detections that are less sure are not kept."""
_MADE = ("relative_position_index", "criterion.empty_weight")
"""Tensors that the network makes by itself. What a file holds beyond what the network needs is left alone."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The network's size, Swin-S by default."""

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    hidden: int = 256
    encoder_layers: int = 6
    decoder_layers: int = 10
    queries: int = 100


def configuration(shape: Shape) -> Any:  # noqa: ANN401 - transformers types no configuration
    """Return transformers' configuration of that size.

    Raises:
        UsageError: transformers is not installed.
    """
    try:
        from transformers import Mask2FormerConfig, SwinConfig
    except ImportError as error:
        raise UsageError("Mask2Former needs transformers; pip install 'evalkit-multimodal[transformers]'") from error
    backbone = SwinConfig(
        image_size=224,
        embed_dim=shape.width,
        depths=list(shape.depths),
        num_heads=list(shape.heads),
        window_size=shape.window,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    return Mask2FormerConfig(
        backbone_config=backbone,
        num_labels=len(COCO_IDS),
        feature_size=shape.hidden,
        mask_feature_size=shape.hidden,
        hidden_dim=shape.hidden,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        num_queries=shape.queries,
    )


def mask2former(found: Found, device: str, shape: Shape | None = None) -> Callable[[Pixels], Segments]:
    """Return what finds objects in a picture `(H, W, 3)`.

    Raises:
        UsageError: transformers is not installed.
        WeightsError: the file is damaged or of another architecture.
    """
    network = _network(found, shape or Shape()).to(device)

    def detect(picture: Pixels) -> Segments:
        planes, inner = fed(picture)
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


def _network(found: Found, shape: Shape) -> torch.nn.Module:
    settings = configuration(shape)
    from transformers import Mask2FormerForUniversalSegmentation

    try:
        network, missing, misshapen = filled(Mask2FormerForUniversalSegmentation, settings, found)
    except (RuntimeError, ValueError, KeyError) as error:
        raise WeightsError(f"{found.path} does not fit Mask2Former Swin-S ({error}); another architecture") from error
    odd = sorted([*(name for name in missing if not name.endswith(_MADE)), *misshapen])
    if odd:
        raise WeightsError(f"{found.path} does not fit Mask2Former Swin-S: {odd[0]}; it is of another architecture")
    module: torch.nn.Module = network.eval().float()
    return module


def fed(picture: Pixels) -> tuple[npt.NDArray[np.float32], tuple[int, int]]:
    """Return planes `(3, H', W')` of a picture as the network takes them, and the rows and columns of the picture."""
    height, width = picture.shape[:2]
    scale = min(SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
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
