"""The benchmarks whose answers are words, as the table of this room lists them: nothing heavy is imported here."""

from __future__ import annotations

from evalkit.interfaces import Option, TaskSpec

_CAPTION_METRICS = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l")
_CAPTION_PROMPT = Option("prompt", "one-sentence", "what the model is told: one-sentence, describe or picture-only")
_HUB_COLUMNS = (
    Option("image_column", "", "column of the pictures, for --data hf:"),
    Option("caption_column", "", "column of the captions, for --data hf:"),
    Option("id_column", "", "column of the image ids, for --data hf:"),
)

CAPTION_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="coco_caption",
        version=1,
        job="captioning",
        summary="captions of MS-COCO photos: CIDEr-D, BLEU, ROUGE-L (Karpathy's test split, val2014 or val2017)",
        factory="evalkit_tasks.coco_caption:coco_caption",
        data=("karpathy", "coco", "blocksworld", "hf:REPO@REVISION"),
        metrics=_CAPTION_METRICS,
        protocols=("coco-caption",),
        options=(
            Option("split", "", "val2014 or val2017 of coco, test or val of karpathy, or a hub split"),
            _CAPTION_PROMPT,
            *_HUB_COLUMNS,
        ),
        citation="Chen 2015, arXiv:1504.00325; Vedantam 2015, arXiv:1411.5726; Karpathy 2015, arXiv:1412.2306",
        licence="annotations CC BY 4.0; photos under their Flickr terms",
    ),
)

QUESTION_TASKS: tuple[TaskSpec, ...] = ()
