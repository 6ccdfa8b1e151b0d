"""Laws of the API backend, against a real HTTP server on this machine that misbehaves as it is told to."""

from __future__ import annotations

import base64
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import EvalkitError, RunError, UsageError
from evalkit.images import decode, image_of, pixels
from evalkit.keys import canonical_json, request_key
from evalkit.models.openai import ApiModel, openai_model
from evalkit.types import Answer, Generation, Mask, Request, Text
from evalkit.workspace import Workspace

from .asking import answers, failure, photos, picture, request, text

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "faults"))
from api_server import FaultServer

KEY = "sk-secret-0123456789abcdef"
Build = Callable[..., ApiModel]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
def build(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def built(model: str = "tiny", *, offline: bool = False, **options: str) -> ApiModel:
        given = {"base_url": server.url, "backoff": "0.01", "timeout": "5", **options}
        return openai_model(Workspace(cache=tmp_path / "cache", offline=offline), model, given)

    return built


def question(seed: int = 1, **knobs: object) -> Request:
    return replace(request("vqa", Text("What is it?"), seed=seed, sample=str(seed)), **knobs)  # type: ignore[arg-type]


def wish(**knobs: object) -> Request:
    return replace(request("text-to-image", Text("a ring")), **knobs)  # type: ignore[arg-type]


def one(model: ApiModel, asked: Request) -> Answer:
    (found,) = answers(model, [asked])
    return found


def test_a_chat_says_all_that_the_request_says(build: Build, server: FaultServer, shared_data: Path) -> None:
    (photo,) = photos(shared_data, 1)
    knobs = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": (".",), "extra": (("logit_bias", 1),)}
    asked = replace(question(), parts=(photo, Text("Why?")), **knobs)  # type: ignore[arg-type]
    assert text(one(build(system="Be brief.", detail="low", extra='{"effort": "low"}'), asked)) == "answer 1"
    (body,) = server.bodies
    system, user = body["messages"]
    shown, words = user["content"]
    assert system == {"role": "system", "content": "Be brief."}
    assert words["text"].startswith("Why?\n")
    sent = decode(base64.b64decode(shown["image_url"]["url"].partition(",")[2]), "sent")
    assert np.array_equal(sent, pixels(photo))
    said = {name: body[name] for name in ("model", "max_tokens", "temperature", "top_p", "stop", "seed", "effort")}
    assert said == {
        "model": "tiny",
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["."],
        "seed": 1,
        "effort": "low",
    }
    assert body["logit_bias"] == 1
    assert shown["image_url"]["detail"] == "low"


def test_pictures_are_made_and_edited(build: Build, server: FaultServer, shared_data: Path) -> None:
    made = picture(one(build(), wish(width=24, height=16)))
    assert (made.width, made.height) == (24, 16)
    (photo,) = photos(shared_data, 1)
    inside = np.zeros((photo.height, photo.width, 3), np.uint8)
    inside[:10] = 255
    edit = request("text-guided-editing", photo, Mask(image_of(inside, "mask")), Text("make it blue"))
    picture(one(build(), edit))
    body = server.bodies[-1]
    assert body["prompt"] == "make it blue"
    assert np.array_equal(decode(body["image"], "sent"), pixels(photo))
    from io import BytesIO

    from PIL import Image as PillowImage

    alpha = np.asarray(PillowImage.open(BytesIO(body["mask"])))[:, :, 3]
    assert alpha[:10].max() == 0
    assert alpha[10:].min() == 255


def test_knobs_of_pictures_are_sent_where_the_server_takes_them_and_refused_elsewhere(
    build: Build, server: FaultServer
) -> None:
    asked = wish(steps=20, guidance=3.0, negative_prompt="blue", seed=7)
    assert "means nothing to this model" in failure(one(build(), asked)).message
    picture(one(build(image_knobs="diffusers"), asked))
    body = server.bodies[-1]
    sent = [body[name] for name in ("num_inference_steps", "guidance_scale", "negative_prompt", "seed")]
    assert sent == [20, 3.0, "blue", 7]
    assert "name both or neither" in failure(one(build(), wish(width=8))).message


@pytest.mark.parametrize(
    "faults",
    [
        ("429", "500", "502", "503", "529"),
        ("reset", "partial", "reset"),
        ("garbage", "shapeless", "cut", "deep", "gzip"),
        ("408", "409", "425"),
    ],
)
def test_what_may_pass_is_tried_again_until_it_does(build: Build, server: FaultServer, faults: tuple[str, ...]) -> None:
    server.play(*faults)
    assert text(one(build(), question())) == "answer 1"
    assert server.asked["1"] == len(faults) + 1
    assert server.answered["1"] == 1


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("refusal", "refusal", "I will not."),
        ("filter", "content_filter", "content filter"),
        ("filter400", "content_filter", "HTTP 400: no"),
        ("bad", "rejected", "HTTP 400: bad"),
        ("empty", "length", "raise max_tokens"),
    ],
)
def test_what_the_server_will_not_answer_is_a_failure_with_its_reason(
    build: Build, server: FaultServer, fault: str, kind: str, words: str
) -> None:
    server.play(fault)
    found = failure(one(build(), question()))
    assert found.kind == kind
    assert words in found.message
    assert server.asked["1"] == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("503", "server"), ("429", "rate_limit"), ("reset", "connection"), ("garbage", "malformed"), ("hang", "timeout")],
)
def test_what_never_passes_is_a_failure_after_all_tries(
    build: Build, server: FaultServer, fault: str, kind: str
) -> None:
    server.play(*[fault] * 2)
    found = failure(one(build(tries="2", timeout="0.3"), question()))
    assert found.kind == kind
    assert "2 times" in found.message
    assert server.asked["1"] == 2


