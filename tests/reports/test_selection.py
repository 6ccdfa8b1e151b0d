from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit_reports.measures import load_results
from evalkit_reports.selection import Entry, chosen, gap, index
from tests.reports.drawn import Studio


def entries(n: int, failed: set[int] = frozenset(), scores: bool = False) -> dict[str, Entry]:  # type: ignore[assignment]
    return {
        f"s{i}": Entry(i, i in failed, {"0:score": float(i * 7919 % n)} if scores and i not in failed else {})
        for i in range(n)
    }


def test_failures_come_first_then_extremes() -> None:
    table = entries(1000, {500, 3}, scores=True)
    names = chosen(table, 100)
    assert names[:2] == ["s3", "s500"]
    ranked = sorted((n for n in table if not table[n].failed), key=lambda n: table[n].scores["0:score"])
    assert set(names[2:26]) == {*ranked[:12], *ranked[-12:]}


def test_samples_on_which_runs_differ_most_come_first_where_flips_are_wanted() -> None:
    table = {f"s{i}": Entry(i, i == 3, {"0:score": 0.0, "1:score": i % 5 / 5, "1:other": 9.0}) for i in range(50)}
    names = chosen(table, 30, "score")
    differing = sorted(table, key=lambda n: (-table[n].scores["1:score"], table[n].position))
    assert names[:24] == differing[:24] and len(names) == 30
    assert gap(table["s4"], "score") == 0.8 and gap(table["s4"], "other") is None


def test_failures_leave_half_of_the_places_to_the_others() -> None:
    names = chosen(entries(1000, set(range(800))), 100)
    assert sum(int(name[1:]) < 800 for name in names[:50]) == 50
    assert sum(int(name[1:]) >= 800 for name in names) > 0


def test_the_rest_is_spread_evenly_whatever_the_number_of_places() -> None:
    for places in (10, 57, 200):
        positions = sorted(int(name[1:]) for name in chosen(entries(30000), places))
        gaps = [b - a for a, b in zip([0, *positions], [*positions, 29999], strict=True)]
        assert max(gaps) <= 3 * 30000 / places


@given(st.integers(1, 60), st.integers(1, 80), st.sets(st.integers(0, 59)), st.booleans())
def test_a_choice_holds_each_name_once_and_fills_its_places(
    n: int, places: int, failed: set[int], scores: bool
) -> None:
    table = entries(n, failed, scores)
    names = chosen(table, places)
    assert len(names) == len(set(names)) == min(n, places)
    assert names == chosen(table, places)


def test_a_sample_that_stands_twice_is_an_error(studio: Studio, tmp_path: Path) -> None:
    run = studio.fid_run("a", "m", n=3)
    path = run / "samples.jsonl"
    path.write_text(path.read_text() * 2)
    with pytest.raises(DataError, match="twice"):
        index(load_results([run])[0].runs)


def test_a_sample_that_failed_in_one_run_is_a_failure(studio: Studio) -> None:
    runs = [studio.fid_run("a", "m", n=6), studio.fid_run("b", "k", n=6, failures=2)]
    found = index(load_results(runs)[0].runs)
    assert [entry.failed for entry in found.values()] == [True, True, False, False, False, False]
