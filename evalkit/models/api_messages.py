"""Requests as OpenAI's protocol writes them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from evalkit.images import encode_png, pixels
from evalkit.models.api_client import Call
from evalkit.models.knobs import Unanswerable, require_known
from evalkit.models.limits import Usage
from evalkit.models.prompts import Prompts
from evalkit.types import Image, Json, JsonScalar, Mask, Request, Text

CHAT_FIELDS = frozenset({"max_tokens", "temperature", "top_p", "stop", "extra"})
IMAGE_KNOBS: Mapping[str, Mapping[str, str]] = {
    "none": {},
    "diffusers": {
        "steps": "num_inference_steps",
        "guidance": "guidance_scale",
        "negative_prompt": "negative_prompt",
    },
}
"""Fields of a request for a picture by the names that a family of servers takes; OpenAI itself takes none."""
CHARACTERS_A_TOKEN = 3
TOKENS_A_PICTURE = 1100
UNBOUNDED_ANSWER = 512
"""Tokens that an answer without a limit is expected to take, for budgets and rates."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How requests are written; all of it can change an answer."""

    prompts: Prompts
    limit_name: str
    detail: str
    image_knobs: str
    image_format: str
    extra: str
    """Canonical JSON of further fields of every body; empty for none."""
    served: str
    """Name that replies must come from; empty for any."""

    @property
    def identity(self) -> dict[str, JsonScalar]:
        """All of it."""
        return {
            **self.prompts.identity,
            "limit_name": self.limit_name,
            "detail": self.detail,
            "image_knobs": self.image_knobs,
            "extra": self.extra,
            "served": self.served,
        }

    def further(self, request: Request) -> dict[str, Json]:
        """Return the fields that the user, and the task for this model, add to the body."""
        fields: dict[str, Json] = json.loads(self.extra) if self.extra else {}
        return {**fields, **dict(request.extra)}


def chat_call(model: str, request: Request, wording: Wording) -> Call:
    """Return the chat that asks `request`.

    Raises:
        Unanswerable: it sets a knob, or holds a part, that a chat has no place for.
    """
    require_known(request, CHAT_FIELDS)
    pieces = wording.prompts.pieces(request)
    detail: dict[str, Json] = {"detail": wording.detail} if wording.detail else {}
    content: list[Json] = [
        {"type": "text", "text": piece}
        if isinstance(piece, str)
        else {"type": "image_url", "image_url": {"url": _data_url(piece), **detail}}
        for piece in pieces
    ]
    turns: list[Json] = [{"role": "user", "content": content}]
    if wording.prompts.system:
        turns.insert(0, {"role": "system", "content": wording.prompts.system})
    body: dict[str, Json] = {"model": model, "messages": turns, "seed": request.seed % 2**31}
    knobs: dict[str, Json] = {
        wording.limit_name: request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": list(request.stop) or None,
    }
    body.update({name: value for name, value in knobs.items() if value is not None})
    letters = sum(len(piece) for piece in pieces if isinstance(piece, str)) + len(wording.prompts.system)
    shown = sum(isinstance(piece, Image) for piece in pieces)
    read = letters // CHARACTERS_A_TOKEN + TOKENS_A_PICTURE * shown
    expected = Usage(read, request.max_tokens or UNBOUNDED_ANSWER)
    return Call("chat/completions", {**body, **wording.further(request)}, expected=expected)


def picture_call(model: str, request: Request, wording: Wording) -> Call:
    """Return the wish for a picture of the request's words.

    Raises:
        Unanswerable: it sets a knob that this server is not known to have, or holds something else than words.
    """
    body = _picture_body(model, request, wording)
    if any(not isinstance(part, Text) for part in request.parts):
        raise Unanswerable("a request for a picture from words alone holds something else")
    return Call("images/generations", body, expected=_picture_usage(body))


def edit_call(model: str, request: Request, wording: Wording) -> Call:
    """Return the wish for an edit of the request's picture, inside its mask where it has one.

    Raises:
        Unanswerable: see `picture_call`; or it has no picture, or more than one.
    """
    body = _picture_body(model, request, wording)
    sources = [part for part in request.parts if isinstance(part, Image) and part.role != "mask"]
    masks = [part.image for part in request.parts if isinstance(part, Mask)]
    masks += [part for part in request.parts if isinstance(part, Image) and part.role == "mask"]
    if len(sources) != 1 or len(masks) > 1:
        raise Unanswerable(f"an edit takes one picture and at most one mask, not {len(sources)} and {len(masks)}")
    files = {"image": ("image.png", encode_png(pixels(sources[0])), "image/png")}
    if masks:
        files["mask"] = ("mask.png", _transparent(sources[0], masks[0]), "image/png")
    return Call("images/edits", body, files, _picture_usage(body))


def _picture_body(model: str, request: Request, wording: Wording) -> dict[str, Json]:
    knobs = IMAGE_KNOBS[wording.image_knobs]
    require_known(request, {"width", "height", "extra", *knobs})
    if (request.width is None) != (request.height is None):
        raise Unanswerable(f"width={request.width} and height={request.height}: name both or neither")
    words = " ".join(part.text for part in request.parts if isinstance(part, Text))
    body: dict[str, Json] = {"model": model, "prompt": words, "n": 1}
    if request.width is not None:
        body["size"] = f"{request.width}x{request.height}"
    if wording.image_format != "none":
        body["response_format"] = wording.image_format
    if knobs:
        body["seed"] = request.seed % 2**31
    body.update({to: getattr(request, name) for name, to in knobs.items() if getattr(request, name) is not None})
    return {**body, **wording.further(request)}


def _picture_usage(body: Mapping[str, Json]) -> Usage:
    return Usage(read=len(str(body["prompt"])) // CHARACTERS_A_TOKEN, pictures=1)


def _data_url(image: Image) -> str:
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels(image))).decode("ascii")


def _transparent(source: Image, mask: Image) -> bytes:
    """Return the source as a PNG that is transparent where the mask is white: how the protocol marks what to edit."""
    inside = pixels(mask)
    if inside.shape != (source.height, source.width, 3):
        raise Unanswerable(f"the mask is {mask.width} x {mask.height}, its picture {source.width} x {source.height}")
    alpha = np.where(inside.max(axis=2, keepdims=True) > 127, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    PillowImage.fromarray(np.concatenate([pixels(source), alpha], axis=2)).save(file, "PNG")
    return file.getvalue()
