from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.workspace import Workspace
from evalkit_reports.compare import write_comparison
from evalkit_reports.wording import shortened, visible
from tests.reports.browser import outline, visit, with_driver
from tests.reports.drawn import CLEAN_PROTOCOL, Studio
from tests.reports.hostile import INJECTIONS, LONE, hostile_runs

N = 60


def page_of(studio: Studio, workspace: Workspace, *runs: Path) -> str:
    output = studio.root / "comparison.html"
    write_comparison(runs, output, workspace)
    return output.read_text(encoding="utf-8")


def words(page: str) -> str:
    return " ".join(outline(page).text.split())


def two(studio: Studio) -> list[Path]:
    return [studio.edit_run("a", "one", right=0.9, n=N), studio.edit_run("b", "two", right=0.4, n=N)]


def differing() -> list[str]:
    return [f"edit-{i}" for i in range(N) if 0.4 <= (i * 61 % 100) / 100 < 0.9]


def test_the_verdict_says_who_is_worse_by_how_much_and_on_how_many(studio: Studio, workspace: Workspace) -> None:
    text = words(page_of(studio, workspace, *two(studio)))
    lost = len(differing())
    assert re.search(r"▼ two is worse than one: edit_success 0\.4\d against 0\.9\d fraction \(p < 0\.001\)", text)
    assert f"Better on 0 and worse on {lost} of {N} samples." in text
    assert f"0 / {lost} of {N}" in text


def test_no_difference_is_said_with_what_could_have_been_found(studio: Studio, workspace: Workspace) -> None:
    runs = [studio.edit_run("a", "one", right=0.50, n=N), studio.edit_run("b", "two", right=0.52, n=N)]
    text = words(page_of(studio, workspace, *runs))
    assert "No difference found between two and one" in text and "would be found four times out of five" in text


def test_numbers_without_samples_or_intervals_are_set_side_by_side_and_not_tested(
    studio: Studio, workspace: Workspace
) -> None:
    runs = [studio.edit_run(name, name, right=share, n=N) for name, share in (("one", 0.9), ("two", 0.4))]
    for run in runs:
        lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
        (run / "samples.jsonl").write_text("\n".join(json.dumps({**line, "scores": {}}) for line in lines))
    text = words(page_of(studio, workspace, *runs))
    assert "two and one cannot be tested: edit_success" in text and "No difference found" not in text


def test_different_protocols_are_not_compared_and_the_field_is_named(studio: Studio, workspace: Workspace) -> None:
    runs = [studio.fid_run("a", "one", n=4), studio.fid_run("b", "two", n=4, under=CLEAN_PROTOCOL)]
    text = words(page_of(studio, workspace, *runs))
    assert "cannot be compared: made under different protocols" in text and "'bilinear' against 'bicubic'" in text


def test_runs_of_different_tasks_leave_nothing_to_compare(studio: Studio, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="nothing to compare"):
        page_of(studio, workspace, studio.fid_run("a", "one", n=4), studio.vqa_run("v", "one", n=4))


def test_flips_come_first_and_their_answers_are_marked(studio: Studio, workspace: Workspace) -> None:
    page = page_of(studio, workspace, *two(studio))
    ids = re.findall('data-card data-id="([^"]+)"', page)
    assert ids[: len(differing())] == differing() and len(ids) == N
    first = page[page.index('data-id="') : page.index("</article>")]
    assert 'data-outcomes="worse"' in first and 'data-outcomes="better"' not in page
    assert 'data-outcomes="better"' in page_of(studio, workspace, *two(studio)[::-1])
    assert first.count('class="mark right"') == first.count('class="mark wrong"') == 1


def test_boxes_and_the_mask_lie_over_every_picture_of_a_card(studio: Studio, workspace: Workspace) -> None:
    page = page_of(studio, workspace, *two(studio))
    card = outline(page[page.index("<article") : page.index("</article>")])
    assert [(r["x"], r["y"], r["width"], r["height"]) for r in card.named("rect")] == [
        ("8.0", "16.0", "16.0", "32.0")
    ] * 3
    assert [s["viewbox"] for s in card.named("svg")] == ["0 0 64 64"] * 3
    assert len([image for image in card.named("img") if image.get("class") == "veil"]) == 4


ACTS = """
const browser = document.querySelector("[data-browser]");
const cards = () => Array.from(browser.querySelectorAll("[data-card]:not([hidden])"));
const act = (name, value) => {
  const control = browser.querySelector(`[data-${name}]:not([data-card])`);
  if (value === undefined) control.click();
  else { control.value = value; control.dispatchEvent(new Event("input")); }
  return cards().map((card) => card.dataset.id);
};
const clip = () => getComputedStyle(cards()[0].querySelector(".answer .before")).clipPath;
const told = { worse: act("outcome", "0 worse"), better: act("outcome", "0 better"), same: act("outcome", "agree") };
act("reset");
const source = cards()[0].querySelector("[data-before] img").src;
told.before = Array.from(cards()[0].querySelectorAll(".answer .before"), (image) => image.src === source);
const range = cards()[0].querySelector(".slide input");
told.hidden = clip();
range.value = 75; range.dispatchEvent(new Event("input"));
told.cut = clip();
act("mode", "difference");
told.blend = getComputedStyle(cards()[0].querySelector(".answer .before")).mixBlendMode;
told.sliders = cards().filter((card) => card.querySelector(".slide")).length;
act("mode", "plain");
told.plain = cards().filter((card) => card.querySelector(".before")).length;
const overlay = browser.querySelector("[data-overlay]");
overlay.click();
told.bare = getComputedStyle(cards()[0].querySelector("svg.boxes")).display;
const out = document.createElement("pre");
out.id = "told"; out.textContent = JSON.stringify(told);
document.body.append(out);
"""


@pytest.mark.slow
def test_the_reader_slides_subtracts_and_filters(studio: Studio, workspace: Workspace, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_comparison(two(studio), page, workspace)
    page.write_text(with_driver(page.read_text(encoding="utf-8"), ACTS), encoding="utf-8")
    seen = visit(page, tmp_path / "profile")
    assert seen.console == ()
    match = re.search('<pre id="told">(.*?)</pre>', seen.document, re.S)
    assert match is not None
    told = json.loads(match.group(1))
    assert told["worse"] == differing()[:24] and told["better"] == []
    assert told["same"] == [f"edit-{i}" for i in range(N) if f"edit-{i}" not in differing()][:24]
    assert told["before"] == [True, True]
    assert (told["hidden"], told["cut"]) == ("inset(0px 100% 0px 0px)", "inset(0px 25% 0px 0px)")
    assert told["blend"] == "difference" and told["sliders"] == told["plain"] == 0
    assert told["bare"] == "none"


@pytest.mark.slow
def test_no_string_of_others_runs_in_a_comparison(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_comparison(hostile_runs(Studio(tmp_path), times=2), page, Workspace(cache=tmp_path / "cache", offline=True))
    seen = visit(page, tmp_path / "profile")
    assert seen.console == ()
    found = outline(seen.document)
    names = [name for name, _ in found.tags]
    assert names.count("script") == names.count("style") == names.count("title") == 1
    assert not {"iframe", "object", "embed", "base", "form", "link"} & set(names)
    assert not any(a.startswith("on") for _, attributes in found.tags for a in attributes)
    assert found.text.split("|")[0].strip().endswith("side by side")
    for injection in INJECTIONS:
        assert visible(shortened(injection.replace(LONE, "\ud800"))) in found.text, ascii(injection[:80])
