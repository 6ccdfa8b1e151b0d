from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evalkit.workspace import Workspace
from evalkit_reports.page import write_page
from evalkit_reports.wording import shortened, visible
from tests.reports.browser import outline, visit, with_driver
from tests.reports.drawn import Studio
from tests.reports.hostile import INJECTIONS, LONE

pytestmark = pytest.mark.slow

ACTS = """
const browser = document.querySelector("[data-browser]");
const seen = () => Array.from(browser.querySelectorAll("[data-card]:not([hidden])"), (card) => card.dataset.id);
const act = (name, value) => {
  const control = browser.querySelector(`[data-${name}]:not([data-card])`);
  if (value === undefined) control.click();
  else { control.value = value; control.dispatchEvent(new Event("input")); }
  return seen();
};
const told = {
  first: seen(), next: act("next"), failed: act("state", "failed"), reset: act("reset"),
  hard: act("stratum", "2"), text: (act("reset"), act("text", "YELLOW prism to the left")),
  descending: (act("reset"), act("sort", "id"), act("order", "-1")),
  low: (act("reset"), act("sort", "0")), high: act("order", "-1"), none: act("text", "no such words"),
  count: browser.querySelector("[data-count]").textContent,
};
const out = document.createElement("pre");
out.id = "told";
out.textContent = JSON.stringify(told);
document.body.append(out);
"""


def test_no_string_of_others_runs_and_each_is_shown(hostile_page: Path, tmp_path: Path) -> None:
    seen = visit(hostile_page, tmp_path / "profile")
    assert seen.console == ()
    found = outline(seen.document)
    names = [name for name, _ in found.tags]
    assert names.count("script") == 1 and names.count("iframe") == 0
    title = re.search("<title>(.*?)</title>", seen.document, re.S)
    assert title is not None and title.group(1).endswith("tasks | evalkit report")
    text = found.text
    for injection in INJECTIONS:
        said = visible(shortened(injection.replace(LONE, "\ud800")))
        assert said in text, ascii(injection[:80])


def test_the_reader_can_filter_sort_and_turn_pages(studio: Studio, workspace: Workspace, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_page([studio.fid_run("a", "one", n=60, failures=3)], page, workspace)
    page.write_text(with_driver(page.read_text(encoding="utf-8"), ACTS), encoding="utf-8")
    seen = visit(page, tmp_path / "profile")
    assert seen.console == ()
    match = re.search('<pre id="told">(.*?)</pre>', seen.document, re.S)
    assert match is not None
    told = json.loads(match.group(1))
    ids = [f"{391895 + i}-{770337 + i}" for i in range(60)]
    scores = {i: 37 * i % 100 for i in range(3, 60)}
    assert told["first"] == told["reset"] == ids[:24]
    assert told["next"] == ids[24:48]
    assert told["failed"] == ids[:3]
    assert told["hard"] == [ids[i] for i in range(1, 60, 3)]
    assert told["text"] == [ids[i] for i in range(3, 60, 4)]
    assert told["descending"] == ids[:-25:-1]
    assert told["low"] == [ids[i] for i in sorted(scores, key=lambda i: scores[i])][:24]
    assert told["high"] == [ids[i] for i in sorted(scores, key=lambda i: -scores[i])][:24]
    assert told["none"] == [] and told["count"] == "No sample matches."


def test_linked_pictures_load_from_disk(studio: Studio, workspace: Workspace, tmp_path: Path) -> None:
    page = tmp_path / "elsewhere" / "page.html"
    runs = [studio.fid_run("a", "one", n=300, seed=1, side=48), studio.fid_run("b", "two", n=300, seed=2, side=48)]
    write_page(runs, page, workspace)
    driver = """
    const linked = Array.from(document.querySelectorAll("[data-card]:not([hidden]) img.linked"));
    linked.forEach((image) => { image.loading = "eager"; });
    Promise.all(linked.map((image) => image.decode())).then(() => {
      const out = document.createElement("pre");
      out.id = "told";
      out.textContent = `${linked.length} ${linked.every((image) => image.naturalWidth === 48)}`;
      document.body.append(out);
    });
    """
    page.write_text(with_driver(page.read_text(encoding="utf-8"), driver), encoding="utf-8")
    seen = visit(page, tmp_path / "profile")
    assert seen.console == ()
    told = re.search(r'<pre id="told">(\d+) (\w+)</pre>', seen.document)
    assert told is not None and int(told.group(1)) > 0 and told.group(2) == "true"
