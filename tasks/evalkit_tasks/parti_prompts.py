"""PartiPrompts: 1,632 prompts of twelve categories and eleven challenges (`parti_prompts@1`, text-to-image).

One item, the third line of `PartiPrompts.tsv`:

    Prompt  element    Category  Abstract    Challenge  Basic    Note  Biology-inspired concepts with multiple meanings

Protocol. The model is asked for a picture of the prompt, as it stands. The paper has people compare pairs; there is no
official scorer. Measured here, overall and by category and challenge, with the backbone in each name:

    clip_t[openai-vit-b32]      cosine of picture and prompt, nothing added
    clipscore[openai-vit-b32]   2.5 max(cos, 0), the prompt reading "A photo depicts " + prompt

Choices that move the number: the backbone (`-t backbone=openai-vit-l14`), the prefix, the factor: published CLIP scores
come in four conventions (raw cosine, times 100, 2.5 with prefix, other backbones), so compare only what carries the
same protocol.

Pitfalls. Prompts of one word say little; CLIP cuts the longest ones at 77 tokens. Anchors: none by these metrics in the
paper.

Data: google-research/parti at 2c99f66, `PartiPrompts.tsv` (Apache-2.0). Source: Yu et al. 2022, arXiv:2206.10789.
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
