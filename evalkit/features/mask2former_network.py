"""Mask2Former's network by the transformers library: the sizes that its kinds differ in, and its file of tensors.

One network answers for every kind of segmentation: each query gives logits of the classes and a mask. Kinds differ in
the backbone, in the number of classes and in the sides that pictures are brought to; what is made of the queries is in
`mask2former` (the class of each pixel) and `mask2former_instances` (objects).

Source: Cheng et al. 2022, arXiv:2112.01527; transformers, `Mask2FormerForUniversalSegmentation`.
"""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.errors import UsageError
from evalkit.features.detections import COCO_IDS
from evalkit.features.hub_networks import Network, hub_network
from evalkit.weights import Found

MULTIPLE = 32
"""The sides that the network sees are multiples of this many pixels."""
MADE = ("relative_position_index", "criterion.empty_weight")
"""Tensors that the network makes by itself, so that a file need not hold them."""


@dataclass(frozen=True, slots=True)
class Mask2FormerShape:
    """The sizes of a Mask2Former, and the shorter and longest side in pixels that a picture is brought to.

    Those by default are the same in every kind that is read here.
    """

    short_side: int
    long_side: int
    classes: int
    embedding: int
    heads: tuple[int, ...]
    window: int
    pretrained_side: int
    depths: tuple[int, ...] = (2, 2, 18, 2)
    features: int = 256
    pixel_layers: int = 6
    decoder_layers: int = 10
    decoder_heads: int = 8
    feedforward: int = 2048
    pixel_feedforward: int = 1024
    queries: int = 100


SWIN_L_ADE = Mask2FormerShape(
    short_side=640,
    long_side=2560,
    classes=150,
    embedding=192,
    heads=(6, 12, 24, 48),
    window=12,
    pretrained_side=384,
)
"""Swin-L, for the classes of ADE20K."""
SWIN_S_COCO = Mask2FormerShape(
    short_side=800,
    long_side=1333,
    classes=len(COCO_IDS),
    embedding=96,
    heads=(3, 6, 12, 24),
    window=7,
    pretrained_side=224,
)
"""Swin-S, for objects of COCO's categories."""


def configuration(shape: Mask2FormerShape) -> Network:
    """Return transformers' configuration of a network of these sizes.

    Raises:
        UsageError: transformers is not installed.
    """
    try:
        from transformers import Mask2FormerConfig, SwinConfig
    except ImportError as error:
        raise UsageError("Mask2Former needs transformers; pip install 'evalkit-multimodal[transformers]'") from error
    backbone = SwinConfig(
        image_size=shape.pretrained_side,
        embed_dim=shape.embedding,
        depths=list(shape.depths),
        num_heads=list(shape.heads),
        window_size=shape.window,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    return Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=shape.features,
        mask_feature_size=shape.features,
        hidden_dim=shape.features,
        encoder_feedforward_dim=shape.pixel_feedforward,
        encoder_layers=shape.pixel_layers,
        decoder_layers=shape.decoder_layers,
        num_attention_heads=shape.decoder_heads,
        dim_feedforward=shape.feedforward,
        num_queries=shape.queries,
        num_labels=shape.classes,
    )


def mask2former_network(found: Found, device: str, shape: Mask2FormerShape) -> Network:
    """Return the network with the tensors of a file.

    Of pictures `(1, 3, h, w)` it gives `class_queries_logits` `(1, Q, K + 1)`, the last being of no class, and
    `masks_queries_logits` `(1, Q, h / 4, w / 4)`.

    Raises:
        UsageError: transformers is not installed.
        WeightsError: the file is damaged or of another architecture.
    """
    config = configuration(shape)
    from transformers import Mask2FormerForUniversalSegmentation

    return hub_network(Mask2FormerForUniversalSegmentation, config, found, device, MADE)