def test_a_reply_that_drips_is_given_up_in_time(build: Build, server: FaultServer) -> None:
    server.play("drip")
    started = time.monotonic()
    found = failure(one(build(tries="1", timeout="0.5"), question()))
    assert found.kind == "timeout"
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("fault", ["after=0.6", "after-date=2"])
def test_retry_after_holds_everybody_back(build: Build, server: FaultServer, fault: str) -> None:
    model = build(concurrency="1")
    server.play(fault)
    told = answers(model, [question(1), question(2)])
    assert [text(found) for found in told] == ["answer 1", "answer 2"]
    first, *later = server.times
    assert min(later) - first >= (0.6 if fault == "after=0.6" else 0.9)  # a date has whole seconds


def test_an_answer_cut_by_its_limit_says_so(build: Build, server: FaultServer) -> None:
    server.play("long")
    found = one(build(), question())
    assert isinstance(found, Generation)
    assert found.finish == "length"


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("size", "wrong_size", "asked for a picture of 24 x 16 pixels, got 7 x 5"),
        ("address", "malformed", "names an address for the picture, which is not followed"),
        ("nopicture", "malformed", "is not a picture in a known format"),
    ],
)
def test_a_wrong_picture_is_a_failure(build: Build, server: FaultServer, fault: str, kind: str, words: str) -> None:
    server.play(fault)
    found = failure(one(build(tries="1"), wish(width=24, height=16)))
    assert found.kind == kind
    assert words in found.message


@pytest.mark.parametrize(
    ("fault", "words"),
    [("gone", "no such model or endpoint"), ("quota", "the quota is spent"), ("307", "no such model")],
)
def test_what_strikes_every_request_stops_the_run(build: Build, server: FaultServer, fault: str, words: str) -> None:
    server.play(*[fault] * 9)
    with pytest.raises(RunError, match=words):
        answers(build(concurrency="2"), [question(seed) for seed in range(50)])
    assert sum(server.asked.values()) <= 3


def test_a_server_that_is_gone_stops_the_run_after_some_requests(build: Build, server: FaultServer) -> None:
    model = build(tries="2", concurrency="1")
    server.play(*["503"] * 1000)
    with pytest.raises(RunError, match="left 5 requests in a row unanswered"):
        answers(model, [question(seed) for seed in range(50)])
    assert sum(server.asked.values()) == 10


def test_a_storm_loses_no_answer_and_asks_no_answered_question_again(build: Build, server: FaultServer) -> None:
    server.storm = 0.5
    asked = [question(seed) for seed in range(200)]
    told = answers(build(tries="40", concurrency="16"), asked)
    assert [text(found) for found in told] == [f"answer {seed}" for seed in range(200)]
    assert set(server.answered.values()) == {1}
    assert sum(server.asked.values()) > 300


def test_no_more_requests_than_allowed_are_under_way(build: Build, server: FaultServer) -> None:
    server.pause = 0.02
    answers(build(concurrency="3"), [question(seed) for seed in range(30)])
    assert server.busiest == 3


