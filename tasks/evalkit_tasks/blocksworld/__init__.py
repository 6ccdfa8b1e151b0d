"""A drawn world of coloured blocks with ground truth for every job: see README.md."""

from evalkit.interfaces import ModelSpec

ORACLE_MODEL = ModelSpec(
    name="oracle",
    summary="the ceiling: the truth behind blocksworld; the photo itself on COCO, ADE20K and COCO-Stuff",
    factory="evalkit_tasks.blocksworld.model:oracle_model",
    jobs=(
        "text-to-image",
        "text-guided-editing",
        "structure-to-image",
        "object-to-image",
        "segmentation-to-image",
        "captioning",
        "vqa",
    ),
)
"""The model that draws the true scene of each blocksworld sample."""
