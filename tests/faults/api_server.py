"""A real HTTP server that speaks OpenAI's protocol, and misbehaves as it is told to.

Each request takes the next fault of `script` and is answered well once that is empty; `storm` adds faults at random.
What was asked and what was answered well is counted by the question, so that a test sees what was asked twice.
"""

from __future__ import annotations

import base64
import email.utils
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from evalkit.images import encode_png

STORM = ("429", "500", "502", "503", "529", "reset", "partial", "garbage", "shapeless")


@dataclass
class FaultServer:
    """Use as a context. `url` is what `-a base_url=` takes."""

    script: deque[str] = field(default_factory=deque)
    storm: float = 0.0
    """Share of requests that meet a random fault of `STORM`."""
    key: str = ""
    """The key that requests must bring; empty for any."""
    version: str = "1.0"
    served: str = "tiny"
    pause: float = 0.0
    """Seconds that each answer takes."""
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    busiest: int = 0
    """Most requests under way at a time."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    _busy: int = 0

    def __enter__(self) -> FaultServer:
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def play(self, *faults: str) -> FaultServer:
        """Give these faults to the next requests."""
        self.script.extend(faults)
        return self

    def enter(self, question: str) -> str:
        """Count a request; return the fault that it meets, empty for none."""
        with self.lock:
            self.asked[question] += 1
            self.times.append(time.monotonic())
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            if self.script:
                return self.script.popleft()
            return self.dice.choice(STORM) if self.dice.random() < self.storm else ""

    def leave(self) -> None:
        with self.lock:
            self._busy -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_owner: FaultServer

    def log_message(self, *_: object) -> None:
        return None

    def do_GET(self) -> None:
        owner = self.server_owner
        if self.path == "/v1/models":
            facts = {"id": "tiny", "object": "model", "created": int(time.time()), "owned_by": "tests"}
            self.reply(200, {"object": "list", "data": [facts]})
        elif self.path == "/version":
            self.reply(200, {"version": owner.version})
        else:
            self.reply(404, {"error": {"message": "nothing here"}})

    def do_POST(self) -> None:
        owner = self.server_owner
        body = self.body()
        question = question_of(body)
        fault = owner.enter(question)
        try:
            with owner.lock:
                owner.bodies.append(body)
                owner.headers.append(dict(self.headers))
            if owner.key and self.headers.get("Authorization") != f"Bearer {owner.key}":
                told = self.headers.get("Authorization")
                self.reply(401, {"error": {"message": f"incorrect key {told}", "code": "invalid_api_key"}})
                return
            time.sleep(owner.pause)
            if fault:
                self.misbehave(fault, body)
                return
            with owner.lock:
                owner.answered[question] += 1
            self.reply(200, answer(self.path, body, owner.served))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the other side was killed
        finally:
            owner.leave()

    def body(self) -> dict[str, Any]:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Type"].startswith("application/json"):
            document: dict[str, Any] = json.loads(content)
            return document
        fields = re.findall(rb'name="([^"]+)"(?:; filename="[^"]*")?\r\n(?:[^\r]+\r\n)?\r\n(.*?)\r\n--', content, re.S)
        return {name.decode(): raw if name in {b"image", b"mask"} else raw.decode() for name, raw in fields}

    def reply(self, status: int, document: object, headers: Iterable[tuple[str, str]] = ()) -> None:
        self.send(status, json.dumps(document).encode(), headers)

    def send(self, status: int, content: bytes, headers: Iterable[tuple[str, str]] = (), claimed: int = 0) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(claimed or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def misbehave(self, fault: str, body: dict[str, Any]) -> None:
        well = json.dumps(answer(self.path, body, self.server_owner.served)).encode()
        name, _, value = fault.partition("=")
        plays: dict[str, Callable[[], None]] = {
            "after": lambda: self.reply(429, {"error": {"message": "slow down"}}, [("Retry-After", value)]),
            "after-date": lambda: self.reply(
                503, {}, [("Retry-After", email.utils.formatdate(time.time() + float(value), usegmt=True))]
            ),
            "quota": lambda: self.reply(429, {"error": {"message": "no money", "code": "insufficient_quota"}}),
            "filter400": lambda: self.reply(400, {"error": {"message": "no", "code": "content_policy_violation"}}),
            "bad": lambda: self.reply(400, {"error": {"message": f"bad {self.headers.get('Authorization')}"}}),
            "gone": lambda: self.reply(404, {"error": {"message": "no such model"}}),
            "garbage": lambda: self.send(200, b"<html>upstream error</html>"),
            "deep": lambda: self.send(200, b"[" * 100_000),
            "shapeless": lambda: self.reply(200, {"choices": []}),
            "cut": lambda: self.send(200, well[: len(well) // 2]),
            "gzip": lambda: self.send(200, b"no gzip", [("Content-Encoding", "gzip")]),
            "echo": lambda: self.reply(200, chat(str(self.headers.get("Authorization")), "tiny")),
            "refusal": lambda: self.reply(200, chat("", "tiny", message={"content": None, "refusal": "I will not."})),
            "filter": lambda: self.reply(200, chat("", "tiny", finish="content_filter")),
            "empty": lambda: self.reply(200, chat("", "tiny", finish="length")),
            "long": lambda: self.reply(200, chat("and so on", "tiny", finish="length")),
            "size": lambda: self.reply(200, picture(7, 5)),
            "address": lambda: self.reply(200, {"data": [{"url": "http://127.0.0.1:1/picture.png"}]}),
            "nopicture": lambda: self.reply(200, {"data": [{"b64_json": base64.b64encode(b"GIF89a").decode()}]}),
        }
        if name in plays:
            plays[name]()
        elif name.isdigit():
            self.reply(int(name), {"error": {"message": f"status {name}"}})
        else:
            self.break_off(name, well)

    def break_off(self, name: str, well: bytes) -> None:
        """End the connection in the middle of things, or leave the other side waiting."""
        self.close_connection = True
        if name == "partial":
            self.send(200, well[: len(well) // 2], claimed=len(well))
        elif name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.wfile = self.rfile = open("/dev/null", "rb+")  # noqa: SIM115, PTH123 - what http.server flushes at the end
        elif name == "hang":
            time.sleep(3)
        elif name == "drip":
            self.send(200, b" ", claimed=1000)
            for _ in range(20):
                time.sleep(0.1)
                self.wfile.write(b" ")
        else:
            raise AssertionError(f"no fault {name}")


def question_of(body: dict[str, Any]) -> str:
    """What tells one request from another."""
    return str(body.get("seed", body.get("prompt")))


def answer(path: str, body: dict[str, Any], served: str) -> dict[str, Any]:
    """The right reply to a request."""
    if path == "/v1/chat/completions":
        return chat(f"answer {question_of(body)[-4:]}", served)
    width, height = (int(side) for side in str(body.get("size", "16x16")).split("x"))
    return picture(width, height, str(body["prompt"]))


def chat(text: str, served: str, finish: str = "stop", message: dict[str, Any] | None = None) -> dict[str, Any]:
    said = message or {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    return {"model": served, "choices": [{"message": said, "finish_reason": finish}], "usage": usage}


def picture(width: int, height: int, words: str = "") -> dict[str, Any]:
    pixels = np.random.default_rng(list(words.encode())).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return {"data": [{"b64_json": base64.b64encode(encode_png(pixels)).decode()}]}
