"""Requests over HTTP that survive a bad server: repeated with back-off, within limits, the key told to nobody else."""

from __future__ import annotations

import email.utils
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx

from evalkit.errors import RunError
from evalkit.models.knobs import Unanswerable
from evalkit.models.limits import Meter, Usage
from evalkit.types import Json

T = TypeVar("T")

LARGEST_REPLY = 256 * 1024 * 1024
"""Bytes; a server that sends more is not listened to."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries, unless the server asks for more."""
LONGEST_ASKED = 3600.0
"""A server that asks for a longer pause than these seconds is taken for gone."""
LOST_IN_A_ROW = 5
"""Requests that fail one after another, each after all its tries, until the run is stopped."""
TOLD = 300
"""Characters of a server's own message that are shown."""
FILTERED = frozenset(
    {"content_filter", "content_policy_violation", "moderation_blocked", "ResponsibleAIPolicyViolation"}
)
OVER = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


@dataclass(frozen=True, slots=True)
class Server:
    """Where requests go, and how patiently. `key` is never shown."""

    url: str
    key: str = field(repr=False)
    timeout: float = 120.0
    tries: int = 6
    backoff: float = 1.0
    """Seconds of the first pause, which doubles."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: JSON, or a form with files; and what it is expected to use."""

    path: str
    body: Mapping[str, Json]
    files: Mapping[str, tuple[str, bytes, str]] | None = None
    expected: Usage = field(default_factory=Usage)


class _Again(Exception):
    """A try that failed in a way that may pass; `pause` is what the server asked for, `billed` whether it may cost."""

    def __init__(self, kind: str, message: str, pause: float | None = None, *, billed: bool = False) -> None:
        super().__init__(message)
        self.kind, self.pause, self.billed = kind, pause, billed


class MalformedReply(Exception):
    """A reply that is not what the protocol says; it may be the next time."""


class Stopped(Exception):
    """Sending was stopped before the request was answered."""


