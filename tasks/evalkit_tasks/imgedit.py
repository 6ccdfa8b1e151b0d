"""ImgEdit-Bench, basic suite: 737 edits of nine types, judged by a vision-language model (`imgedit@1`).

One item of `basic_edit.json`, its picture below `singleturn/`:

    "1": {"id": "animal/000342021.jpg", "prompt": "Change the tortoise's shell texture to a smooth surface.",
          "edit_type": "adjust"}

Protocol. The judge is shown source and answer, brought to the source's size, and gives three scores of 1 to 5: how well
the instruction was followed, how well the edit fits in, and how well the rest was kept. The second and third may not
exceed the first, as the official prompts demand; where a judge lets them, they are lowered to it.

    imgedit   the mean of the three scores, an item at a time; the mean over the types of the type's mean, and by type

The judge is pinned by `-t judge=MODEL -t judge_url=http://HOST/v1`; see `gedit_bench`. A judgement that fails or cannot
be read is a failure: counted, warned of and stamped, never a score. Official scorer: PKU-YuanGroup/ImgEdit at c14480a,
`Benchmark/Basic` (GPT-4o, `name: number` on three lines, a prompt for each type). The wording here is evalkit's own,
one for all types; name a file with another by `-t prompt=FILE` (`{instruction}` is replaced).

Pitfalls. Scores drift with the judge's version (ImgEdit issue 34). The official overall is over types whose items
differ in number from 23 to 117: it is not the mean over items.

Anchors stand in the paper, by GPT-4o only: no other judge's number stands beside them. Data: sysuyy/ImgEdit on the hub,
the benchmark's archive unpacked. Source: Ye et al. 2025, arXiv:2505.20275.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import DataError
from evalkit.features.pictures import FilePicture
from evalkit.images import image_of, pixels
from evalkit.interfaces import Scored
from evalkit.json_values import a_text, an_object
from evalkit.keys import digest
from evalkit.metrics.judged.endpoint import Endpoint
from evalkit.metrics.judged.metric import JudgedMetric, Verdict
from evalkit.metrics.means import Fields, MeanMetric, Tally, judged_elsewhere
from evalkit.metrics.pictures.pixelwise import sized_like
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.types import Failure, Text
from evalkit.workspace import Workspace
from evalkit_tasks.edit_sets import EditTurn, choose_edits, edit_sample, read_json, source_of
from evalkit_tasks.gedit_bench import grouped_measures, prompt_text
from evalkit_tasks.sample_task import SampleTask

NAME = "imgedit@1"
PROTOCOL = "imgedit"
HOW = "get the benchmark's archive from sysuyy/ImgEdit on the Hugging Face hub and unpack it"
PROMPT = """The first picture was edited into the second by this instruction: {instruction}
Give three whole numbers from 1 to 5. The second and third may not exceed the first. Answer with these three lines:
Followed: <how well the instruction was followed>
Fitting: <how natural the edit looks in its place>
Kept: <how well everything else was kept>"""
SCORES = 3
LOWEST, HIGHEST = 1, 5


def imgedit(workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> SampleTask:
    """Return the task on ImgEdit-Bench's basic suite, or on blocksworld's edits.

    Raises:
        UsageError: other data are asked for.
        DataError: the data or the prompt are missing or malformed.
    """
    edits = choose_edits(
        workspace, "imgedit", read_imgedit, lambda d: (d / "basic_edit.json").is_file(), "Apache-2.0", HOW
    )
    here = edits.workspace
    judge = Endpoint(here, options.get("judge_url", ""), options.get("judge", ""))
    jury = ThreeScores(judge, prompt_text(options, "prompt", PROMPT))
    fields = {"data": edits.card.name, "data_digest": edits.card.digest, "prompt": "the instruction"}
    groups = tuple(sorted({turn.kind for turn in edits.turns}))
    means = MeanMetric(PROTOCOL, fields, grouped_measures(("imgedit",), groups), judged_elsewhere)
    metric = JudgedMetric(means, jury)
    samples = tuple(edit_sample(turn) for turn in edits.turns)
    return SampleTask(here, NAME, "text-guided-editing", edits.card, samples, (metric,))


def read_imgedit(directory: Path) -> tuple[EditTurn, ...]:
    """Return the items of `basic_edit.json` in `directory`.

    Raises:
        DataError: a file is missing or malformed.
    """
    where = directory / "basic_edit.json"
    turns = []
    for name, entry in an_object(read_json(where)).items():
        try:
            item = an_object(entry)
            file, text, kind = (a_text(item[key]) for key in ("id", "prompt", "edit_type"))
        except (KeyError, TypeError) as error:
            raise DataError(f"{where}: item {name} is malformed ({error!r}); fetch it again") from error
        if ".." in file.split("/") or file.startswith("/") or "\\" in file:
            raise DataError(f"{where}: item {name} names {file!r}, which leaves its folder; do not trust this file")
        turns.append(EditTurn(name, 1, FilePicture(directory / "singleturn" / file), text, kind=kind))
    return tuple(turns)


@dataclass(frozen=True, slots=True)
class ThreeScores:
    """The mean of three scores by one judge."""

    judge: Endpoint
    prompt: str

    def prepare(self) -> None:
        """Find the judge.

        Raises:
            UsageError: none is named.
        """
        self.judge.require_named()

    def fields(self) -> Fields:
        """Return judge, address and prompt."""
        own: Fields = {"judge": self.judge.model, "judge_url": self.judge.url, "judge_prompt": digest(self.prompt)}
        return {**own, "answer_resize": "bicubic-pil"}

    def verdict(self, scored: Scored) -> Verdict | Failure:
        """Return the mean of the three scores of one answer under its type, or why there is none."""
        source = source_of(scored)
        answer = image_of(sized_like(pixels(answered_picture(scored)), pixels(source)))
        instruction = next(part.text for part in scored.sample.parts if isinstance(part, Text))
        said = self.judge.ask(self.prompt.replace("{instruction}", instruction), [source, answer])
        if isinstance(said, Failure):
            return said
        score = mean_of_three(said.text)
        if isinstance(score, Failure):
            return score
        kind = dict(scored.sample.strata).get("edit_type", "")
        return Verdict({f"imgedit/{kind}": Tally(score)}, frozenset({said.date}), frozenset({said.judge}))


def mean_of_three(text: str) -> float | Failure:
    r"""Return the mean of the three scores of a judge's answer, the later ones lowered to the first.

    >>> mean_of_three("Followed: 4\nFitting: 5\nKept: 3")
    3.6666666666666665
    """
    scores = [int(number) for number in re.findall(r"^[^:\n]+:\s*(\d+)\s*$", text, re.MULTILINE)]
    if len(scores) != SCORES or not all(LOWEST <= score <= HIGHEST for score in scores):
        return Failure("malformed", f"the judge's answer holds no three scores of 1 to 5: {text[:120]!r}")
    return sum(min(score, scores[0]) for score in scores) / SCORES