def test_rates_hold_in_any_minute(build: Build, server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.models.limits.MINUTE", 0.5)
    answers(build(requests_per_minute="5"), [question(seed) for seed in range(12)])
    assert all(late - early >= 0.45 for early, late in zip(server.times, server.times[5:], strict=False))
    server.times.clear()
    knobs = {"max_tokens": 100}
    answers(build(tokens_per_minute="400"), [question(seed, **knobs) for seed in range(9)])
    assert all(late - early >= 0.45 for early, late in zip(server.times, server.times[3:], strict=False))


def collected(model: ApiModel, requests: list[Request]) -> tuple[dict[int, Answer], EvalkitError | None]:
    """The answers until the run was stopped, and what stopped it."""
    found: dict[int, Answer] = {}
    try:
        for position, answer in model.generate(requests):
            found[position] = answer
    except EvalkitError as error:
        return found, error
    return found, None


def test_a_budget_of_requests_stops_cleanly(build: Build, server: FaultServer) -> None:
    found, stopped = collected(build(max_requests="7"), [question(seed) for seed in range(30)])
    assert sum(server.asked.values()) == 7
    assert len(found) == 7
    assert "the budget of 7 requests (--max-requests) is spent" in str(stopped)


def test_a_budget_of_money_is_never_exceeded(build: Build, server: FaultServer) -> None:
    prices = {"input_price": "1000", "output_price": "1000"}  # a reply of 1,100 tokens costs 1.1
    asked = [question(seed, max_tokens=100) for seed in range(30)]
    found, stopped = collected(build(max_cost="8", concurrency="1", **prices), asked)
    assert len(found) == 7
    assert "the budget of 8 (--max-cost) is spent: 7.7 for 7 requests" in str(stopped)
    with pytest.raises(UsageError, match="needs prices"):
        build(max_cost="8")


def test_the_key_is_sent_and_told_to_nobody(
    build: Build,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.key = KEY
    model = build(tries="2")
    assert text(one(model, question())) == "answer 1"
    server.play("bad", "echo")
    told = [failure(one(model, question(seed))).message for seed in (2, 3)]
    assert "***" in told[0]
    assert "holds the API key" in told[1]
    server.key = "another"
    with pytest.raises(RunError) as raised:
        one(model, question(4))
    everything = [*told, str(raised.value), repr(model), repr(model.server), canonical_json(dict(model.identity))]
    everything.append(caplog.text)
    assert all(KEY not in said for said in everything)


def test_the_key_comes_from_the_environment_only(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"\$OPENAI_API_KEY is not set"):
        build(base_url="https://api.openai.com/v1")
    with pytest.raises(UsageError, match="holds a password, query or fragment"):
        build(base_url="http://user:pass@127.0.0.1/v1")
    monkeypatch.setenv("ODD", "two words")
    with pytest.raises(UsageError, match=r"\$ODD holds characters that no key has") as raised:
        build(key_variable="ODD")
    assert "two words" not in str(raised.value)


def test_the_identity_tells_models_servers_and_their_versions_apart(
    build: Build, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = build().identity
    assert build().identity == base  # though the server gives the time of day as the model's age
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert build().identity == base
    assert build(timeout="9", max_requests="3", concurrency="1").identity == base
    others = [
        build("other"),
        build(system="x"),
        build(detail="low"),
        build(extra='{"a": 1}'),
        build(limit_name="max_completion_tokens"),
        build(image_knobs="diffusers"),
        build(served="tiny-2"),
    ]
    server.version = "1.1"
    others.append(build())
    with FaultServer() as second:
        others.append(build(base_url=second.url))
    keys = {request_key(model.identity, question()) for model in others}
    assert len(keys | {request_key(base, question())}) == len(others) + 1


def test_an_alias_that_moves_is_a_failure_where_it_is_pinned(build: Build, server: FaultServer) -> None:
    model = build(served="tiny")
    assert text(one(model, question())) == "answer 1"
    server.served = "tiny-2027"
    found = failure(one(model, question()))
    assert found.kind == "wrong_model"


def test_offline_the_server_is_known_from_the_last_time_and_not_asked(build: Build, server: FaultServer) -> None:
    with pytest.raises(UsageError, match="run once without --offline"):
        build(offline=True)
    before = build().identity
    model = build(offline=True)
    assert model.identity == before
    with pytest.raises(RunError, match="--offline forbids to ask"):
        one(model, question())
    assert not server.asked


def test_whoever_stops_does_not_wait_for_replies_under_way(build: Build, server: FaultServer) -> None:
    server.play("", "hang", "hang", "hang")
    asking = build(concurrency="4").generate([question(seed) for seed in range(4)])
    next(asking)
    started = time.monotonic()
    asking.close()  # type: ignore[attr-defined]  # it is a generator
    assert time.monotonic() - started < 1
    ends_by = time.monotonic() + 10
    while any(thread.name.startswith("openai") for thread in threading.enumerate()):
        assert time.monotonic() < ends_by
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"base_url": "localhost:8000"}, "should read http://HOST:PORT/v1"),
        ({"extra": "effort=low"}, "is not JSON"),
        ({"extra": '{"model": "x"}'}, "should be a JSON object without"),
        ({"max_cost": "free", "input_price": "1"}, "max_cost=free is not a number of 0 or more"),
        ({"concurrency": "0"}, "is not a whole number of 1 or more"),
    ],
)
def test_an_option_that_makes_no_sense_is_an_error(build: Build, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        build(**options)


def test_a_server_that_is_not_there_is_an_error_that_names_it(build: Build, server: FaultServer) -> None:
    with pytest.raises(RunError, match=r"http://127\.0\.0\.1:9/v1 does not answer"):
        build(base_url="http://127.0.0.1:9/v1", tries="2")
