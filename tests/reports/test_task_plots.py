from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from evalkit.results import Coverage, Run
from evalkit.types import Estimate, Interval, Text
from evalkit_reports.breakdowns import breakdowns
from evalkit_reports.measures import LoadedRun, TaskResults, load_results
from evalkit_reports.plots import MOST_STRATA, Spot, bar_plot
from evalkit_reports.task_plots import front, mean_seconds, task_plots
from tests.reports.drawn import CLEAN_PROTOCOL, FID_PROTOCOL, VQA_PROTOCOL, Studio, sample


def strata_run(studio: Studio, name: str, count: int = 3, rule: str = VQA_PROTOCOL.digest) -> Path:
    bounds = Interval(0.4, 0.6, 0.95, "bootstrap")
    estimates = {f"accuracy[kind={k}]": Estimate(0.5, 10 + k, "fraction", True, rule, bounds) for k in range(count)}
    run = Run(
        "vqa@1", name, "d", {"accuracy": Estimate(0.5, 30, "fraction", True, rule), **estimates},
        Coverage(2, 2, 0, 0), (), {VQA_PROTOCOL.digest: VQA_PROTOCOL, CLEAN_PROTOCOL.digest: CLEAN_PROTOCOL}, {}, {},
    )  # fmt: skip
    return studio.write(name, run, [sample("a", [Text("q")], [Text("x")]), sample("b", [Text("q")], None)])


def results(*runs: Path) -> TaskResults:
    (task,) = load_results(runs)
    return task


def captions(task: TaskResults) -> list[str]:
    return [plot.caption for row in task_plots(task, "t") for plot in row]


def test_a_breakdown_is_a_plot_of_bars_and_no_row_of_the_table(studio: Studio) -> None:
    task = results(strata_run(studio, "one"), strata_run(studio, "two"))
    assert [measure.name for block in task.blocks for measure in block.measures] == ["accuracy"]
    assert captions(task)[1] == "accuracy by kind. Each from the top: one, two. Thin lines: intervals."
    (found,) = breakdowns(task)
    bars = ElementTree.fromstring(str(bar_plot(found, task.runs, "p")))
    assert "0: one 0.50" in bars.attrib["aria-label"] and "2: two 0.50" in bars.attrib["aria-label"]


def test_runs_under_another_protocol_have_a_breakdown_of_their_own(studio: Studio) -> None:
    task = results(strata_run(studio, "one"), strata_run(studio, "two", rule=CLEAN_PROTOCOL.digest))
    assert [[loaded.label for loaded in found.runs] for found in breakdowns(task)] == [["one"], ["two"]]


def test_a_plot_of_very_many_strata_shows_the_largest(studio: Studio) -> None:
    task = results(strata_run(studio, "one", count=30))
    (caption,) = captions(task)
    assert f"The {MOST_STRATA} largest of 30 strata." in caption
    (found,) = breakdowns(task)
    drawn = ElementTree.fromstring(str(bar_plot(found, task.runs, "p"))).attrib["aria-label"]
    assert "29: one" in drawn and " 5: one" not in drawn


def test_precision_stands_against_recall_and_quality_against_cost(studio: Studio) -> None:
    runs = [studio.fid_run("a", "one", n=4), studio.fid_run("b", "two", n=4, value=30.0)]
    found = captions(results(*runs))
    assert sum(caption.startswith("Precision (") for caption in found) == 1
    assert sum(caption.startswith("Quality against cost.") for caption in found) == 1
    assert not [c for c in captions(results(runs[0])) if c.startswith(("Precision", "Quality"))]


def test_the_cost_of_an_answer_leaves_failures_out(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=4, failures=2)])
    assert mean_seconds(task.runs[0]) == 0.5


def loaded() -> LoadedRun:
    run = Run("t@1", "m", "d", {}, Coverage(0, 0, 0, 0), (), {FID_PROTOCOL.digest: FID_PROTOCOL}, {}, {})
    return LoadedRun(Path("x"), run, "m")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12), st.booleans())
def test_the_front_is_what_no_other_run_beats_in_both(points: list[tuple[int, int]], higher: bool) -> None:
    spots = [Spot(loaded(), float(x), float(y)) for x, y in points]
    found = {(spot.x, spot.y) for spot in front(spots, higher=higher)}
    sign = 1 if higher else -1

    def beaten(x: float, y: float) -> bool:
        return any((a <= x and sign * b >= sign * y) and (a, b) != (x, y) for a, b in points)

    assert found == {(x, y) for x, y in points if not beaten(x, y)}
