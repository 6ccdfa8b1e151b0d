"""The benchmarks of pictures that follow a map, as the table of this room lists them: nothing heavy is imported."""

from __future__ import annotations

from evalkit.anchors import Anchor
from evalkit.interfaces import Need, Option, TaskSpec

_CLIP = "clip_score[openai-vit-b16]"
_CLIP_WEIGHTS = ("clip-openai-vit-b16", "clip-merges")
_FID_WEIGHTS = "fid-inception-2015-12-05"
_GET = "pip install 'evalkit-multimodal[transformers]'"
_PROTOCOLS = ("controlnet-plus-plus",)
_SIZE = Option("size", "512", "side that photos and maps are brought to, or native; blocksworld's is native")
_TABLE = "as published in tables that follow ControlNet++ (arXiv:2404.07987), times 100 where a fraction"


def _published(metric: str, data: str, *values: tuple[str, float]) -> tuple[Anchor, ...]:
    return tuple(Anchor(metric, value, f"{who}, {_TABLE}", data=data) for who, value in values)


def _ceiling(metric: str, value: float) -> Anchor:
    return Anchor(metric, value, "golden value: the ceiling on blocksworld", 1e-6, "oracle", data="blocksworld")


_STRUCTURE = TaskSpec(
    name="structure_to_image",
    version=1,
    job="structure-to-image",
    summary="pictures from a photo's edges or depth and its caption, judged by extracting the same again",
    factory="evalkit_tasks.structure_to_image:structure_to_image",
    data=("coco", "blocksworld", "karpathy", "hf:REPO@REVISION"),
    metrics=("canny_f1", "hed_ms_ssim[controlnet-hed]", "depth_rmse[dpt-large]", _CLIP, "fid"),
    protocols=_PROTOCOLS,
    weights=("controlnet-hed", "dpt-large", *_CLIP_WEIGHTS, _FID_WEIGHTS),
    needs=(Need("transformers", "package", _GET, "depth_rmse[dpt-large]"),),
    options=(
        Option("condition", "canny", "canny, hed or depth: what the model is shown, and which metric is made"),
        _SIZE,
        Option("split", "", "val2014, val2017, or a Karpathy or hub split; the default is val2014 where it is found"),
        Option("image_column", "", "column of the photos, for --data hf:"),
        Option("caption_column", "", "column of the captions, for --data hf:"),
        Option("id_column", "", "column of the photo ids, for --data hf:"),
    ),
    citation="Li 2024, arXiv:2404.07987; Zhang 2023, arXiv:2302.05543",
    licence="annotations CC BY 4.0; photos under their Flickr terms",
    anchors=(
        _ceiling("canny_f1", 0.986),
        *_published(
            "canny_f1", "MultiGen-20M", ("ControlNet SD1.5", 34.65), ("T2I-Adapter", 23.65), ("OmniGen", 35.54)
        ),
        *_published("hed_ms_ssim[controlnet-hed]", "MultiGen-20M", ("ControlNet SD1.5", 0.7621), ("OmniGen", 0.8237)),
        *_published("depth_rmse[dpt-large]", "MultiGen-20M", ("ControlNet SD1.5", 35.90), ("OmniGen", 28.54)),
    ),
)
_SEGMENTATION = TaskSpec(
    name="segmentation_to_image",
    version=1,
    job="segmentation-to-image",
    summary="pictures from label maps of real photos: mean IoU of what a segmenter reads in them, and FID",
    factory="evalkit_tasks.segmentation_to_image:segmentation_to_image",
    data=("ade20k", "coco-stuff", "blocksworld", "hf:REPO@REVISION"),
    metrics=(
        *("miou[mask2former-swin-l-ade]", "pixel_accuracy[mask2former-swin-l-ade]"),
        *("miou[deeplabv3-r101-coco-stuff]", "pixel_accuracy[deeplabv3-r101-coco-stuff]"),
        *("miou[blocksworld-oracle]", "miou[blocksworld-oracle]_by_stratum"),
        *("pixel_accuracy[blocksworld-oracle]", "pixel_accuracy[blocksworld-oracle]_by_stratum"),
        *(_CLIP, "fid"),
    ),
    protocols=_PROTOCOLS,
    weights=("mask2former-swin-l-ade", "deeplabv3-r101-coco-stuff", *_CLIP_WEIGHTS, _FID_WEIGHTS),
    needs=(Need("transformers", "package", _GET, "miou[mask2former-swin-l-ade]"),),
    options=(
        _SIZE,
        Option("map", "", "colours or ids: how the map is shown; the default is colours for ADE20K, else ids"),
        Option("split", "", "split of --data hf:, which holds ADE20K's maps with captions"),
        Option("captions", "", "file of captions: COCO's format, or a JSON object of a caption by photo's name"),
    ),
    citation="Li 2024, arXiv:2404.07987; Zhou 2016, arXiv:1608.05442; Caesar 2016, arXiv:1612.03716",
    licence="ADE20K for research; COCO-Stuff's labels CC BY 4.0, photos under their Flickr terms",
    anchors=(
        _ceiling("miou[blocksworld-oracle]", 0.9568548341010932),
        *_published(
            "miou[mask2former-swin-l-ade]",
            "ADE20K",
            *(("ControlNet SD1.5", 32.55), ("T2I-Adapter", 12.61), ("OmniGen", 44.23)),
        ),
        *_published("miou[deeplabv3-r101-coco-stuff]", "COCO-Stuff", ("ControlNet", 27.46)),
    ),
)

MAP_TASKS: tuple[TaskSpec, ...] = (_STRUCTURE, _SEGMENTATION)
