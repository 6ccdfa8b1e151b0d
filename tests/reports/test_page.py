from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from evalkit.blobs import Blobs
from evalkit.errors import UsageError
from evalkit.workspace import Workspace
from evalkit_reports.html_page import content_policy
from evalkit_reports.page import write_page
from tests.reports.browser import outline
from tests.reports.drawn import CLEAN_PROTOCOL, SMALL_N, Studio

ACTIVE = {"iframe", "object", "embed", "base", "form", "link", "frame", "applet", "template"}


def page_of(studio: Studio, workspace: Workspace, *runs: Path) -> str:
    output = studio.root / "page.html"
    write_page(runs, output, workspace)
    return output.read_text(encoding="utf-8")


def test_the_page_holds_every_number_with_what_must_stand_beside_it(studio: Studio, workspace: Workspace) -> None:
    text = " ".join(outline(page_of(studio, workspace, studio.fid_run("a", "one", n=20, failures=2))).text.split())
    for part in ("↓ lower is better", "squared feature units", "39.6 to 43.0"):
        assert part in text
    for part in (
        "18 of 20 answered",
        "2 failed",
        "5 from cache",
        "demo data",
        SMALL_N,
        "Unavailable:",
        "95 %, bootstrap",
    ):
        assert part in text
    for part in ("extractor_sha256", "packages.torch", "2.6.0"):
        assert part in text


def test_different_protocols_stand_apart_with_the_field_that_differs(studio: Studio, workspace: Workspace) -> None:
    runs = [studio.fid_run("a", "one", n=4), studio.fid_run("b", "two", n=4, under=CLEAN_PROTOCOL)]
    text = " ".join(outline(page_of(studio, workspace, *runs)).text.split())
    assert "Not comparable" in text and "resize: bilinear against bicubic" in text


def test_curves_of_different_protocols_have_plots_of_their_own(studio: Studio, workspace: Workspace) -> None:
    runs = [studio.fid_run("a", "one", n=4), studio.fid_run("b", "two", n=4)]
    page = page_of(studio, workspace, *runs)
    assert page.count("fid_by_n on blocksworld") == 1
    assert "fid_by_n_fit on" not in page
    other = studio.fid_run("c", "three", n=4, under=CLEAN_PROTOCOL)
    assert page_of(studio, workspace, *runs, other).count("fid_by_n on blocksworld") == 2


def test_the_page_has_landmarks_headings_captions_and_alternative_texts(studio: Studio, workspace: Workspace) -> None:
    found = outline(page_of(studio, workspace, studio.fid_run("a", "one", n=4), studio.vqa_run("v", "one", n=4)))
    names = [name for name, _ in found.tags]
    assert {"header", "main", "nav", "footer", "h1"} <= set(names) and names.count("h1") == 1
    levels = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert names.count("caption") == names.count("table")
    assert all(image["alt"] for image in found.named("img"))
    assert any(a["href"] == "#main" for a in found.named("a"))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in found.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_a_picture_that_is_not_stored_is_said_and_the_page_is_made(studio: Studio, workspace: Workspace) -> None:
    run = studio.fid_run("a", "one", n=4)
    for path in Blobs(studio.cache / "blobs").files():
        path.unlink()
    page = page_of(studio, workspace, run)
    assert page.count("picture not in the cache") == 4
    assert "<img" not in page


def test_pictures_are_found_in_the_workspaces_cache_too(studio: Studio, workspace: Workspace) -> None:
    run = studio.fid_run("a", "one", n=4)
    (studio.cache).rename(workspace.cache)
    assert page_of(studio, workspace, run).count("<img") == 4


def test_at_most_500_pictures_are_embedded_over_all_runs(studio: Studio, workspace: Workspace) -> None:
    runs = [studio.fid_run("a", "one", n=300, seed=1, side=48), studio.fid_run("b", "two", n=300, seed=2, side=48)]
    page = page_of(studio, workspace, *runs)
    assert page.count('src="data:image/') == 500
    assert page.count('loading="lazy"') == 100


@pytest.mark.slow
def test_no_string_of_others_becomes_markup(hostile_page: Path) -> None:
    found = outline(hostile_page.read_text(encoding="utf-8"))
    names = [name for name, _ in found.tags]
    assert names.count("script") == names.count("style") == names.count("title") == 1
    assert not ACTIVE & set(names)
    assert [meta.get("http-equiv") for meta in found.named("meta")].count("Content-Security-Policy") == 1
    assert "refresh" not in [meta.get("http-equiv") for meta in found.named("meta")]
    for name, attributes in found.tags:
        assert not any(attribute.startswith("on") or attribute == "style" for attribute in attributes), (
            name,
            attributes,
        )
        for place in ("href", "src"):
            target = attributes.get(place, "#")
            assert target.startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,", "cache/blobs/")), target


@pytest.mark.slow
def test_no_string_of_others_stands_in_a_script(studio: Studio, workspace: Workspace, hostile_page: Path) -> None:
    quiet = page_of(studio, workspace, studio.vqa_run("v", "one", n=3))
    loud = hostile_page.read_text(encoding="utf-8")
    scripts = [re.search("<script>.*?</script>", page, re.S) for page in (quiet, loud)]
    assert scripts[0] is not None and scripts[1] is not None
    assert scripts[0].group() == scripts[1].group()


def test_the_policy_names_the_digests_of_the_pages_own_style_and_script(studio: Studio, workspace: Workspace) -> None:
    page = page_of(studio, workspace, studio.vqa_run("v", "one", n=3))
    style, script = (re.search(f"<{tag}>(.*?)</{tag}>", page, re.S) for tag in ("style", "script"))
    assert style is not None and script is not None
    (policy,) = (m["content"] for m in outline(page).named("meta") if "http-equiv" in m)
    assert policy == content_policy(style.group(1), script.group(1))
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_the_same_runs_give_the_same_page(studio: Studio, workspace: Workspace) -> None:
    runs = [studio.fid_run("a", "one", n=12), studio.vqa_run("v", "one", n=9)]
    assert page_of(studio, workspace, *runs) == page_of(studio, workspace, *runs)


def test_a_sample_that_one_run_was_not_asked_is_said(studio: Studio, workspace: Workspace) -> None:
    page = page_of(studio, workspace, studio.fid_run("a", "one", n=6), studio.fid_run("b", "two", n=4, seed=1))
    assert page.count("not asked in this run") == 2


def test_a_place_that_cannot_be_written_is_a_usage_error(studio: Studio, workspace: Workspace) -> None:
    (studio.root / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_page([studio.vqa_run("v", "one", n=3)], studio.root / "file" / "page.html", workspace)
    assert not list(studio.root.glob(".page*"))
