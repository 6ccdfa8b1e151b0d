"""PartiPrompts: 1,632 prompts of twelve categories and eleven challenges (`parti_prompts@1`, text-to-image).

One item, the third line of `PartiPrompts.tsv`:

    Prompt  element    Category  Abstract    Challenge  Basic    Note  Biology-inspired concepts with multiple meanings

Protocol. The model is asked for a picture of the prompt, as it stands. The paper has people compare pairs; there is no
official scorer. Measured here, overall and by category and challenge, with the backbone in each name:

    clip_t[openai-vit-b32]      cosine of picture and prompt, nothing added
    clipscore[openai-vit-b32]   2.5 max(cos, 0), the prompt reading "A photo depicts " + prompt
    vqascore[clip-flant5-xl]    P("Yes") to 'Does this figure show "PROMPT"? Please answer yes or no.'
    pickscore[pickscore-v1]     the weights' own scale, about 100, times the cosine of a CLIP of people's preferences
    hpsv2[hps-v2.1]             100 times the cosine of another one

The last three are made where their weights are on this machine (6.3, 3.9 and 2.0 GB), and else left out, which the run
says with the reason. `evalkit fetch pickscore-v1` gets them, as does `--metrics` that names the number.

Choices that move the number: the backbone (`-t backbone=openai-vit-l14`, `-t vqascore=clip-flant5-xxl`, `-t
hps=hps-v2.0`), the prefix, the factor: published CLIP scores come in four conventions (raw cosine, times 100, 2.5 with
prefix, other backbones), so compare only what carries the same protocol. All of it is computed in float32, where the
official code of VQAScore and HPSv2 takes 16 bits on a GPU; `evalkit/features/clip_flant5.py` and
`evalkit/metrics/pictures/preference.py` say what else differs.

Pitfalls. Prompts of one word say little; CLIP, and with it PickScore and HPSv2, cuts the longest ones at 77 tokens,
VQAScore at 2,048. PickScore and HPSv2 are trained to tell pictures of one prompt apart: their means rank models on the
same prompts, and say nothing across prompts or versions. A model trained against one of these scores should be measured
by another. VQAScore is usually published for CLIP-FlanT5-XXL (23 GB, not fetched by itself), whose numbers are others.

Anchors: none by these metrics in the paper. HPSv2 on its own 3,200 prompts, as published, to know its range: SDXL 0.9
30.63, Stable Diffusion 2.0 26.38, 1.4 25.35, DALL-E 2 25.34 (v2.1); 27.73, 27.17, 26.95, 26.95 (v2.0).

Data: google-research/parti at 2c99f66, `PartiPrompts.tsv` (Apache-2.0). Source: Yu et al. 2022, arXiv:2206.10789; Lin
et al. 2024, arXiv:2404.01291; Kirstain et al. 2023, arXiv:2305.01569; Wu et al. 2023, arXiv:2306.09341, and the tables
in the README of tgxs002/HPSv2 at 866735e.
"""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.workspace import Workspace
from evalkit_tasks.prompt_sets import PromptTable, prompt_task
from evalkit_tasks.sample_task import SampleTask

TABLE = PromptTable(
    name="parti_prompts",
    file="PartiPrompts.tsv",
    separator="\t",
    prompt="Prompt",
    strata=(("category", "Category"), ("challenge", "Challenge")),
    count=1_632,
    licence="Apache-2.0",
    how="get PartiPrompts.tsv from github.com/google-research/parti",
)


def parti_prompts(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on PartiPrompts, or on blocksworld's captions.

    Raises:
        UsageError: other data, or an option has no such value.
        DataError: the table is missing or malformed.
    """
    return prompt_task(TABLE, workspace, options)
