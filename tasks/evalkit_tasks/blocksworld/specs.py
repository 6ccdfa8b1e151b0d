"""The tasks on the held-out set, as the table of this room lists them: nothing heavy is imported here."""

from __future__ import annotations

from evalkit.anchors import Anchor
from evalkit.interfaces import Option, TaskSpec
from evalkit.types import Job

_ORACLE = ("blocksworld-oracle",)
_LICENCE = "Apache-2.0"
_CEILING = "golden value: the ceiling on the shipped files, as blocksworld/README.md has it"


def _spec(
    what: str,
    job: Job,
    summary: str,
    metrics: tuple[str, ...],
    protocols: tuple[str, ...] = _ORACLE,
    options: tuple[Option, ...] = (),
    citation: str = "",
    ceiling: tuple[tuple[str, float], ...] = (),
) -> TaskSpec:
    """Return the spec of `blocksworld_WHAT@1`, whose code is the function of that name in the file of that name.

    `ceiling` holds what the oracle reaches, which `evalkit verify` runs again.
    """
    name = f"blocksworld_{what}"
    return TaskSpec(
        name=name,
        version=1,
        job=job,
        summary=f"{summary}, on the drawn world that evalkit ships",
        factory=f"evalkit_tasks.{name}:{name}",
        data=("blocksworld",),
        metrics=metrics,
        protocols=protocols,
        options=options,
        citation=citation,
        licence=_LICENCE,
        anchors=tuple(Anchor(metric, value, _CEILING, 1e-6, "oracle") for metric, value in ceiling),
    )


BLOCKSWORLD_TASKS: tuple[TaskSpec, ...] = (
    _spec(
        "caption",
        "captioning",
        "captions: CIDEr-D, BLEU, ROUGE-L, and every attribute that they name checked",
        (
            *("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l"),
            *("attribute_precision", "attribute_precision_by_stratum"),
            *("shape_precision", "colour_precision", "size_precision", "texture_precision", "place_precision"),
            *("number_precision", "relation_precision", "background_precision"),
            *("block_recall", "parsed"),
        ),
        protocols=("coco-caption",),
        citation="Chen 2015, arXiv:1504.00325; Vedantam 2015, arXiv:1411.5726",
        ceiling=(("cider", 2.704236629336213), ("attribute_precision", 1.0), ("block_recall", 1.0)),
    ),
    _spec(
        "vqa",
        "vqa",
        "questions by the official VQA accuracy",
        ("vqa_accuracy", "vqa_accuracy_by_answer_type", "vqa_accuracy_by_question_type"),
        protocols=("vqa-official", "evalai", "lmms"),
        citation="Antol 2015, arXiv:1505.00468; Goyal 2017, arXiv:1612.00837",
        ceiling=(("vqa_accuracy", 100.0),),
    ),
    _spec(
        "composition",
        "text-to-image",
        "text to image: objects, colours, count and positions as the caption says, and GenEval's six",
        (
            *("composition", "composition_by_stratum", "composition_by_caption_kind"),
            *("objects", "object_colours", "count", "positions", "looks", "background"),
            *("geneval_single", "geneval_two", "geneval_counting", "geneval_colours"),
            *("geneval_position", "geneval_colour_attribution"),
        ),
        citation="Ghosh 2023, arXiv:2310.11513",
        ceiling=(("composition", 0.998), ("count", 0.998), ("positions", 1.0), ("looks", 213 / 214)),
    ),
    _spec(
        "edit",
        "text-guided-editing",
        "edits done as told with all else kept",
        (
            *("edit_success", "edit_success_by_edit_type", "edit_success_by_turn"),
            *("edit_done", "edit_done_by_edit_type", "preserved", "preserved_by_edit_type", "l1_outside"),
        ),
        citation="Zhang 2023, arXiv:2306.10012 (the layout of the sessions, and L1)",
        ceiling=(("edit_success", 0.998), ("preserved", 0.998), ("l1_outside", 0.0)),
    ),
    _spec(
        "boxes",
        "object-to-image",
        "pictures from labelled boxes: IoU of what was asked for with what is there",
        ("box_iou", "box_iou_by_stratum", "found", "found_by_stratum", "box_precision"),
        ceiling=(("box_iou", 0.9583131174167338), ("found", 0.9992266047950503)),
    ),
    _spec(
        "segmentation",
        "segmentation-to-image",
        "pictures from label maps: mean IoU of the map read again",
        (
            *("miou", "miou_by_stratum", "iou_background", "iou_square", "iou_circle", "iou_triangle"),
            *("iou_diamond", "iou_cross", "iou_star", "iou_ring"),
        ),
        citation="Everingham 2010, doi:10.1007/s11263-009-0275-4",
        ceiling=(("miou", 0.9568548341010932),),
    ),
    _spec(
        "edges",
        "structure-to-image",
        "pictures from outlines or depth: F1 or RMSE of the condition read again",
        ("edge_f1", "edge_f1_by_stratum", "edge_precision", "edge_recall", "depth_rmse", "depth_rmse_by_stratum"),
        options=(Option("condition", "edges", "edges or depth: what the model is shown, and which metrics are made"),),
        citation="Li 2024, arXiv:2404.07987; Perazzi 2016, doi:10.1109/CVPR.2016.85",
        ceiling=(("edge_f1", 0.9999667319720329),),
    ),
)
