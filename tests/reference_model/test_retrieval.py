"""Retrieval: the best documents that satisfy the criteria, the same for any batch, and a store that notices damage."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cm3leon.retrieval import (
    MOST,
    ClipEmbedder,
    Criteria,
    DocumentStore,
    Index,
    clip_embedder,
    document_vectors,
    dropped,
    neighbours,
    normalised,
    read_documents,
)

Reals = npt.NDArray[np.float64]

# whole numbers: sums are exact in any order, and ties are many
GRID = hnp.arrays(np.float64, st.tuples(st.integers(1, 150), st.just(3)), elements=st.integers(-3, 3))
ASKED = hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=st.integers(-3, 3))


def by_hand(query: Reals, documents: Reals, k: int, criteria: Criteria, barred: int = -1) -> list[int]:
    """Go through all documents by falling score, lowest number first among equals."""
    scores = documents @ query
    taken: list[int] = []
    for number in sorted(range(len(documents)), key=lambda n: (-scores[n], n)):
        fits = scores[number] <= criteria.closest and number != barred
        if fits and all(documents[number] @ documents[other] <= criteria.alike for other in taken):
            taken.append(number)
    return (taken + [-1] * k)[:k]


def unit(count: int, seed: int, width: int = 16) -> npt.NDArray[np.float32]:
    return normalised(np.random.default_rng(seed).normal(size=(count, width)))


def store(count: int = 6) -> DocumentStore:
    codes = np.random.default_rng(1).integers(0, 1024, (count, 4))
    return DocumentStore([f"{number} rote Sterne über Ringen" for number in range(count)], codes, unit(count, 2))


def test_a_documents_vector_is_the_normalised_mean_of_both_sides() -> None:
    found = document_vectors([[3.0, 0.0], [0.0, 2.0]], [[0.0, 0.5], [0.0, 7.0]])
    assert np.allclose(found, [[0.5**0.5, 0.5**0.5], [0.0, 1.0]])
    assert np.allclose(np.linalg.norm(document_vectors(unit(9, 0) * 5, unit(9, 1)), axis=1), 1)


def test_vectors_without_a_direction_are_refused() -> None:
    with pytest.raises(ValueError, match="none of them zero"):
        document_vectors([[1.0, 0.0]], [[-2.0, 0.0]])
    for bad in ([[0.0, 0.0]], [[np.nan, 1.0]], [[np.inf, 1.0]], [1.0, 2.0]):
        with pytest.raises(ValueError, match="finite"):
            normalised(bad)
    with pytest.raises(ValueError, match="one of each"):
        document_vectors(unit(3, 0), unit(2, 0))


@settings(deadline=None, max_examples=150)
@given(ASKED, GRID, st.integers(0, 4), st.integers(-4, 12), st.integers(-4, 20))
def test_the_greedy_choice_is_that_of_going_through_all(
    queries: Reals, documents: Reals, k: int, closest: int, alike: int
) -> None:
    criteria = Criteria(closest, alike)
    barred = np.arange(len(queries)) % len(documents)
    found = Index(documents).taken(queries, k, criteria, barred)
    for query, row, never in zip(queries, found.tolist(), barred.tolist(), strict=True):
        assert row == by_hand(query, documents, k, criteria, never)


def test_real_vectors_are_searched_as_by_hand() -> None:
    documents, queries = unit(700, 3, width=5), unit(12, 4, width=5)
    found = Index(documents).taken(queries, 6, Criteria())
    wanted = [by_hand(query, documents.astype(np.float64), 6, Criteria()) for query in queries.astype(np.float64)]
    assert found.tolist() == wanted


@pytest.mark.parametrize("count", [3, 70, 500, 3000])
def test_what_stands_behind_a_crowd_of_copies_is_found(count: int) -> None:
    documents = np.concatenate([np.tile([[0.8, 0.6]], (count, 1)), [[0.5, -0.5], [0.0, 1.0], [0.99, 0.0]]])
    found = Index(documents).taken([[1.0, 0.0]], 4, Criteria())
    assert found.tolist() == [[0, count, count + 1, -1]]


def test_equals_come_by_number_and_the_bounds_themselves_are_allowed() -> None:
    documents = np.array([[2.0, 0.0], [1.0, 1.0], [1.0, -1.0], [1.0, 1.0], [3.0, 0.0]])
    asked = [[1.0, 0.0]]
    assert Index(documents).taken(asked, 5, Criteria(3, 9)).tolist() == [[4, 0, 1, 2, 3]]
    assert Index(documents).taken(asked, 3, Criteria(2, 2)).tolist() == [[0, 1, 2]]
    assert Index(documents).taken(asked, 3, Criteria(1, 1)).tolist() == [[1, 2, -1]]
    assert Index(documents).taken(asked, 3, Criteria(1, 1), np.array([1])).tolist() == [[2, 3, -1]]


def test_no_answer_depends_on_the_batch() -> None:
    rng = np.random.default_rng(5)
    documents = np.repeat(unit(150, 6, width=128), 2, axis=0)  # each one twice: the last bit decides
    documents = np.concatenate([documents, normalised(documents + rng.normal(size=documents.shape) * 1e-7)])
    queries, index = unit(100, 7, width=128), Index(documents)
    whole = index.taken(queries, 3, Criteria(alike=2.0))
    alone = np.concatenate([index.taken(query[None], 3, Criteria(alike=2.0)) for query in queries])
    assert np.array_equal(whole, alone)
    assert np.array_equal(index.taken(queries[::-1], 3, Criteria(alike=2.0))[::-1], whole)


def test_what_is_taken_satisfies_the_criteria() -> None:
    documents, queries = unit(400, 8, width=3), unit(30, 9, width=3)
    found = Index(documents).taken(queries, 4, Criteria())
    for query, row in zip(queries, found, strict=True):
        scores = documents[row] @ query
        among = documents[row] @ documents[row].T - 2 * np.eye(4)
        assert (row >= 0).all() and (np.diff(scores) <= 1e-6).all()
        assert scores.max() <= 0.9 and among.max() <= 0.9


def test_a_record_is_not_its_own_neighbour() -> None:
    texts, pictures = unit(80, 10, width=6), unit(80, 11, width=6)
    documents = document_vectors(texts, pictures)
    found = neighbours(texts, documents, k=4)
    rows = enumerate(zip(texts.astype(np.float64), found.tolist(), strict=True))
    for number, (query, row) in rows:
        assert row == by_hand(query, documents.astype(np.float64), 4, Criteria(), number)
    assert not (found == np.arange(80)[:, None]).any()
    with pytest.raises(ValueError, match="one of each a record"):
        neighbours(texts[:5], documents)


def test_a_search_that_makes_no_sense_is_refused() -> None:
    index = Index(unit(5, 0))
    for queries, k in ((unit(2, 0), -1), (unit(2, 0, width=4), 1), (unit(2, 0)[0], 1), (np.full((1, 16), np.nan), 1)):
        with pytest.raises(ValueError, match="ask for 0 or more"):
            index.taken(queries, k, Criteria())
    with pytest.raises(ValueError, match="finite numbers"):
        Index(np.full((2, 3), np.inf))
    with pytest.raises(ValueError, match="must be numbers"):
        Criteria(closest=float("nan"))


@given(st.lists(st.integers(), max_size=30), st.floats(0, 1), st.integers())
def test_query_dropout_keeps_the_order_and_drops_its_share(query: list[int], share: float, seed: int) -> None:
    marked = list(enumerate(query))
    found = dropped(marked, share, random.Random(seed))
    assert found == dropped(marked, share, random.Random(seed))
    assert found == [token for token in marked if token in found]
    assert len(found) == max(len(query) - round(share * len(query)), min(1, len(query)))


def test_query_dropout_reaches_every_token_alike() -> None:
    counts = np.zeros(10)
    for seed in range(2_000):
        counts[dropped(range(10), 0.2, random.Random(seed))] += 1
    assert np.allclose(counts / 2_000, 0.8, atol=0.05)
    with pytest.raises(ValueError, match="lies in"):
        dropped([1], 1.1, random.Random(0))


def test_a_store_answers_with_its_documents() -> None:
    held = store()
    queries = unit(4, 12)
    vectors = unit(6, 2).astype(np.float16).astype(np.float64)
    wanted = [tuple(n for n in by_hand(q, vectors, 2, Criteria()) if n >= 0) for q in queries.astype(np.float64)]
    assert held.retrieve(queries) == wanted
    assert held.retrieve(queries, 1) == [found[:1] for found in wanted]
    assert held.retrieve(queries, 0) == [()] * 4
    assert held.retrieve(queries, 2, Criteria(closest=-2)) == [()] * 4
    caption, codes = held.document(3)
    assert caption == "3 rote Sterne über Ringen"
    assert codes == tuple(np.random.default_rng(1).integers(0, 1024, (6, 4))[3])


def test_no_more_than_two_documents_stand_before_a_query() -> None:
    for k in (-1, MOST + 1):
        with pytest.raises(ValueError, match=f"k is {k}; at most 2"):
            store().retrieve(unit(1, 0), k)
    for number in (-1, 6):
        with pytest.raises(ValueError, match=f"document {number} lies outside 0 to 5"):
            store().document(number)


def test_an_empty_store_answers_nothing() -> None:
    empty = DocumentStore([], np.empty((0, 4), np.uint16), np.empty((0, 16)))
    assert empty.retrieve(unit(3, 0)) == [(), (), ()] and len(empty) == 0


def test_every_document_has_words_and_a_picture() -> None:
    vectors = unit(2, 0)
    with pytest.raises(ValueError, match="document 1 lacks words or a picture"):
        DocumentStore(["a", " "], np.zeros((2, 4), int), vectors)
    with pytest.raises(ValueError, match="document 0 lacks words or a picture"):
        DocumentStore(["a", "b"], np.zeros((2, 0), int), vectors)
    with pytest.raises(ValueError, match="one of each a document"):
        DocumentStore(["a"], np.zeros((2, 4), int), vectors)
    for codes in ([[-1], [0]], [[65_536], [0]], [[0.5], [0.0]], [0, 1]):
        with pytest.raises(ValueError, match="whole numbers"):
            DocumentStore(["a", "b"], codes, vectors)
    assert DocumentStore(["a", "b"], [[65_535], [0]], vectors).document(0) == ("a", (65_535,))


def test_a_saved_store_comes_back(tmp_path: Path) -> None:
    held, path = store(), tmp_path / "documents.npz"
    held.save(path)
    back = read_documents(path)
    assert back.digest == held.digest and len(back) == len(held) == 6
    assert [back.document(n) for n in range(6)] == [held.document(n) for n in range(6)]
    assert back.retrieve(unit(9, 4)) == held.retrieve(unit(9, 4))
    assert [entry.name for entry in tmp_path.iterdir()] == ["documents.npz"]
    first = path.read_bytes()
    back.save(path)
    assert path.read_bytes() == first


def test_the_digest_tells_any_two_stores_apart() -> None:
    captions, codes, vectors = ["a", "b"], np.array([[1, 2], [3, 4]]), unit(2, 0)
    others = [
        DocumentStore(captions, codes, vectors),
        DocumentStore(["a", "c"], codes, vectors),
        DocumentStore(captions, codes + 1, vectors),
        DocumentStore(captions, codes, vectors[::-1]),
        DocumentStore(captions[:1], codes.reshape(1, 4), vectors.reshape(1, 32)),
    ]
    assert len({other.digest for other in others}) == 5
    assert DocumentStore(captions, codes, vectors).digest == others[0].digest


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_truncated_store_is_named(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("store") / "documents.npz"
    store().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match=r"documents\.npz is not a store of documents"):
        read_documents(path)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("store") / "documents.npz"
    held = store()
    held.save(path)
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    try:
        assert read_documents(path).digest == held.digest
    except ValueError as error:
        assert str(path) in str(error)


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "documents.npz"
    words = np.frombuffer(json.dumps(["a"]).encode(), np.uint8)
    good = {"captions": words, "codes": np.zeros((1, 4), np.uint16), "vectors": unit(1, 0)}
    pickled = np.array([{"a": 1}], dtype=object)
    for change in ({"codes": pickled}, {"captions": np.frombuffer(b"[1]", np.uint8)}, {"captions": words[:2]}):
        np.savez(path, **{**good, **change})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="is not a store of documents"):
            read_documents(path)
    np.savez(path, captions=words)
    with pytest.raises(ValueError, match="is not a store of documents"):
        read_documents(path)
    with pytest.raises(ValueError, match=r"absent\.npz is not a store of documents"):
        read_documents(tmp_path / "absent.npz")


def test_two_thousand_documents_take_less_than_a_megabyte(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["red", "blue", "striped", "small", "ring", "star", "above", "below", "left", "right"]
    captions = [f"A {' '.join(rng.choice(words, 14))} on a mint gradient background." for _ in range(2_000)]
    DocumentStore(captions, rng.integers(0, 1024, (2_000, 64)), unit(2_000, 1, width=128)).save(tmp_path / "documents")
    assert (tmp_path / "documents").stat().st_size < 1_000_000


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random CLIP, saved as transformers saves it."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    pieces = [
        "<|startoftext|>",
        "<|endoftext|>",
        *(c + end for c in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")),
    ]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**shape, "vocab_size": len(pieces), "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 1}
    torch.manual_seed(0)
    vision = {**shape, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=10)
    CLIPModel(config).save_pretrained(folder)
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def test_clip_embeds_as_transformers_does(clip_folder: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    embedder = clip_embedder(str(clip_folder))
    pictures = [np.random.default_rng(n).integers(0, 256, (20 + n, 30, 3), np.uint8) for n in range(3)]
    texts = ["red star", "a", "blue ring"]
    model, processor = CLIPModel.from_pretrained(clip_folder), CLIPProcessor.from_pretrained(clip_folder)
    inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = model(**inputs)
    assert embedder.dimension == 10
    assert np.allclose(embedder.texts(texts), wanted.text_embeds.numpy(), atol=1e-5)
    assert np.allclose(embedder.pictures(pictures), wanted.image_embeds.numpy(), atol=1e-5)
    assert np.array_equal(embedder.texts(texts)[1:], embedder.texts(texts[1:]))
    assert embedder.texts([]).shape == embedder.pictures([]).shape == (0, 10)


def test_a_text_that_clip_cannot_read_whole_is_refused(clip_folder: Path) -> None:
    embedder: ClipEmbedder = clip_embedder(str(clip_folder))
    assert embedder.texts(["a b c d e f g h i j"]).shape == (1, 10)
    with pytest.raises(ValueError, match="13 tokens is longer than CLIP's 12"):
        embedder.texts(["a b c d e f g h i j k"])


def test_a_folder_without_a_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no CLIP"):
        clip_embedder(str(tmp_path / "absent"))
