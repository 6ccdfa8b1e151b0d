"""DrawBench: 200 prompts of eleven categories that are hard to draw (`drawbench@1`, text-to-image).

One item of `drawbench.csv`:

    Prompts,Category
    A red colored car.,Colors

Protocol. The model is asked for a picture of the prompt, as it stands. The paper has people compare pairs; there is no
official scorer. The numbers are those of `parti_prompts`, overall and by category: `clip_t[...]`, the raw cosine;
`clipscore[...]`, 2.5 max(cos, 0) with its prefix; and, where their weights are on this machine, `vqascore[...]`, the
probability that CLIP-FlanT5 says the picture shows the prompt, `pickscore[...]` and `hpsv2[...]`, what models of
people's preferences say. Without their weights these three are left out, which the run says with the reason;
`--metrics` that names one fetches them. `-t backbone=openai-vit-l14`, `-t vqascore=clip-flant5-xxl` and `-t
hps=hps-v2.0` ask for others.

Pitfalls. CLIP is weak at just what DrawBench asks for (counting, position, spelling): two models that people tell apart
may not differ. VQAScore was made for that: between two pictures of a prompt of DrawBench, CLIP-FlanT5-XL chooses as
people do in 82.8 % of cases, XXL in 85.3 %, by its authors' table. PickScore and HPSv2 also prize what has nothing to
do with the prompt. Some prompts are misspelt on purpose. Anchors: none by these metrics in the paper; `parti_prompts`
has published means of HPSv2.

Data: Imagen's sheet of prompts, saved as CSV with the columns above. Source: Saharia et al. 2022, arXiv:2205.11487;
those of the scores stand in `parti_prompts`; linzhiqiu/CLIP-FlanT5 at 7b1628d, `docs/MODEL_ZOO.md`.
"""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.workspace import Workspace
from evalkit_tasks.prompt_sets import PromptTable, prompt_task
from evalkit_tasks.sample_task import SampleTask

TABLE = PromptTable(
    name="drawbench",
    file="drawbench.csv",
    separator=",",
    prompt="Prompts",
    strata=(("category", "Category"),),
    count=200,
    licence="none given: treat as restricted",
    how="save Imagen's sheet of DrawBench prompts as drawbench.csv, with the columns Prompts and Category",
)


def drawbench(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on DrawBench, or on blocksworld's captions.

    Raises:
        UsageError: other data, or an option has no such value.
        DataError: the table is missing or malformed.
    """
    return prompt_task(TABLE, workspace, options)
