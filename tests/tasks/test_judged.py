"""GEdit-Bench and ImgEdit with a judge behind a real local address: what is asked, kept, and counted as a failure."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from evalkit.cache import Cache
from evalkit.errors import CacheError, NotEnoughSamples, UsageError
from evalkit.registry import build_task
from evalkit.results import Run
from evalkit.runner import RunSettings, run
from evalkit.types import Estimate, Failure
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld.model import oracle_model
from evalkit_tasks.gedit_bench import lowest_of_two
from evalkit_tasks.imgedit import mean_of_three


@dataclass
class Judge:
    """A server that answers chat completions by a function of the prompt and how many pictures it came with."""

    say: Callable[[str, int], str | int]
    asked: list[tuple[str, int, str | None]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, int], str | int]], Judge]]:
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def start(say: Callable[[str, int], str | int]) -> Judge:
        judge = Judge(say)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                (message,) = body["messages"]
                texts = [part["text"] for part in message["content"] if part["type"] == "text"]
                pictures = [part for part in message["content"] if part["type"] == "image_url"]
                assert all(part["image_url"]["url"].startswith("data:image/png;base64,") for part in pictures)
                judge.asked.append((texts[0], len(pictures), self.headers.get("Authorization")))
                said = judge.say(texts[0], len(pictures))
                status, content = (said, b"no") if isinstance(said, int) else (200, _completion(said))
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                return None

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        judge.url = f"http://127.0.0.1:{server.server_port}/v1"
        return judge

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def _completion(text: str) -> bytes:
    return json.dumps({"model": "judge-2026", "choices": [{"message": {"content": text}}]}).encode()


def measured(name: str, judge: Judge, folder: Path, limit: int = 5) -> Run:
    workspace = Workspace(cache=folder / "cache", offline=True)
    task = build_task(name, workspace, None, {"judge": "a-judge", "judge_url": judge.url})
    with Cache(folder / "cache") as cache:
        return run(task, oracle_model(workspace, "", {}), cache, RunSettings(limit=limit), folder / "runs")[0]


def value(found: Run, name: str) -> float:
    one = found.estimates[name]
    assert isinstance(one, Estimate), (name, one)
    return one.value


def _vie(_prompt: str, pictures: int) -> str:
    return '{"score": [9, 4], "reasoning": "x"}' if pictures == 2 else 'Sure. {"score": [8, 9]}'


def test_scores_are_the_lower_of_two_and_the_root_of_their_product(
    serve: Callable[..., Judge], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_JUDGE_KEY", "hush")
    judge = serve(_vie)
    found = measured("gedit_bench", judge, tmp_path)
    assert (value(found, "g_sc"), value(found, "g_pq")) == (4, 8)
    assert value(found, "g_o") == pytest.approx(math.sqrt(32))
    assert {asked[2] for asked in judge.asked} == {"Bearer hush"}
    assert len(judge.asked) == 10
    fields = dict(found.protocols[found.estimates["g_o"].protocol].fields)  # type: ignore[union-attr]
    assert (fields["judge"], fields["judge_answered_as"]) == ("a-judge", "judge-2026")
    assert str(fields["judge_date"]).startswith("20")
    kept = [json.loads(path.read_text()) for path in (tmp_path / "cache" / "judgements").glob("*.json")]
    assert len(kept) == 10
    assert {one["text"] for one in kept} == {_vie("", 1), _vie("", 2)}
    assert "hush" not in json.dumps(kept)


def test_scoring_again_asks_the_judge_nothing(serve: Callable[..., Judge], tmp_path: Path) -> None:
    judge = serve(_vie)
    first = measured("gedit_bench", judge, tmp_path)
    asked = len(judge.asked)
    assert value(measured("gedit_bench", judge, tmp_path), "g_o") == value(first, "g_o")
    assert len(judge.asked) == asked


def test_a_damaged_judgement_is_an_error_that_names_it(serve: Callable[..., Judge], tmp_path: Path) -> None:
    judge = serve(_vie)
    measured("gedit_bench", judge, tmp_path, limit=2)
    next((tmp_path / "cache" / "judgements").glob("*.json")).write_text("{}")
    with pytest.raises(CacheError, match=r"judgement .* is damaged"):
        measured("gedit_bench", judge, tmp_path, limit=2)


@pytest.mark.parametrize("fault", ["I cannot say.", '{"score": [3]}', '{"score": [11, 2]}', 500, 401])
def test_a_judge_that_fails_is_a_failure_and_never_a_zero(
    fault: str | int, serve: Callable[..., Judge], tmp_path: Path
) -> None:
    def say(prompt: str, pictures: int) -> str | int:
        return fault if "purple" in prompt else _vie(prompt, pictures)

    found = measured("gedit_bench", serve(say), tmp_path)
    one = found.estimates["g_sc"]
    assert isinstance(one, Estimate)
    assert (one.value, one.n) == (4, 4)
    assert "1 of 5 answers were not judged" in found.stamps
    assert "1 of 5 answers were not judged (the first, 100001-1: " in one.warnings[0]


def test_a_judge_that_answers_nothing_at_all_fails_the_run(serve: Callable[..., Judge], tmp_path: Path) -> None:
    with pytest.raises(NotEnoughSamples, match="no answer was judged: 5 of 5"):
        measured("gedit_bench", serve(lambda _prompt, _pictures: 503), tmp_path)


def test_imgedit_s_score_is_the_mean_of_three(serve: Callable[..., Judge], tmp_path: Path) -> None:
    judge = serve(lambda _prompt, _pictures: "Followed: 4\nFitting: 5\nKept: 3")
    found = measured("imgedit", judge, tmp_path)
    assert value(found, "imgedit") == pytest.approx((4 + 4 + 3) / 3)
    assert {asked[1] for asked in judge.asked} == {2}


def test_answers_of_judges_by_hand() -> None:
    assert mean_of_three("Followed: 2\nFitting: 5\nKept: 1") == pytest.approx((2 + 2 + 1) / 3)
    assert isinstance(mean_of_three("Followed: 2\nFitting: 5"), Failure)
    assert isinstance(mean_of_three("Followed: 6\nFitting: 5\nKept: 1"), Failure)
    assert lowest_of_two('{"score": [7, 7.5]}') == 7
    assert isinstance(lowest_of_two('{"score": "7"}'), Failure)


def test_without_a_judge_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-t judge=MODEL"):
        measured("imgedit", Judge(_vie), tmp_path)
