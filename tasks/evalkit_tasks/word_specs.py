"""The benchmarks whose answers are words, as the table of this room lists them: nothing heavy is imported here."""

from __future__ import annotations

from evalkit.interfaces import Need, Option, TaskSpec

_CAPTION_METRICS = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l")
_OPTIONAL_METRICS = ("meteor", "spice", "clipscore[openai-vit-b32]", "refclipscore[openai-vit-b32]")
"""Left out, unless they are asked for, where Java and jars, or weights, are not on the machine."""
_CLIP_WEIGHTS = ("clip-openai-vit-b32", "clip-merges")
_JAVA = (Need("java", "program", "install a Java runtime of 8 or later", "meteor, spice"),)
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
        summary="captions of MS-COCO photos by coco-caption's scores and CLIPScore (Karpathy's test, val2014, val2017)",
        factory="evalkit_tasks.coco_caption:coco_caption",
        data=("karpathy", "coco", "blocksworld", "hf:REPO@REVISION"),
        metrics=(*_CAPTION_METRICS, *_OPTIONAL_METRICS),
        protocols=("coco-caption",),
        weights=_CLIP_WEIGHTS,
        needs=_JAVA,
        options=(
            Option("split", "", "val2014 or val2017 of coco, test or val of karpathy, or a hub split"),
            _CAPTION_PROMPT,
            *_HUB_COLUMNS,
        ),
        citation="Chen 2015, arXiv:1504.00325; Vedantam 2015, arXiv:1411.5726; Karpathy 2015, arXiv:1412.2306",
        licence="annotations CC BY 4.0; photos under their Flickr terms",
    ),
    TaskSpec(
        name="nocaps",
        version=1,
        job="captioning",
        summary="captions of photos with objects that COCO lacks, within domains too",
        factory="evalkit_tasks.nocaps:nocaps",
        data=("nocaps", "hf:REPO@REVISION"),
        metrics=(*_CAPTION_METRICS, "cider_by_domain", *_OPTIONAL_METRICS),
        protocols=("coco-caption",),
        weights=_CLIP_WEIGHTS,
        needs=_JAVA,
        options=(Option("split", "", "a hub split; the official files have val only"), _CAPTION_PROMPT, *_HUB_COLUMNS),
        citation="Agrawal 2019, arXiv:1812.08658",
        licence="CC BY 2.0",
    ),
    TaskSpec(
        name="flickr30k_caption",
        version=1,
        job="captioning",
        summary="captions of Flickr30k photos on Karpathy's test split",
        factory="evalkit_tasks.flickr30k_caption:flickr30k_caption",
        data=("flickr30k", "hf:REPO@REVISION"),
        metrics=(*_CAPTION_METRICS, *_OPTIONAL_METRICS),
        protocols=("coco-caption",),
        weights=_CLIP_WEIGHTS,
        needs=_JAVA,
        options=(Option("split", "test", "test or val, or a hub split"), _CAPTION_PROMPT, *_HUB_COLUMNS),
        citation="Young 2014, TACL 2; Karpathy 2015, arXiv:1412.2306",
        licence="research and education only; photos under Flickr's terms",
    ),
)

_VQA_METRICS = ("vqa_accuracy", "vqa_accuracy_by_answer_type", "vqa_accuracy_by_question_type")
_VQA_PROTOCOLS = ("vqa-official", "evalai", "lmms")


def _question_prompt(default: str) -> Option:
    names = "short-answer, bare, question-answer, short-or-unanswerable or short-answer-ocr"
    return Option("prompt", default, f"what the model is told: {names}")


