"""The weights of what makes maps of pictures: soft edges, depth, classes; each pinned as far as its pin is published.

The digest of ControlNet's HED network stands in several projects that hashed their download. mmsegmentation's files
carry the first 8 digits of theirs in their names. Of the two transformers the revision is known, which pins them where
the hub serves them, and no digest: what is read then goes into the protocol of every number, so that two files are
never taken for one.
"""

from __future__ import annotations

from evalkit.picture_weights import hub_blob, hub_snapshot, hub_url
from evalkit.weight_files import Weight, WeightFile

_ANNOTATORS = "982e7edaec38759d914a963c48c4726685de7d96"
_HED = "5ca93762ffd68a29fee1af9d495bf6aab80ae86f08905fb35472a083a4c7a8fa"
_MMSEG = "https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3"
_DEEPLAB = "deeplabv3_r101-d8_512x512_4x4_320k_coco-stuff164k"


def _hub_model(name: str, summary: str, repository: str, revision: str, size: int, licence: str) -> Weight:
    """Return a model of the Hugging Face hub, one safetensors file at a revision; its digest is not published."""
    file = WeightFile(
        file=f"{repository.partition('/')[2]}.{revision[:8]}.safetensors",
        sha256="",
        size=size,
        layout="safetensors",
        offers=summary,
        licence=licence,
        cached=hub_snapshot(repository, revision, "model.safetensors"),
        urls=(hub_url(repository, revision, "model.safetensors"),),
        about=True,
    )
    return Weight(name, f"{summary} ({repository} at {revision[:8]})", (file,))


MAP_WEIGHTS = (
    Weight(
        "controlnet-hed",
        "ControlNet's network of soft edges, after HED of Xie and Tu 2015",
        (
            WeightFile(
                file="ControlNetHED.pth",
                sha256=_HED,
                size=29_444_406,
                layout="controlnet-hed",
                offers="soft edges",
                licence="Apache-2.0 (the network is named so; its repository has no licence file)",
                hub="ControlNetHED.pth",
                cached=hub_blob("lllyasviel/Annotators", _HED),
                urls=(hub_url("lllyasviel/Annotators", _ANNOTATORS, "ControlNetHED.pth"),),
            ),
        ),
    ),
    _hub_model(
        "dpt-large",
        "DPT-Large of Ranftl et al. 2021, depth from one picture",
        "Intel/dpt-large",
        "bc15f29aa3a80d532f2ed650b5e16ac48d8958f9",
        1_367_000_000,
        "Apache-2.0",
    ),
    _hub_model(
        "mask2former-swin-l-ade",
        "Mask2Former with Swin-L of Cheng et al. 2022, the 150 classes of ADE20K",
        "facebook/mask2former-swin-large-ade-semantic",
        "aa25c92404a40599614215e76514c79b427c7527",
        866_000_000,
        "other, as its card has it",
    ),
    Weight(
        "deeplabv3-r101-coco-stuff",
        "DeepLabV3 R101-D8 of mmsegmentation, the 171 classes of COCO-Stuff 164k",
        (
            WeightFile(
                file=f"{_DEEPLAB}_20210709_155402-3cbca14d.pth",
                sha256="3cbca14d",
                size=349_000_000,
                layout="mmseg",
                offers="classes of COCO-Stuff",
                licence="Apache-2.0 (mmsegmentation)",
                hub=f"{_DEEPLAB}_20210709_155402-3cbca14d.pth",
                urls=(f"{_MMSEG}/{_DEEPLAB}/{_DEEPLAB}_20210709_155402-3cbca14d.pth",),
                about=True,
            ),
        ),
    ),
)
"""What maps of pictures are made with."""
