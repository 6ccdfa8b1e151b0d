"""Laws of keys: every field of a request reaches the key, and nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.keys import canonical_json, digest, noun_json, request_key, sample_seed
from evalkit.types import Box, Boxes, Image, JsonScalar, LabelMap, Mask, Request, Text

IDENTITY: dict[str, JsonScalar] = {"model": "m", "weights": "w"}
PICTURE = Image("a" * 64, 4, 4)
REQUEST = Request("t@1", "s", "text-to-image", (Text("a red block"), PICTURE), seed=1)
OTHER: dict[str, Any] = {
    "task": "t@2",
    "sample_id": "s2",
    "job": "captioning",
    "parts": (Text("a blue block"), PICTURE),
    "seed": 2,
    "best_of": 8,
    "max_tokens": 1,
    "temperature": 0.5,
    "top_p": 0.9,
    "guidance": 3.0,
    "image_guidance": 1.5,
    "steps": 20,
    "width": 64,
    "height": 64,
    "negative_prompt": "blurry",
    "stop": ("\n",),
    "extra": (("scheduler", "ddim"),),
}


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Request)])
def test_every_field_of_a_request_reaches_the_key(name: str) -> None:
    changed = dataclasses.replace(REQUEST, **{name: OTHER[name]})
    assert request_key(IDENTITY, changed) != request_key(IDENTITY, REQUEST)


def test_another_model_has_another_key() -> None:
    assert request_key({**IDENTITY, "weights": "v"}, REQUEST) != request_key(IDENTITY, REQUEST)


def test_where_pixels_are_stored_does_not_reach_the_key() -> None:
    stored = dataclasses.replace(REQUEST, parts=(REQUEST.parts[0], dataclasses.replace(PICTURE, content=b"x")))
    assert request_key(IDENTITY, stored) == request_key(IDENTITY, REQUEST)


def test_each_kind_of_part_has_its_own_form() -> None:
    parts = (
        Text("x"),
        PICTURE,
        Boxes((Box("cat", 0, 0, 1, 1),), 4, 4),
        Mask(PICTURE),
        LabelMap(PICTURE, ((1, "sky"),)),
    )
    forms = {canonical_json(noun_json(part)) for part in parts}
    assert len(forms) == len(parts)


def test_the_key_of_a_known_request_never_changes() -> None:
    assert request_key(IDENTITY, REQUEST) == "74010b3c9e3797921dec56745b10786a23728c07c199e7705da511fbb43816d4"


def test_numbers_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest(float("nan"))
    with pytest.raises(TypeError, match="bytes has no canonical JSON form"):
        noun_json(b"x")


@given(st.text(), st.text(), st.integers(0, 100), st.integers(0, 2**31))
def test_seeds_depend_on_all_four_and_fit_a_generator(task: str, sample: str, repeat: int, run: int) -> None:
    seed = sample_seed(task, sample, repeat, run)
    assert 0 <= seed < 2**63
    assert seed == sample_seed(task, sample, repeat, run)
    neighbours = {
        sample_seed(task + "x", sample, repeat, run),
        sample_seed(task, sample + "x", repeat, run),
        sample_seed(task, sample, repeat + 1, run),
        sample_seed(task, sample, repeat, run + 1),
    }
    assert seed not in neighbours
    assert len(neighbours) == 4
