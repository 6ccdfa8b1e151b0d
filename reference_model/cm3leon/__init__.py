"""A reference CM3leon: text from pictures and pictures from text in one decoder-only transformer. See README.md."""

from __future__ import annotations

from evalkit.interfaces import ModelSpec, Option

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="cm3leon",
        summary="the reference CM3leon, trained on blocksworld: every job; small enough for a laptop",
        factory="cm3leon.entry:cm3leon_model",
        jobs=(
            "text-to-image",
            "text-guided-editing",
            "structure-to-image",
            "object-to-image",
            "segmentation-to-image",
            "captioning",
            "vqa",
        ),
        argument="[NAME]",
        options=(
            Option("weights", "", "folder of other weights than the shipped ones"),
            Option("documents", "", "retrieved documents before a wish for a picture: 0, 1 or 2"),
            Option("mode", "top-p", "how codes are drawn: top-p, cd, cd-k, or mixture (half of best_of each way)"),
            Option("alpha", "0.1", "cd, cd-k: what a code's likelihood must reach of the likeliest's"),
            Option("k", "2", "cd-k: the likelihood is that of the k-th likeliest"),
            Option("precision", "fp32", "fp32, bf16, fp16 or int8"),
            Option("device", "", "cpu or cuda; the GPU where there is one"),
        ),
    ),
)