QUESTION_TASKS: tuple[TaskSpec, ...] = (
    TaskSpec(
        name="vqav2",
        version=1,
        job="vqa",
        summary="VQAv2 by the official VQA accuracy; of test-dev and test the file for EvalAI is written",
        factory="evalkit_tasks.vqav2:vqav2",
        data=("vqav2", "blocksworld", "hf:REPO@REVISION"),
        metrics=(*_VQA_METRICS, "submission"),
        protocols=_VQA_PROTOCOLS,
        options=(Option("split", "val", "val, test-dev, test, or a hub split"), _question_prompt("short-answer")),
        citation="Goyal 2017, arXiv:1612.00837; Antol 2015, arXiv:1505.00468",
        licence="annotations CC BY 4.0; photos under their Flickr terms",
    ),
    TaskSpec(
        name="okvqa",
        version=1,
        job="vqa",
        summary="OK-VQA: questions that need outside knowledge, by the VQA accuracy",
        factory="evalkit_tasks.okvqa:okvqa",
        data=("okvqa", "hf:REPO@REVISION"),
        metrics=_VQA_METRICS,
        protocols=_VQA_PROTOCOLS,
        options=(
            Option("split", "val", "val, or a hub split"),
            _question_prompt("short-answer"),
            Option(
                "answers", "answer", "answer: the stems that are scored; raw_answer: the words as they were written"
            ),
        ),
        citation="Marino 2019, arXiv:1906.00067",
        licence="annotations CC BY 4.0; photos under their Flickr terms",
    ),
    TaskSpec(
        name="textvqa",
        version=1,
        job="vqa",
        summary="TextVQA: questions whose answer is written in the picture, by the VQA accuracy",
        factory="evalkit_tasks.textvqa:textvqa",
        data=("textvqa", "hf:REPO@REVISION"),
        metrics=("vqa_accuracy", "submission"),
        protocols=("evalai", "vqa-official", "lmms"),
        options=(Option("split", "val", "val, test, or a hub split"), _question_prompt("short-answer")),
        citation="Singh 2019, arXiv:1904.08920",
        licence="annotations CC BY 4.0; photos of Open Images CC BY 2.0",
    ),
    TaskSpec(
        name="vizwiz",
        version=1,
        job="vqa",
        summary="VizWiz: blind people's questions about their photos, and telling which cannot be answered",
        factory="evalkit_tasks.vizwiz:vizwiz",
        data=("vizwiz", "hf:REPO@REVISION"),
        metrics=("vqa_accuracy", "vqa_accuracy_by_answer_type", "answerability_ap", "answerability_f1", "submission"),
        protocols=("vizwiz-official", *_VQA_PROTOCOLS),
        options=(Option("split", "val", "val, test, or a hub split"), _question_prompt("short-or-unanswerable")),
        citation="Gurari 2018, arXiv:1802.08218",
        licence="CC BY 4.0",
    ),
    TaskSpec(
        name="gqa",
        version=1,
        job="vqa",
        summary="GQA: compositional questions by exact match, with validity, plausibility, consistency, distribution",
        factory="evalkit_tasks.gqa:gqa",
        data=("gqa",),
        metrics=(
            *("gqa_accuracy", "gqa_accuracy_by_structural_type", "gqa_accuracy_by_semantic_type"),
            *("gqa_binary", "gqa_open", "gqa_validity", "gqa_plausibility", "gqa_consistency", "gqa_distribution"),
        ),
        protocols=("gqa-official", "gqa-lmms"),
        options=(
            Option("split", "testdev_balanced", "testdev_balanced, val_balanced, testdev_all or val_all"),
            _question_prompt("short-answer"),
        ),
        citation="Hudson 2019, arXiv:1902.09506",
        licence="CC BY 4.0",
    ),
    TaskSpec(
        name="easy_vqa",
        version=1,
        job="vqa",
        summary="easy-VQA: questions about drawn shapes; its 3 MB are on the package index, so it runs anywhere",
        factory="evalkit_tasks.easy_vqa:easy_vqa",
        data=("easy-vqa",),
        metrics=("easy_vqa_accuracy", "easy_vqa_accuracy_by_answer_type"),
        protocols=("easy-vqa-exact",),
        options=(Option("split", "test", "test or train"), _question_prompt("short-answer")),
        citation="Zhou 2019, github.com/vzhou842/easy-VQA",
        licence="MIT",
    ),
)
