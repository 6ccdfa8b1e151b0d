"""Any server that speaks OpenAI's protocol: `-m openai:MODEL`, hosted or your own (vLLM, SGLang, ...).

    captioning, vqa        POST chat/completions, pictures as PNG inside the message
    text-to-image          POST images/generations
    text-guided-editing    POST images/edits, with a mask where the request has one

The key comes from the environment, and goes nowhere but into the request's header. `-a concurrency=` requests are under
way at a time; each answer is handed on as it comes, so that a run that is stopped loses none.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeAlias
from urllib.parse import urlsplit

from evalkit.errors import RunError, UsageError
from evalkit.keys import canonical_json
from evalkit.models.api_client import Client, Server, Stopped
from evalkit.models.api_messages import IMAGE_KNOBS, Wording, chat_call, edit_call, picture_call
from evalkit.models.api_replies import chat_answer, picture_answer
from evalkit.models.api_servers import described
from evalkit.models.knobs import Unanswerable, choice, positive, whole
from evalkit.models.limits import Meter, limits_of
from evalkit.models.prompts import TEXT_JOBS, prompts_of
from evalkit.types import Answer, Failure, Generation, Job, Json, JsonScalar, Request
from evalkit.workspace import Workspace

CODE = 1
"""Version of what turns a request into an answer here: raised when an answer would change."""
OPENAI = "https://api.openai.com/v1"
OURS = frozenset({"model", "messages", "prompt", "n", "stream", "seed", "size"})
"""Fields of a body that `-a extra=` cannot set."""

Come: TypeAlias = "SimpleQueue[tuple[int, Answer] | Exception | None]"


@dataclass(frozen=True)
class ApiModel:
    """Answers through a server. `description` is what the server says of the model: a part of the identity."""

    model: str
    server: Server
    description: Mapping[str, JsonScalar]
    wording: Wording
    meter: Meter
    concurrency: int
    offline: bool

    @property
    def name(self) -> str:
        """`openai:MODEL`."""
        return f"openai:{self.model}"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The model's name, its server with what that says of itself, and the wording; no key and no limit."""
        return {
            "model": "openai",
            "code": CODE,
            "name": self.model,
            "url": self.server.url,
            **self.description,
            **self.wording.identity,
        }

    @property
    def capabilities(self) -> frozenset[Job]:
        """What the protocol has requests for; whether the model has answers, the server says."""
        return frozenset({*TEXT_JOBS, "text-to-image", "text-guided-editing"})

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position and answer as it comes.

        Raises:
            RunError: the server will answer no request, or the budget is spent. What was under way is yielded first.
        """
        if self.offline:
            raise RunError(
                f"{self.name} has {len(requests)} answers to give and --offline forbids to ask; leave it out"
            )
        client = Client(self.server, self.meter)
        waiting: SimpleQueue[tuple[int, Request]] = SimpleQueue()
        for numbered in enumerate(requests):
            waiting.put(numbered)
        come: Come = SimpleQueue()
        count = min(self.concurrency, len(requests))
        for _ in range(count):  # daemons: whoever stops the run does not wait for replies under way
            threading.Thread(target=self._work, args=(client, waiting, come), name="openai", daemon=True).start()
        try:
            yield from _as_they_come(come, count, client)
        finally:
            client.close()

    def _work(self, client: Client, waiting: SimpleQueue[tuple[int, Request]], come: Come) -> None:
        """Answer what waits, until nothing does or sending is stopped; tell of the end with None."""
        try:
            while not client.stop.is_set():
                position, request = waiting.get_nowait()
                come.put((position, self._answer(client, request)))
        except (Empty, Stopped):
            pass
        except Exception as error:  # noqa: BLE001 - raised again where the answers are handed on
            come.put(error)
        finally:
            come.put(None)

    def _answer(self, client: Client, request: Request) -> Answer:
        started = time.perf_counter()
        try:
            answer = self._asked(client, request)
        except Unanswerable as error:
            return Failure(error.kind, str(error), time.perf_counter() - started)
        return Generation(answer.parts, answer.finish, time.perf_counter() - started)

    def _asked(self, client: Client, request: Request) -> Generation:
        if request.job in TEXT_JOBS:
            return client.ask(chat_call(self.model, request, self.wording), chat_answer(self.wording.served))
        build = picture_call if request.job == "text-to-image" else edit_call
        return client.ask(build(self.model, request, self.wording), picture_answer(request))


def _as_they_come(come: Come, workers: int, client: Client) -> Iterator[tuple[int, Answer]]:
    """Yield answers; at the first error send nothing more, yield what was under way, and raise it."""
    fault: Exception | None = None
    while workers:
        item = come.get()
        if item is None:
            workers -= 1
        elif isinstance(item, Exception):
            fault = fault or item
            client.stop.set()
        else:
            yield item
    if fault is not None:
        raise fault


def openai_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> ApiModel:
    """Return the model of that name at the server of `-a base_url=`, $OPENAI_BASE_URL, or OpenAI.

    Raises:
        UsageError: an option has no such value, the key is missing, or httpx is.
        RunError: the server cannot be reached.
    """
    url = _base_url(options.get("base_url") or os.environ.get("OPENAI_BASE_URL") or OPENAI)
    variable = options.get("key_variable") or "OPENAI_API_KEY"
    key = os.environ.get(variable, "").strip()
    if not key and url == OPENAI:
        raise UsageError(f"${variable} is not set; put the key there, or name your own server with -a base_url=")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(f"${variable} holds characters that no key has; set it anew")
    server = Server(
        url=url,
        key=key,
        timeout=positive(options, "timeout") or 120.0,
        tries=whole(options, "tries", 6),
        backoff=1.0 if positive(options, "backoff") is None else float(options["backoff"]),
    )
    wording = Wording(
        prompts=prompts_of(options),
        limit_name=choice(options, "limit_name", ("max_tokens", "max_completion_tokens"), "max_tokens"),
        detail=options.get("detail", ""),
        image_knobs=choice(options, "image_knobs", IMAGE_KNOBS, "none"),
        image_format=choice(options, "response_format", ("b64_json", "none"), _image_format(argument)),
        extra=_extra(options.get("extra", "")),
        served=options.get("served", ""),
    )
    meter = Meter(limits_of(options))
    found = described(workspace, server, argument)
    return ApiModel(argument, server, found, wording, meter, whole(options, "concurrency", 8), workspace.offline)


def _image_format(model: str) -> str:
    """Return whether to ask for pictures in the reply: the gpt-image models do so always, and refuse to be asked."""
    return "none" if model.startswith("gpt-image") else "b64_json"


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError("-a base_url should read http://HOST:PORT/v1 or https://HOST/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("-a base_url holds a password, query or fragment, which would be kept with every answer")
    return text.rstrip("/")


def _extra(text: str) -> str:
    """Return the canonical JSON of the body's further fields."""
    if not text:
        return ""
    try:
        document: Json = json.loads(text)
    except ValueError as error:
        raise UsageError(f'-a extra={text} is not JSON ({error}); write {{"reasoning_effort": "low"}}') from error
    if not isinstance(document, dict) or OURS & document.keys():
        raise UsageError(f"-a extra={text} should be a JSON object without {', '.join(sorted(OURS))}")
    return canonical_json(document)