class Client:
    """Sends requests from several threads; every failure that is worth it is tried again."""

    def __init__(self, server: Server, meter: Meter) -> None:
        """Use `server` within the limits of `meter`."""
        self._server, self._meter = server, meter
        headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
        self._http = httpx.Client(headers=headers, timeout=server.timeout, limits=httpx.Limits(max_connections=None))
        self._dice = random.Random()
        self.stop = threading.Event()

    def close(self) -> None:
        """Send nothing more, and leave the requests under way."""
        self.stop.set()
        self._http.close()

    def get(self, url: str) -> Json:
        """Return the JSON at `url`, None where the server has nothing there for us.

        Raises:
            RunError: the server cannot be reached.
        """
        try:
            return self._try_often(lambda: self._got(url))
        except Unanswerable as error:
            raise RunError(f"{self._server.url} does not answer ({error}); check -a base_url") from error

    def _got(self, url: str) -> Json:
        status, _, content = self._sent(self._http.build_request("GET", url))
        if status == 429 or status >= 500:
            raise _Again("server", f"HTTP {status}")
        try:
            return None if status != 200 else _parsed(content)
        except _Again:
            return None  # a page for people, say

    def ask(self, call: Call, read: Callable[[dict[str, Json]], tuple[T, Usage]]) -> T:
        """Return what `read` makes of the reply.

        Raises:
            Unanswerable: the server will not answer this request, or did not in all tries.
            Stopped: sending was stopped meanwhile.
            RunError: the server will not answer any request, or the budget is spent.
        """
        try:
            found = self._try_often(lambda: self._asked(call, read))
        except Unanswerable as error:
            if error.kind in {"connection", "timeout", "server", "rate_limit"}:
                self._count_lost(error)
            raise
        self._meter.lost = 0
        return found

    def _try_often(self, attempt: Callable[[], T]) -> T:
        for number in range(1, self._server.tries + 1):
            if self.stop.is_set():
                raise Stopped
            try:
                return attempt()
            except _Again as failed:
                asked_for = failed.pause or 0.0
                if number == self._server.tries or asked_for > LONGEST_ASKED:
                    raise Unanswerable(f"{failed}, {number} times", failed.kind) from failed
                if asked_for:
                    self._meter.pause(asked_for)
                pause = min(LONGEST_PAUSE, self._server.backoff * 2 ** (number - 1)) * self._dice.uniform(0.5, 1.0)
                self.stop.wait(max(pause, asked_for))
        raise Stopped

    def _asked(self, call: Call, read: Callable[[dict[str, Json]], tuple[T, Usage]]) -> T:
        reserved = self._meter.admit(call.expected, self.stop)
        if reserved is None:
            raise Stopped
        used = call.expected  # what fails may have been billed, unless the server says otherwise
        try:
            found, used = self._read(call, read)
            return found
        except _Again as failed:
            used = used if failed.billed else Usage()
            raise
        finally:
            self._meter.settle(reserved, used)

    def _read(self, call: Call, read: Callable[[dict[str, Json]], tuple[T, Usage]]) -> tuple[T, Usage]:
        url = f"{self._server.url}/{call.path}"
        if call.files is None:
            request = self._http.build_request("POST", url, json=dict(call.body))
        else:
            form = {name: str(value) for name, value in call.body.items()}
            request = self._http.build_request("POST", url, data=form, files=call.files)
        status, headers, content = self._sent(request)
        if status != 200:
            raise self._refused(status, headers, content)
        if self._server.key and self._server.key.encode() in content:
            raise Unanswerable("the reply holds the API key, and was dropped")
        try:
            return read(_parsed(content))
        except MalformedReply as error:
            raise _Again("malformed", f"the reply is malformed ({error})", billed=True) from error

    def _sent(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        """Return status, headers and body, read within the time and size that a reply may have."""
        deadline = time.monotonic() + self._server.timeout
        content = bytearray()
        try:
            response = self._http.send(request, stream=True)
            try:
                for piece in response.iter_bytes():
                    content += piece
                    if time.monotonic() > deadline:
                        raise _Again("timeout", f"no whole reply in {self._server.timeout:g} s", billed=True)
                    if len(content) > LARGEST_REPLY:
                        raise Unanswerable(f"the reply is larger than {LARGEST_REPLY:,} bytes")
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise _Again("timeout", f"no reply in {self._server.timeout:g} s", billed=True) from error
        except httpx.DecodingError as error:
            raise _Again("malformed", f"the reply cannot be decoded ({error})", billed=True) from error
        except (httpx.TransportError, RuntimeError) as error:
            if self.stop.is_set():
                raise Stopped from error
            raise _Again("connection", f"the connection broke ({self._told(str(error))})") from error
        return response.status_code, response.headers, bytes(content)

    def _refused(self, status: int, headers: httpx.Headers, content: bytes) -> Exception:
        """Return what an error status means: try again, a failure of this request, or the end of the run."""
        code, said = _error_of(content)
        message = f"HTTP {status}: {self._told(said)}" if said else f"HTTP {status}"
        if code in FILTERED:
            return Unanswerable(message, "content_filter")
        if code in OVER:
            return RunError(f"{self._server.url} says that the quota is spent ({message}); every answer is kept")
        if status in {408, 409, 425, 429} or status >= 500:
            return _Again("rate_limit" if status == 429 else "server", message, _retry_after(headers))
        if status in {401, 403}:
            return self._key_refused(status)
        if status in {404, 405} or status < 400:
            return RunError(f"{self._server.url} has no such model or endpoint ({message}); check -m and -a base_url")
        return Unanswerable(message, "rejected")

    def _key_refused(self, status: int) -> RunError:
        how = "refuses the key" if self._server.key else "wants a key, and none is set"
        return RunError(f"{self._server.url} {how} (HTTP {status}); see -a key_variable")

    def _told(self, said: str) -> str:
        plain = " ".join(said.split())
        return (plain.replace(self._server.key, "***") if self._server.key else plain)[:TOLD]

    def _count_lost(self, error: Unanswerable) -> None:
        self._meter.lost += 1
        if self._meter.lost >= LOST_IN_A_ROW:
            raise RunError(
                f"{self._server.url} left {self._meter.lost} requests in a row unanswered (last: {error}); "
                "every answer is kept, give the command again when it is well"
            ) from error


def _parsed(content: bytes) -> dict[str, Json]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _Again("malformed", f"the reply is not whole JSON ({error})", billed=True) from error
    if not isinstance(document, dict):
        raise _Again("malformed", "the reply is not a JSON object", billed=True)
    return document


def _error_of(content: bytes) -> tuple[str, str]:
    """Return the code and the message of an error reply, as far as it has them."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return "", ""
    error = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(error, dict):
        return "", str(error)
    return str(error.get("code") or ""), str(error.get("message") or "")


def _retry_after(headers: httpx.Headers) -> float | None:
    """Return the pause in seconds that the server asks for: a number, or a date."""
    text = headers.get("retry-after", "")
    if text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
