"""A miss is explained by exactly the fields that make the key another one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from evalkit.cache import Absent, Cache, Difference, Miss, why
from evalkit.cache.misses import differences
from evalkit.keys import key_document, request_key
from evalkit.types import Generation, Json, JsonScalar, Request, Text
from tests.evalkit.cache.entries import IDENTITY, commit, key, request


def test_an_answered_request_has_no_difference(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache)
        miss = why(cache, IDENTITY, request())
        assert miss == Miss(key(), key(), ()) and miss.answered


def test_each_differing_field_is_named_with_both_values(tmp_path: Path) -> None:
    asked = dataclasses.replace(request(), seed=7, guidance=3.0, parts=(Text("another"),), extra=(("eta", 0.5),))
    with Cache(tmp_path) as cache:
        commit(cache)
        miss = why(cache, {**IDENTITY, "weights": "1" * 64, "dtype": "bf16"}, asked)
    assert miss.nearest == key() and not miss.answered
    assert miss.differences == (
        Difference("model.dtype", "bf16", Absent()),
        Difference("model.weights", "1" * 64, "0" * 64),
        Difference("request.extra.eta", 0.5, Absent()),
        Difference("request.guidance", 3.0, None),
        Difference("request.parts.0.text", "another", "picture 0"),
        Difference("request.seed", 7, 0),
    )


def test_the_nearest_entry_is_the_one_with_the_fewest_differences(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        for changed in ({"steps": 5}, {"steps": 5, "seed": 5}, {"steps": 5, "seed": 5, "width": 5}):
            cache.commit(IDENTITY, dataclasses.replace(request(), **changed), Generation(()))  # type: ignore[arg-type]
        miss = why(cache, IDENTITY, dataclasses.replace(request(), seed=5, width=5))
    assert [d.field for d in miss.differences] == ["request.steps"]


def test_another_version_of_the_task_is_compared_where_the_task_has_no_answer(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache)
        miss = why(cache, IDENTITY, request(task="tiny@2"))
    assert miss.differences == (Difference("request.task", "tiny@2", "tiny@1"),)


def test_a_sample_of_which_nothing_is_stored_has_no_nearest_entry(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        commit(cache, 1)
        assert why(cache, IDENTITY, request(0)) == Miss(key(0), None, ())


scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(-3, 3), st.text(max_size=2))
requests = st.builds(
    Request,
    st.just("tiny@1"),
    st.just("s0"),
    st.just("vqa"),
    st.lists(st.builds(Text, st.text(max_size=2)), max_size=2).map(tuple),
    st.integers(0, 2),
    guidance=st.one_of(st.none(), st.sampled_from([1, 1.0, 2.0, True])),
    stop=st.lists(st.text(max_size=2), max_size=2).map(tuple),
    extra=st.dictionaries(st.text(max_size=2), scalars, max_size=2).map(lambda d: tuple(sorted(d.items()))),
)
identities = st.dictionaries(st.sampled_from(["model", "weights", "dtype"]), scalars, max_size=3)


@given(identities, requests, identities, requests)
def test_keys_differ_just_when_a_difference_is_named(
    left: dict[str, JsonScalar], asked: Request, right: dict[str, JsonScalar], stored: Request
) -> None:
    named = differences(key_document(left, asked), key_document(right, stored))
    assert bool(named) == (request_key(left, asked) != request_key(right, stored))


def test_one_and_true_and_a_float_of_one_are_different_values() -> None:
    documents: list[dict[str, Json]] = [{"a": 1}, {"a": 1.0}, {"a": True}]
    assert all(bool(differences(a, b)) == (a is not b) for a in documents for b in documents)
