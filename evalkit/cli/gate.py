"""`evalkit gate`: hold runs against a baseline, with an exit code for CI."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

from cyclopts import Parameter
from cyclopts.validators import Number

from evalkit.cli.bless import BASELINE
from evalkit.cli.report import run_folders
from evalkit.cli.words import columns, key_values, number, page_width, print_json
from evalkit.errors import UsageError
from evalkit.types import Json

if TYPE_CHECKING:
    from evalkit.gate.verdicts import Rules, Verdict


def gate(
    *runs: Path,
    baseline: Annotated[Path, Parameter(name=["--baseline", "-b"])] = BASELINE,
    tolerance: tuple[str, ...] = (),
    alpha: float = 0.05,
    metrics: str | None = None,
    allow_missing: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    junit: Path | None = None,
    markdown: Path | None = None,
    github: bool = False,
    json: bool = False,
) -> int:
    """Hold runs against a baseline. Exit codes: 0 pass, 1 regression, 2 error, 3 not comparable, 4 underpowered.

    Args:
        runs: Folders of runs, or folders of such folders; one run for each task of the baseline.
        baseline: File that `evalkit bless` wrote; baseline.json without it.
        tolerance: task.metric=x, in the metric's unit; may be repeated, * stands for any characters. A fall within it
            passes, and the gate must be able to see one of that size: else it ends in 4.
        alpha: Chance of a false alarm over all numbers together.
        metrics: Numbers to gate, parted by commas; without it all that have a better direction, breakdowns left out.
        allow_missing: Pass though so many samples of the baseline have no answer.
        junit: File to write as JUnit XML.
        markdown: File to write as Markdown, for a pull request.
        github: Print annotations for GitHub Actions.
        json: Print JSON on standard output, and nothing else there.
    """
    from evalkit.comparison import read_scored_run
    from evalkit.gate.baseline import read_baseline
    from evalkit.gate.verdicts import exit_code, judge

    rules = _rules(tolerance, alpha, metrics, allow_missing)
    known = [blessed.run for blessed in read_baseline(baseline)]
    verdicts = judge(known, [read_scored_run(folder) for folder in run_folders(runs)], rules)
    _write(verdicts, junit, markdown)
    _tell(verdicts, github=github, json=json)
    return exit_code(verdicts)


def _write(verdicts: Sequence[Verdict], junit: Path | None, markdown: Path | None) -> None:
    from evalkit.gate import forms

    if junit is not None:
        junit.write_text(forms.junit(verdicts), encoding="utf-8")
    if markdown is not None:
        markdown.write_text(forms.markdown(verdicts), encoding="utf-8")


def _tell(verdicts: Sequence[Verdict], *, github: bool, json: bool) -> None:
    from evalkit.gate import forms
    from evalkit.gate.verdicts import exit_code

    if github:
        print(forms.github(verdicts), end="", file=sys.stderr if json else sys.stdout)
    if json:
        document: list[Json] = [forms.verdict_json(one) for one in verdicts]
        print_json({"exit_code": exit_code(verdicts), "verdicts": document}, sys.stdout)
    else:
        _print_table(verdicts, sys.stdout)


def _rules(tolerance: Sequence[str], alpha: float, metrics: str | None, allow_missing: int) -> Rules:
    from evalkit.gate.tolerances import parse_tolerances
    from evalkit.gate.verdicts import Rules

    if not 0 < alpha < 0.5:
        raise UsageError(f"--alpha {alpha} is not between 0 and 0.5; 0.05 is usual")
    names = None if metrics is None else tuple(name for name in metrics.split(",") if name)
    return Rules(alpha, parse_tolerances(key_values("--tolerance", tolerance)), allow_missing, names)


def _print_table(verdicts: Sequence[Verdict], file: TextIO) -> None:
    from evalkit.gate.forms import change, headline

    head = ("", "number", "baseline", "now", "difference (95% interval)", "p", "tolerance", "detectable", "won:lost")
    for task in dict.fromkeys(verdict.task for verdict in verdicts):
        ours = [verdict for verdict in verdicts if verdict.task == task]
        print(f"\n{task}", file=file)
        rows = [head, *(_row(verdict, change(verdict)) for verdict in ours if verdict.difference is not None)]
        if len(rows) > 1:
            print(columns(rows, None, "  "), file=file)
        remarks = [(one.status.value, one.name, one.reason) for one in ours if one.reason]
        if remarks:
            print(columns(remarks, page_width(), "  "), file=file)
    print(f"\n{headline(verdicts)}", file=file)
    print("p: one-sided, Holm; detectable: the least fall that is found 4 times in 5", file=file)


def _row(verdict: Verdict, change: str) -> tuple[str, ...]:
    found = verdict.difference
    if found is None:
        raise ValueError(f"{verdict.name} has no difference to be shown")
    shown = [None if value is None else number(value) for value in (verdict.p, verdict.tolerance, verdict.detectable)]
    flips = "-" if found.won is None else f"{found.won}:{found.lost}"
    return (
        verdict.status.value,
        verdict.name,
        number(found.baseline),
        number(found.candidate),
        change,
        *(text or "-" for text in shown),
        flips,
    )
