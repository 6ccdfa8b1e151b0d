"""Replies of OpenAI's protocol as answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from evalkit.errors import DataError
from evalkit.images import read_image
from evalkit.json_values import a_list, a_text, a_whole_number, an_object
from evalkit.models.api_client import MalformedReply
from evalkit.models.knobs import Unanswerable
from evalkit.models.limits import Usage
from evalkit.types import Generation, Json, Request, Text

DATA_URL = "base64,"


def chat_answer(served: str) -> Callable[[dict[str, Json]], tuple[Generation, Usage]]:
    """Return what reads a chat's reply; `served` is the name that it must come from, empty for any."""

    def read(document: dict[str, Json]) -> tuple[Generation, Usage]:
        if served and document.get("model") != served:
            raise Unanswerable(f"the reply is from {document.get('model')!r}, not from {served!r}", "wrong_model")
        try:
            chosen = an_object(a_list(document["choices"])[0])
            message = an_object(chosen["message"])
            finish = chosen.get("finish_reason")
            refusal, content = message.get("refusal"), message.get("content")
            if finish == "content_filter":
                raise Unanswerable("the server's content filter held the answer back", "content_filter")
            if refusal:
                raise Unanswerable(a_text(refusal), "refusal")
            text = a_text(content if content is not None or finish != "length" else "").strip()
        except (KeyError, IndexError, TypeError) as error:
            raise MalformedReply(repr(error)[:200]) from error
        if not text and finish == "length":
            raise Unanswerable("the limit of tokens was reached before the first word; raise max_tokens", "length")
        return Generation((Text(text),), "length" if finish == "length" else "stop"), _usage(document, 0)

    return read


def picture_answer(request: Request) -> Callable[[dict[str, Json]], tuple[Generation, Usage]]:
    """Return what reads the reply to a wish for a picture, which must have the size that was asked for."""

    def read(document: dict[str, Json]) -> tuple[Generation, Usage]:
        try:
            made = an_object(a_list(document["data"])[0])
            encoded = made.get("b64_json") or made.get("url")
            content = _decoded(a_text(encoded))
            picture = read_image(content, "the picture in the reply", "generated")
        except (KeyError, IndexError, TypeError, DataError, binascii.Error) as error:
            raise MalformedReply(repr(error)[:200]) from error
        if request.width is not None and (request.width, request.height) != (picture.width, picture.height):
            wanted, got = f"{request.width} x {request.height}", f"{picture.width} x {picture.height}"
            raise Unanswerable(f"asked for a picture of {wanted} pixels, got {got}", "wrong_size")
        return Generation((picture,)), _usage(document, 1)

    return read


def _decoded(text: str) -> bytes:
    if text.startswith(("http://", "https://")):
        raise Unanswerable("the server names an address for the picture, which is not followed; see -a response_format")
    return base64.b64decode(text.partition(DATA_URL)[2] if text.startswith("data:") else text, validate=True)


def _usage(document: dict[str, Json], pictures: int) -> Usage:
    """Return the tokens that the reply says were used; none where it does not say."""
    said = document.get("usage")
    if not isinstance(said, dict):
        return Usage(pictures=pictures)
    try:
        read = a_whole_number(said.get("prompt_tokens", said.get("input_tokens", 0)))
        written = a_whole_number(said.get("completion_tokens", said.get("output_tokens", 0)))
    except TypeError:
        return Usage(pictures=pictures)
    return Usage(read, written, pictures)
