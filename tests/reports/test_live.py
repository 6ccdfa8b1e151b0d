from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from evalkit.asked import Head, begin
from evalkit.cache import Cache
from evalkit.cli.view import HOST, server
from evalkit.errors import UsageError
from evalkit.keys import request_key
from evalkit.questions import Asked
from evalkit.types import Box, Boxes, Generation, Part, Request, Sample, Text
from evalkit.workspace import Workspace
from evalkit_reports.live import Going, write_live_page, write_live_state
from tests.evalkit.cache.entries import IDENTITY, picture
from tests.reports.browser import outline, visit
from tests.reports.drawn import Studio
from tests.reports.hostile import INJECTIONS, LONE


def going(studio: Studio, said: list[str], answered: int, name: str = "going", model: str = "one") -> Path:
    """A run of which some answers are in the cache, as it stands while it goes on."""
    folder = studio.root / "runs" / name
    items = []
    for number, text in enumerate(said):
        parts: tuple[Part, ...] = (picture(number), Text(text), Boxes((Box(text, 0, 0, 4, 4),), 8, 8))
        request = Request("edits@1", f"s{number}", "text-guided-editing", parts, number)
        sample = Sample(f"s{number}", parts, (Text(text),), (("kind", text),))
        items.append(Asked(sample, request, request_key(IDENTITY, request)))
    with Cache(studio.cache) as cache:
        begin(folder, Head("edits@1", model, "drawn", str(studio.cache), 0.0), items, cache)
        for item in items[:answered]:
            parts = item.request.parts
            cache.commit(IDENTITY, item.request, Generation((picture(900 + item.request.seed), parts[1])))
    return folder


@contextmanager
def served(runs: Path) -> Iterator[int]:
    """The port of the real server, which ends with the block."""
    with server(runs, 0, Workspace(cache=runs.parent / "empty", offline=True)) as serving:
        thread = Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield serving.server_port
        finally:
            serving.shutdown()
            thread.join()


def got(port: int, path: str, host: str | None = None) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def test_the_page_is_made_of_what_the_cache_holds_now(studio: Studio, workspace: Workspace) -> None:
    folder = going(studio, ["make it red", "make it blue", "make it green"], 2)
    write_live_page([folder], studio.root / "page.html", workspace)
    found = outline((studio.root / "page.html").read_text(encoding="utf-8"))
    assert [(p["value"], p["max"]) for p in found.named("progress")] == [("2", "3")]
    assert [a["data-id"] for a in found.named("article")] == ["s1", "s0"]
    assert len([image for image in found.named("img") if image["src"].startswith("data:image/")]) == 4
    assert "make it green" not in found.text and not [a for a in found.named("a") if not a["href"].startswith("#")]


def test_looking_at_a_run_of_another_machine_makes_no_cache(studio: Studio, workspace: Workspace) -> None:
    folder = going(studio, ["a", "b"], 1)
    studio.cache.rename(studio.root / "moved")
    write_live_page([folder], studio.root / "page.html", workspace)
    assert "0 of 2 answered" in (studio.root / "page.html").read_text(encoding="utf-8")
    assert not studio.cache.exists()


def test_finished_runs_stand_below_with_their_headline(studio: Studio, workspace: Workspace) -> None:
    runs = [going(studio, ["a"], 1), studio.fid_run("done", "two", n=4)]
    write_live_page(runs, studio.root / "page.html", workspace)
    text = " ".join(outline((studio.root / "page.html").read_text(encoding="utf-8")).text.split())
    assert "1 going on, 1 finished" in text and "fid 41.3 (39.6 to 43.0)" in text


def test_the_state_tells_an_old_page_from_a_new_one(studio: Studio, workspace: Workspace) -> None:
    first = going(studio, ["a", "b"], 1)

    def state(*runs: Path) -> dict[str, object]:
        write_live_state(runs, studio.root / "state.json", workspace)
        document = json.loads((studio.root / "state.json").read_text())
        assert isinstance(document, dict)
        return document

    before = state(first)
    assert before["runs"] == [{"name": "going", "answered": 1, "text": before["runs"][0]["text"]}]  # type: ignore[index]
    going(studio, ["a", "b"], 2)
    assert state(first)["state"] == before["state"]
    assert state(first, studio.fid_run("done", "two", n=4))["state"] != before["state"]


@pytest.mark.parametrize(
    ("made", "text"),
    [
        ({}, "0 of 4 answered, no answer for 17 min: slow, or stopped"),
        ({"a": 990.0, "b": 991.0, "c": 992.0}, "3 of 4 answered, 0.1 a second, about 10 s left"),
        ({"a": 900.0}, "1 of 4 answered, no answer for 2 min: slow, or stopped"),
        ({"a": 1.0, "b": 1.0, "c": 1.0, "d": 2.0}, "4 of 4 answered, being scored"),
    ],
)
def test_progress_is_told_in_words(studio: Studio, made: dict[str, float], text: str) -> None:
    folder = going(studio, ["a", "b", "c", "d"], 0)
    from evalkit.asked import asked_samples, head_of

    head = head_of(folder)
    assert head is not None
    assert Going(folder, replace(head, started=0.0), tuple(asked_samples(folder)), made, 1000.0).text == text


def test_the_server_answers_this_machine_alone(studio: Studio) -> None:
    folder = going(studio, ["a"], 1)
    with served(folder.parent) as port:
        status, headers, page = got(port, "/")
        assert status == 200 and "1 of 1 answered" in page and headers["X-Frame-Options"] == "DENY"
        assert got(port, "/state.json")[0] == 200
        assert got(port, "/", host=f"evil.example:{port}")[0] == 403
        assert [got(port, path)[0] for path in ("/../../etc/passwd", "/state.json/x", "/?x")] == [404] * 3
        with pytest.raises(UsageError, match=f"port {port} cannot be had"):
            server(folder.parent, port, Workspace())


def test_a_damaged_note_is_said_and_the_server_lives(studio: Studio) -> None:
    folder = going(studio, ["a"], 1)
    (folder / "asked.jsonl").write_text("{}\n")
    with served(folder.parent) as port:
        status, _, text = got(port, "/")
        assert status == 500 and "asked.jsonl" in text
        (folder / "asked.jsonl").unlink()
        assert got(port, "/")[0] == 200


@pytest.mark.slow
def test_no_string_of_others_runs_in_the_live_page(studio: Studio, tmp_path: Path) -> None:
    said = [text.replace(LONE, "LONE").replace("\x00", "") for text in INJECTIONS]
    folder = going(studio, said, len(said), model=INJECTIONS[1])
    with served(folder.parent) as port:
        seen = visit(f"http://{HOST}:{port}/", tmp_path / "profile")
    assert seen.console == ()
    found = outline(seen.document)
    names = [name for name, _ in found.tags]
    assert names.count("script") == names.count("style") == names.count("title") == 1
    assert not {"iframe", "object", "embed", "base", "form", "link"} & set(names)
    assert f"{len(said)} of {len(said)} answered" in found.text
    for text in said[:6]:
        assert text in found.text
