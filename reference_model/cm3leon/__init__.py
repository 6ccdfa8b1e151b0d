"""A reference CM3leon: text from pictures and pictures from text in one decoder-only transformer. See README.md."""

from __future__ import annotations

from cm3leon.config import ANOLE_LICENCE, CHAMELEON_LICENCE
from evalkit.interfaces import ModelSpec, Option
from evalkit.models.prompts import PROMPT_OPTIONS

MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="cm3leon",
        summary="the reference CM3leon, trained on blocksworld: every job; small enough for a laptop. NAME is "
        "chameleon-7b, chameleon-30b or anole-7b: the published successors, from files of yours",
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
            Option("weights", "", "folder of other weights than the shipped ones; published models need it"),
            Option("documents", "", "retrieved documents before a wish for a picture: 0, 1 or 2"),
            Option("mode", "top-p", "how codes are drawn: top-p, cd, cd-k, or mixture (half of best_of each way)"),
            Option("alpha", "0.1", "cd, cd-k: what a code's likelihood must reach of the likeliest's"),
            Option("k", "2", "cd-k: the likelihood is that of the k-th likeliest"),
            Option("captions", "", "captions tried, the one nearest to its picture being told: 4; 1 is the likeliest"),
            Option("precision", "", "fp32, bf16, fp16 or int8; bf16 for published models, else fp32"),
            Option("device", "", "cpu, cuda or cuda:1; that of --device by default"),
            Option("rows", "16", "answers made at once: fewer take less memory; each number rounds differently"),
            Option("draw", "", "published models: yes or no; Chameleon's licence does not let it draw, so no for it"),
            Option("vqgan", "", "published models: file or folder of an image tokenizer that has its decoder"),
            Option("shape", "published", "any: weights of another size than the published model's, a test's say"),
            *(option for option in PROMPT_OPTIONS if option.name != "system"),
        ),
        licence=f"chameleon-7b, chameleon-30b: {CHAMELEON_LICENCE}. anole-7b: {ANOLE_LICENCE}",
    ),
)
