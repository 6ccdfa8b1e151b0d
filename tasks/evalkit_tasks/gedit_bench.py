"""GEdit-Bench: users' own wishes for photos, judged by a vision-language model (`gedit_bench@1`, text-guided-editing).

One item of the hub's columns (`key`, `task_type`, `instruction`, `instruction_language`, `input_image_raw`):

    task_type    background_change
    instruction  Change the background to a city street at night.

Protocol. Two questions go to the judge for each answer, brought to the source's size: semantic consistency, shown
source and answer, and perceptual quality, shown the answer alone. Each is answered with two numbers, 0 to 10, of which
the lower counts.

    g_sc, g_pq   the two scores
    g_o          the root of their product, an item at a time

Each is the mean over the groups (`task_type`) of the group's mean, and given by group. The judge is pinned: `-t
judge=MODEL -t judge_url=http://HOST/v1`; its id, the days it was asked on and the digest of its prompts are fields of
the protocol, and what it said is kept raw in the cache. A judgement that fails or cannot be read is a failure: counted,
warned of and stamped, never a 0. Official scorer: stepfun-ai/Step1X-Edit at e78b811, `GEdit-Bench/` (Apache-2.0), after
VIEScore, arXiv:2312.14867; it skips failures, and lmms-eval scores them 0.

Choices that move the number. The judge: GPT-4.1 and Qwen2.5-VL-72B-AWQ are not interchangeable. The wording: evalkit's
own by default; name files with the official one by `-t sc_prompt=FILE -t pq_prompt=FILE` (`{instruction}` is replaced).
The language: `-t language=en` or `cn`. The published "intersection" subset, which all compared models answered, is not
made here.

Anchors stand in the paper by judge; compare only runs of one protocol. Pitfalls: scores drift with the judge's version
(Step1X-Edit issue 143).

Data: stepfun-ai/GEdit-Bench on the hub, 11 groups, as `--data hf:REPO@COMMIT` or its parquet files. Source: Liu et al.
2025, arXiv:2504.17761.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import DataError
from evalkit.images import image_of, pixels
from evalkit.interfaces import Scored
from evalkit.json_values import a_list, a_number, an_object
from evalkit.keys import digest
from evalkit.metrics.judged.endpoint import Endpoint, Judgement
from evalkit.metrics.judged.metric import JudgedMetric, Verdict
from evalkit.metrics.means import Fields, MeanMetric, Measure, Tally, judged_elsewhere
from evalkit.metrics.pictures.pixelwise import sized_like
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.types import Failure, Text
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import EditTurn, choose_edits, edit_sample, source_of
from evalkit_tasks.options import one_of
from evalkit_tasks.parquet_edits import EditColumns, holds_parquet, parquet_turns
from evalkit_tasks.sample_task import SampleTask

NAME = "gedit_bench@1"
PROTOCOL = "gedit-bench"
HOW = "name it as --data hf:stepfun-ai/GEdit-Bench@COMMIT"
COLUMNS = EditColumns(session="key", source="input_image_raw", instruction="instruction", kind="task_type")
SC_PROMPT = """The first picture was edited into the second by this instruction: {instruction}
Rate the second picture twice, each from 0 to 10: how well the instruction was followed, and how well everything that
the instruction does not ask to change was kept.
Answer only with JSON: {"score": [followed, kept], "reasoning": "..."}"""
PQ_PROMPT = """Rate this picture twice, each from 0 to 10: how natural it looks, and how free it is of artefacts.
Answer only with JSON: {"score": [natural, clean], "reasoning": "..."}"""
HIGHEST = 10.0


def gedit_bench(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on GEdit-Bench, or on blocksworld's edits.

    Raises:
        UsageError: other data, or an option has no such value.
        DataError: the data or a prompt are missing or malformed.
    """
    language = one_of(options, "language", ("en", "cn"))

    def reader(folder: Path) -> tuple[EditTurn, ...]:
        return parquet_turns(folder, "", COLUMNS, workspace.datasets / "hub", {"instruction_language": language})

    edits = choose_edits(workspace, "gedit_bench", reader, holds_parquet, "Apache-2.0", HOW)
    here = edits.workspace
    prompts = (prompt_text(options, "sc_prompt", SC_PROMPT), prompt_text(options, "pq_prompt", PQ_PROMPT))
    jury = VieScore(Endpoint(here, options.get("judge_url", ""), options.get("judge", "")), *prompts)
    fields = {
        "data": edits.card.name,
        "data_digest": edits.card.digest,
        "language": language,
        "prompt": "the instruction",
    }
    groups = tuple(sorted({turn.kind for turn in edits.turns}))
    measures = grouped_measures(("g_o", "g_sc", "g_pq"), groups)
    metric = JudgedMetric(MeanMetric(PROTOCOL, fields, measures, judged_elsewhere), jury)
    samples = tuple(edit_sample(turn) for turn in edits.turns)
    return SampleTask(here, NAME, "text-guided-editing", edits.card, samples, (metric,))


