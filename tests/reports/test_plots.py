from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from evalkit_reports.measures import load_results
from evalkit_reports.plots import Curve, curve_plot, dot_plot, limit_at_infinity
from tests.reports.drawn import Studio

ODD = "$x^{$ <b onload=x>\u4e2d\x00\\frac{"


def test_the_limit_of_a_line_in_one_over_n_is_found_exactly() -> None:
    curve = tuple((float(n), 12.5 + 900 / n) for n in (100, 200, 500, 1000))
    assert limit_at_infinity(curve) == pytest.approx((12.5, 900))
    assert limit_at_infinity(curve[:2]) is None
    assert limit_at_infinity(((5.0, 1.0),) * 4) is None


def test_a_plot_takes_the_pages_colours_and_no_style_attribute(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3)])
    curves = [Curve(loaded, loaded.run.series["fid_by_n"]) for loaded in task.runs]
    for svg in (dot_plot(task.measures[0], task.runs, "p1"), curve_plot("fid_by_n", curves, task.runs, "p2")):
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img" and "one" in root.attrib["aria-label"]
        assert not any("style" in element.attrib for element in root.iter())
        assert "<style" not in svg and "<metadata" not in svg
        used = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
        assert used <= {"none", "currentColor", "var(--line-strong)", "var(--series-0)", "var(--series-1)"}
        assert {"currentColor", "var(--series-0)", "var(--series-1)"} <= used


def test_names_inside_two_plots_do_not_clash_and_every_reference_leads_somewhere(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3)])
    names: list[str] = []
    for prefix in ("p1", "p2"):
        svg = dot_plot(task.measures[0], task.runs, prefix)
        names += (own := re.findall(r' id="([^"]+)"', svg))
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= set(own)
    assert len(names) == len(set(names))


def test_a_models_name_is_drawn_as_plain_text(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", ODD, n=3), studio.fid_run("b", "two", n=3)])
    svg = dot_plot(task.measures[0], task.runs, "p")
    texts = [element.text for element in ElementTree.fromstring(svg).iter("text")]
    assert any(text and text.startswith("$x^{$ <b onload") for text in texts)
    assert "<b" not in svg


def test_the_same_runs_give_the_same_plot(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=3), studio.fid_run("b", "two", n=3)])
    assert dot_plot(task.measures[0], task.runs, "p") == dot_plot(task.measures[0], task.runs, "p")


def test_a_fitted_line_that_a_run_holds_is_drawn_instead_of_one_of_our_own(studio: Studio) -> None:
    (task,) = load_results([studio.fid_run("a", "one", n=3)])
    points = ((10.0, 9.0), (20.0, 5.0), (40.0, 6.0))
    fit = tuple((n, 3.5 + 50 / n) for n, _ in points)
    assert "towards 3.5" in curve_plot("fid_by_n", [Curve(task.runs[0], points, fit)], task.runs, "p")
    assert "towards 3.5" not in curve_plot("fid_by_n", [Curve(task.runs[0], points)], task.runs, "p")
