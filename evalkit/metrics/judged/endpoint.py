"""A judge behind an OpenAI-compatible address: what it is asked, what it says, and where that is kept.

    POST URL/chat/completions   {"model": ..., "temperature": 0, "messages": [one user message of text and pictures]}

What a judge said is kept raw, with its id and the date, in `judgements/KEY.json` of the cache: the key is the digest of
judge, prompt and pictures, so that scoring again asks nothing. A failure is not kept. The key for the address is read
from `$EVALKIT_JUDGE_KEY` and kept nowhere.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from evalkit.errors import CacheError, UsageError
from evalkit.images import encode_png, pixels
from evalkit.json_values import a_list, a_text, an_object
from evalkit.keys import digest
from evalkit.types import Failure, Image, Json
from evalkit.workspace import Workspace

KEY_VARIABLE = "EVALKIT_JUDGE_KEY"
SECONDS = 120.0
"""How long a judge may take for one answer."""
ATTEMPTS = 3
MAX_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge said, raw, and when: `date` is a day, `2026-01-31`."""

    text: str
    judge: str
    date: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A judge by its model id, at the address that `/chat/completions` is added to."""

    workspace: Workspace
    url: str
    model: str

    def require_named(self) -> None:
        """Return if both address and model are given.

        Raises:
            UsageError: one is not.
        """
        if not self.url or not self.model:
            raise UsageError(
                "these numbers need a judge: name it with -t judge=MODEL -t judge_url=http://HOST/v1 (any "
                f"OpenAI-compatible address; its key in ${KEY_VARIABLE}), or choose others with --metrics"
            )

    def ask(self, prompt: str, pictures: Sequence[Image]) -> Judgement | Failure:
        """Return what the judge says of the pictures, from the cache where it was asked before.

        Raises:
            UsageError: no judge is named.
            CacheError: a kept judgement is damaged, or cannot be written.
        """
        self.require_named()
        path = self._path(prompt, pictures)
        if path.is_file():
            return _read(path)
        said = self._asked(prompt, pictures)
        if isinstance(said, Judgement):
            _write(path, said, prompt, pictures)
        return said

    def _path(self, prompt: str, pictures: Sequence[Image]) -> Path:
        shown: list[Json] = [picture.digest for picture in pictures]
        key = digest({"judge": self.model, "url": self.url, "prompt": prompt, "pictures": shown, "temperature": 0})
        return self.workspace.cache / "judgements" / f"{key}.json"

    def _asked(self, prompt: str, pictures: Sequence[Image]) -> Judgement | Failure:
        if self.workspace.offline and not self.url.startswith(("http://127.0.0.1", "http://localhost")):
            return Failure("offline", "the network is forbidden by --offline or EVALKIT_OFFLINE")
        content: list[Json] = [{"type": "text", "text": prompt}]
        for picture in pictures:
            data = base64.b64encode(encode_png(pixels(picture))).decode("ascii")
            content.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})
        body: Json = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
            "messages": [{"role": "user", "content": content}],
        }
        failure = Failure("unreachable", "the judge was not asked")
        for _ in range(ATTEMPTS):
            said = self._once(body)
            if isinstance(said, Judgement) or said.kind == "refused":
                return said
            failure = said
        return failure

    def _once(self, body: Json) -> Judgement | Failure:
        key = os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            address = f"{self.url.rstrip('/')}/chat/completions"
            answer = httpx.post(address, json=body, headers=headers, timeout=SECONDS)
        except httpx.HTTPError as error:
            return Failure("unreachable", f"{self.url} does not answer ({error!r})")
        if answer.status_code >= 400:
            kind = "refused" if answer.status_code in {400, 401, 403, 404, 422} else "unreachable"
            return Failure(kind, f"{self.url} answered {answer.status_code}: {answer.text[:200]}")
        try:
            document = an_object(answer.json())
            message = an_object(an_object(a_list(document["choices"])[0])["message"])
            text = a_text(message["content"])
            judge = a_text(document.get("model", self.model))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return Failure("malformed", f"{self.url} answered no chat completion ({error!r})")
        return Judgement(text, judge, datetime.datetime.now(datetime.UTC).date().isoformat())


def _read(path: Path) -> Judgement:
    try:
        held = an_object(json.loads(path.read_text(encoding="utf-8")))
        return Judgement(a_text(held["text"]), a_text(held["judge"]), a_text(held["date"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(f"the judgement {path} is damaged ({error!r}); delete it to ask the judge again") from error


def _write(path: Path, said: Judgement, prompt: str, pictures: Sequence[Image]) -> None:
    shown: list[Json] = [picture.digest for picture in pictures]
    document: Json = {
        "text": said.text,
        "judge": said.judge,
        "date": said.date,
        "prompt": prompt,
        "pictures": shown,
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise CacheError(f"{path} cannot be written ({error}); free disk space or name another cache") from error
