"""Laws of the API backend, against a real HTTP server on this machine that misbehaves as it is told to."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import RunError, UsageError
from evalkit.images import decode, image_of, pixels
from evalkit.keys import canonical_json, request_key
from evalkit.models.openai import ApiModel
from evalkit.types import Answer, Generation, Mask, Request, Text
from tests.faults.api_server import FaultServer

from .asking import answers, failure, photos, picture, question, request, text

KEY = "sk-secret-0123456789abcdef"
Build = Callable[..., ApiModel]


def wish(**knobs: object) -> Request:
    return replace(request("text-to-image", Text("a ring")), **knobs)  # type: ignore[arg-type]


def one(model: ApiModel, asked: Request) -> Answer:
    (found,) = answers(model, [asked])
    return found


def test_a_chat_says_all_that_the_request_says(api: Build, server: FaultServer, shared_data: Path) -> None:
    (photo,) = photos(shared_data, 1)
    knobs = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": (".",), "extra": (("logit_bias", 1),)}
    asked = replace(question(), parts=(photo, Text("Why?")), **knobs)  # type: ignore[arg-type]
    assert text(one(api(system="Be brief.", detail="low", extra='{"effort": "low"}'), asked)) == "answer 1"
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


def test_pictures_are_made_and_edited(api: Build, server: FaultServer, shared_data: Path) -> None:
    made = picture(one(api(), wish(width=24, height=16)))
    assert (made.width, made.height) == (24, 16)
    (photo,) = photos(shared_data, 1)
    inside = np.zeros((photo.height, photo.width, 3), np.uint8)
    inside[:10] = 255
    edit = request("text-guided-editing", photo, Mask(image_of(inside, "mask")), Text("make it blue"))
    picture(one(api(), edit))
    body = server.bodies[-1]
    assert body["prompt"] == "make it blue"
    assert np.array_equal(decode(body["image"], "sent"), pixels(photo))
    from io import BytesIO

    from PIL import Image as PillowImage

    alpha = np.asarray(PillowImage.open(BytesIO(body["mask"])))[:, :, 3]
    assert alpha[:10].max() == 0
    assert alpha[10:].min() == 255


def test_knobs_of_pictures_are_sent_where_the_server_takes_them_and_refused_elsewhere(
    api: Build, server: FaultServer
) -> None:
    asked = wish(steps=20, guidance=3.0, negative_prompt="blue", seed=7)
    assert "means nothing to this model" in failure(one(api(), asked)).message
    picture(one(api(image_knobs="diffusers"), asked))
    body = server.bodies[-1]
    sent = [body[name] for name in ("num_inference_steps", "guidance_scale", "negative_prompt", "seed")]
    assert sent == [20, 3.0, "blue", 7]
    assert "name both or neither" in failure(one(api(), wish(width=8))).message


@pytest.mark.parametrize(
    "faults",
    [
        ("429", "500", "502", "503", "529"),
        ("reset", "partial", "reset"),
        ("garbage", "shapeless", "cut", "deep", "gzip"),
        ("408", "409", "425"),
    ],
)
def test_what_may_pass_is_tried_again_until_it_does(api: Build, server: FaultServer, faults: tuple[str, ...]) -> None:
    server.play(*faults)
    assert text(one(api(), question())) == "answer 1"
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
    api: Build, server: FaultServer, fault: str, kind: str, words: str
) -> None:
    server.play(fault)
    found = failure(one(api(), question()))
    assert found.kind == kind
    assert words in found.message
    assert server.asked["1"] == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("503", "server"), ("429", "rate_limit"), ("reset", "connection"), ("garbage", "malformed"), ("hang", "timeout")],
)
def test_what_never_passes_is_a_failure_after_all_tries(api: Build, server: FaultServer, fault: str, kind: str) -> None:
    server.play(*[fault] * 2)
    found = failure(one(api(tries="2", timeout="0.3"), question()))
    assert found.kind == kind
    assert "2 times" in found.message
    assert server.asked["1"] == 2


def test_a_reply_that_drips_is_given_up_in_time(api: Build, server: FaultServer) -> None:
    server.play("drip")
    started = time.monotonic()
    found = failure(one(api(tries="1", timeout="0.5"), question()))
    assert found.kind == "timeout"
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("fault", ["after=0.6", "after-date=2"])
def test_retry_after_holds_everybody_back(api: Build, server: FaultServer, fault: str) -> None:
    model = api(concurrency="1")
    server.play(fault)
    told = answers(model, [question(1), question(2)])
    assert [text(found) for found in told] == ["answer 1", "answer 2"]
    first, *later = server.times
    assert min(later) - first >= (0.6 if fault == "after=0.6" else 0.9)  # a date has whole seconds


def test_an_answer_cut_by_its_limit_says_so(api: Build, server: FaultServer) -> None:
    server.play("long")
    found = one(api(), question())
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
def test_a_wrong_picture_is_a_failure(api: Build, server: FaultServer, fault: str, kind: str, words: str) -> None:
    server.play(fault)
    found = failure(one(api(tries="1"), wish(width=24, height=16)))
    assert found.kind == kind
    assert words in found.message


@pytest.mark.parametrize(
    ("fault", "words"),
    [("gone", "no such model or endpoint"), ("quota", "the quota is spent"), ("307", "no such model")],
)
def test_what_strikes_every_request_stops_the_run(api: Build, server: FaultServer, fault: str, words: str) -> None:
    server.play(fault)  # once: whoever else is asking has to be told
    server.pause = 0.05
    with pytest.raises(RunError, match=words):
        answers(api(concurrency="2"), [question(seed) for seed in range(50)])
    assert sum(server.asked.values()) <= 5


def test_a_server_that_is_gone_stops_the_run_after_some_requests(api: Build, server: FaultServer) -> None:
    model = api(tries="2", concurrency="1")
    server.play(*["503"] * 1000)
    with pytest.raises(RunError, match="left 5 requests in a row unanswered"):
        answers(model, [question(seed) for seed in range(50)])
    assert sum(server.asked.values()) == 10


def test_a_storm_loses_no_answer_and_asks_no_answered_question_again(api: Build, server: FaultServer) -> None:
    server.storm = 0.5
    asked = [question(seed) for seed in range(200)]
    told = answers(api(tries="40", concurrency="16"), asked)
    assert [text(found) for found in told] == [f"answer {seed}" for seed in range(200)]
    assert set(server.answered.values()) == {1}
    assert sum(server.asked.values()) > 300


def test_no_more_requests_than_allowed_are_under_way(api: Build, server: FaultServer) -> None:
    server.pause = 0.02
    answers(api(concurrency="3"), [question(seed) for seed in range(30)])
    assert server.busiest == 3


def test_the_key_is_sent_and_told_to_nobody(
    api: Build,
    server: FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.key = KEY
    model = api(tries="2")
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


def test_the_key_comes_from_the_environment_only(api: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"\$OPENAI_API_KEY is not set"):
        api(base_url="https://api.openai.com/v1")
    with pytest.raises(UsageError, match="holds a password, query or fragment"):
        api(base_url="http://user:pass@127.0.0.1/v1")
    monkeypatch.setenv("ODD", "two words")
    with pytest.raises(UsageError, match=r"\$ODD holds characters that no key has") as raised:
        api(key_variable="ODD")
    assert "two words" not in str(raised.value)


def test_the_identity_tells_models_servers_and_their_versions_apart(
    api: Build, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = api().identity
    assert api().identity == base  # though the server gives the time of day as the model's age
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert api().identity == base
    assert api(timeout="9", max_requests="3", concurrency="1").identity == base
    others = [
        api("other"),
        api(system="x"),
        api(detail="low"),
        api(extra='{"a": 1}'),
        api(limit_name="max_completion_tokens"),
        api(image_knobs="diffusers"),
        api(served="tiny-2"),
    ]
    server.version = "1.1"
    others.append(api())
    with FaultServer() as second:
        others.append(api(base_url=second.url))
    keys = {request_key(model.identity, question()) for model in others}
    assert len(keys | {request_key(base, question())}) == len(others) + 1


def test_an_alias_that_moves_is_a_failure_where_it_is_pinned(api: Build, server: FaultServer) -> None:
    model = api(served="tiny")
    assert text(one(model, question())) == "answer 1"
    server.served = "tiny-2027"
    found = failure(one(model, question()))
    assert found.kind == "wrong_model"


def test_offline_the_server_is_known_from_the_last_time_and_not_asked(api: Build, server: FaultServer) -> None:
    with pytest.raises(UsageError, match="run once without --offline"):
        api(offline=True)
    before = api().identity
    model = api(offline=True)
    assert model.identity == before
    with pytest.raises(RunError, match="--offline forbids to ask"):
        one(model, question())
    assert not server.asked


def test_whoever_stops_does_not_wait_for_replies_under_way(api: Build, server: FaultServer) -> None:
    server.play("", "hang", "hang", "hang")
    asking = api(concurrency="4").generate([question(seed) for seed in range(4)])
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
def test_an_option_that_makes_no_sense_is_an_error(api: Build, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        api(**options)


def test_a_server_that_is_not_there_is_an_error_that_names_it(api: Build, server: FaultServer) -> None:
    with pytest.raises(RunError, match=r"http://127\.0\.0\.1:9/v1 does not answer"):
        api(base_url="http://127.0.0.1:9/v1", tries="2")
