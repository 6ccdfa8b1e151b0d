"""Benchmarks, one file each, and the data that evalkit ships.

The tables below are all that listing reads: a spec names its code, and the code is imported when it is asked for.
"""

from __future__ import annotations

from evalkit.anchors import Anchor
from evalkit.interfaces import DataSpec, ModelSpec, Option, TaskSpec
from evalkit_tasks.blocksworld import ORACLE_MODEL
from evalkit_tasks.blocksworld.specs import BLOCKSWORLD_TASKS
from evalkit_tasks.map_specs import MAP_TASKS
from evalkit_tasks.picture_specs import PICTURE_TASKS
from evalkit_tasks.word_specs import CAPTION_TASKS, QUESTION_TASKS

_PUBLISHED = "as published, zero-shot FID-30K on val2014"
COCO_FID_ANCHORS = (
    Anchor(
        "fid",
        31.675,
        "golden value: retrieval on blocksworld's 500 captions, as README.md has it",
        tolerance=0.005,
        model="retrieval",
        data="blocksworld",
    ),
    *(
        Anchor("fid", value, f"{who}, {_PUBLISHED}")
        for who, value in (
            ("CM3Leon-7B with two documents (arXiv:2309.02591)", 4.88),
            ("CM3Leon-7B without retrieval (arXiv:2309.02591)", 10.82),
            ("GigaGAN (arXiv:2303.05511)", 9.09),
            ("Parti-20B (arXiv:2206.10789)", 7.23),
            ("Imagen (arXiv:2205.11487)", 7.27),
        )
    ),
)
"""Each published number stands under its own protocol: see `coco_fid.py`."""

TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="coco_fid",
        version=1,
        job="text-to-image",
        summary="Frechet distance of pictures made from MS-COCO captions to the real photos (FID-30K on val2014)",
        factory="evalkit_tasks.coco_fid:coco_fid",
        data=("coco", "blocksworld", "karpathy", "hf:REPO@REVISION"),
        metrics=("fid", "kid", "precision", "recall", "density", "coverage", "inception_score", "fid_infinity"),
        protocols=("torch-fidelity", "pytorch-fid", "clean-fid", "torchmetrics", "coco-256"),
        weights=("fid-inception-2015-12-05",),
        options=(
            Option(
                "split", "", "val2014, val2017, or a Karpathy or hub split; the default is val2014 where it is found"
            ),
            Option("captions", "30000", "how many captions to draw, or a file that lists caption ids"),
            Option("selection_seed", "0", "seed of the order in which captions are drawn"),
            Option("captions_per_image", "auto", "1, any, or auto: any for 30,000 images or more, else 1"),
            Option("reference", "full", "full: every image of the split; same: those of the chosen captions"),
            Option("image_column", "", "column of the pictures, for --data hf:"),
            Option("caption_column", "", "column of the captions, for --data hf:"),
            Option("id_column", "", "column of the image ids, for --data hf:"),
        ),
        citation="Heusel 2017, arXiv:1706.08500; Lin 2014, arXiv:1405.0312; Saharia 2022, arXiv:2205.11487",
        licence="annotations CC BY 4.0; photos under their Flickr terms",
        anchors=COCO_FID_ANCHORS,
    ),
    *CAPTION_TASKS,
    *QUESTION_TASKS,
    *BLOCKSWORLD_TASKS,
    *PICTURE_TASKS,
    *MAP_TASKS,
)

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="retrieval",
        summary="looks up training data: the nearest caption's picture, the nearest picture's caption, a common answer",
        factory="evalkit_tasks.retrieval:retrieval",
        jobs=("text-to-image", "captioning", "vqa"),
        options=(
            Option("corpus", "", "folder of the training captions and pictures; the default is the task's own data"),
            Option("split", "", "training split: train2014 or train2017; the default is train2014 where it is found"),
            Option("size", "", "how many training pictures to use; the default is all of COCO, 2000 of blocksworld"),
        ),
    ),
    ORACLE_MODEL,
)

DATA: tuple[DataSpec, ...] = (
    DataSpec(
        name="coco",
        summary="MS-COCO captions and photos: the official files, read in place",
        factory="evalkit_tasks.sources:fetch_coco",
        locate="evalkit_tasks.sources:locate_coco",
        licence="annotations CC BY 4.0; photos under their Flickr terms",
        size="6.9 GB for val2014 with its annotations",
        options=(
            Option("split", "val2014", "val2014, val2017, train2014 or train2017, with the annotations of its year"),
        ),
    ),
    DataSpec(
        name="blocksworld",
        summary="a drawn world of coloured blocks with ground truth for every task; shipped with evalkit",
        factory="evalkit_tasks.sources:fetch_blocksworld",
        locate="evalkit_tasks.sources:locate_blocksworld",
        licence="Apache-2.0",
        size="nothing: it is part of evalkit",
        embedded=True,
    ),
    DataSpec(
        name="vqav2",
        summary="VQAv2's questions and annotations: the official zips, read in place; the photos are coco's val2014",
        factory="evalkit_tasks.sources:fetch_vqav2",
        locate="evalkit_tasks.sources:locate_vqav2",
        licence="annotations CC BY 4.0",
        size="14 MB for val",
        options=(Option("split", "val", "val, train, or test, which has test-dev's questions too"),),
    ),
    DataSpec(
        name="text_prompts",
        summary="200 prompts that ask for words in a picture; shipped with evalkit",
        factory="evalkit_tasks.sources:fetch_text_prompts",
        locate="evalkit_tasks.sources:locate_text_prompts",
        licence="Apache-2.0",
        size="nothing: it is part of evalkit",
        embedded=True,
    ),
    DataSpec(
        name="easy-vqa",
        summary="easy-VQA: 48,248 questions about 5,000 drawn shapes, in a wheel that is read in place",
        factory="evalkit_tasks.sources:fetch_easy_vqa",
        locate="evalkit_tasks.sources:locate_easy_vqa",
        licence="MIT",
        size="3 MB",
    ),
    DataSpec(
        name="geneval",
        summary="GenEval's 553 prompts with what each asks for",
        factory="evalkit_tasks.sources:fetch_geneval",
        locate="evalkit_tasks.sources:locate_geneval",
        licence="MIT",
        size="85 kB",
    ),
)