def grouped_measures(names: Sequence[str], groups: Sequence[str]) -> tuple[Measure, ...]:
    """Return for each name the mean over groups of the group's mean, broken down by group."""
    return tuple(
        Measure(name, "points", parts=tuple(f"{name}/{group}" for group in groups), by=("edit_type",)) for name in names
    )


def prompt_text(options: Mapping[str, str], name: str, default: str) -> str:
    """Return the judge's prompt: that of the file which the option names, else `default`.

    Raises:
        DataError: the file cannot be read.
    """
    file = options.get(name)
    if not file:
        return default
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"-t {name}={file} cannot be read ({error}); name a text file") from error


@dataclass(frozen=True, slots=True)
class VieScore:
    """Semantic consistency and perceptual quality, each the lower of two numbers, by one judge."""

    judge: Endpoint
    sc_prompt: str
    pq_prompt: str

    def prepare(self) -> None:
        """Find the judge.

        Raises:
            UsageError: none is named.
        """
        self.judge.require_named()

    def fields(self) -> Fields:
        """Return judge, address and prompts."""
        prompts = {"sc_prompt": digest(self.sc_prompt), "pq_prompt": digest(self.pq_prompt)}
        return {"judge": self.judge.model, "judge_url": self.judge.url, "answer_resize": "bicubic-pil", **prompts}

    def verdict(self, scored: Scored) -> Verdict | Failure:
        """Return the three scores of one answer under its group, or why there are none."""
        source = source_of(scored)
        answer = image_of(sized_like(pixels(answered_picture(scored)), pixels(source)))
        instruction = next(part.text for part in scored.sample.parts if isinstance(part, Text))
        said = (
            self.judge.ask(self.sc_prompt.replace("{instruction}", instruction), [source, answer]),
            self.judge.ask(self.pq_prompt, [answer]),
        )
        lowest: list[float] = []
        for one in said:
            pair = lowest_of_two(one.text) if isinstance(one, Judgement) else one
            if isinstance(pair, Failure):
                return pair
            lowest.append(pair)
        group = dict(scored.sample.strata).get("edit_type", "")
        sc, pq = lowest
        tallies = {f"g_sc/{group}": sc, f"g_pq/{group}": pq, f"g_o/{group}": math.sqrt(sc * pq)}
        made = [one for one in said if isinstance(one, Judgement)]
        return Verdict(
            {name: Tally(value) for name, value in tallies.items()},
            frozenset(one.date for one in made),
            frozenset(one.judge for one in made),
        )


def lowest_of_two(text: str) -> float | Failure:
    r"""Return the lower of the two numbers in a judge's answer, or a failure where there are not two of 0 to 10.

    >>> lowest_of_two('```json\n{"score": [7, 4], "reasoning": "..."}\n```')
    4.0
    """
    found = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        scores = [a_number(value) for value in a_list(an_object(json.loads(found[0] if found else ""))["score"])]
    except (ValueError, KeyError, TypeError) as error:
        return Failure("malformed", f"the judge's answer holds no scores ({error!r}): {text[:120]!r}")
    if len(scores) != 2 or not all(0 <= score <= HIGHEST for score in scores):
        return Failure("malformed", f"the judge's answer holds no two scores of 0 to 10: {text[:120]!r}")
    return float(min(scores))
