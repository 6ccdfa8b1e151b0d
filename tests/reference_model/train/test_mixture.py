"""Documents of the mixture: the same for the same number, weighed where an answer stands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cm3leon.objective import Specials, unmask
from cm3leon.train.mixture import WORD_SHARE, Mixture
from cm3leon.train.shards import Shards
from cm3leon.vocab import Vocabulary, trained_vocabulary

KINDS = ("text-to-image", "captioning", "vqa", "editing", "edges", "depth", "segmentation", "boxes")
CELLS = 4
CAPTIONS = ["A star.", "One star."]
QUESTIONS = [["How many?", "1"], ["Is it red?", "no"], ["Where?", "left"]]
WORDS = {
    "captions": CAPTIONS,
    "questions": QUESTIONS,
    "instruction": "Remove it.",
    "boxes": [["star", [1, 2, 3, 4]]],
}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return trained_vocabulary([json.dumps(WORDS)], 280, codes=40, sentinels=8)


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Two records whose code 20 r + 4 p + c stands at cell c of picture p of record r; the second has no edit."""
    codes = np.arange(40, dtype=np.uint16).reshape(2, 5, CELLS)
    np.save(tmp_path / "shard-0000.npy", codes)
    lines = [WORDS, {**WORDS, "instruction": None}]
    (tmp_path / "shard-0000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Shards(tmp_path)


def test_records_are_read_as_they_were_written(shards: Shards) -> None:
    first, second = shards.record(0), shards.record(3)
    assert first.picture.tolist() == [0, 1, 2, 3] and first.edited is not None
    assert first.edges is not None and first.segmentation is not None and second.depth is not None
    assert first.edges.tolist() == [4, 5, 6, 7] and first.segmentation.tolist() == [12, 13, 14, 15]
    assert first.edited.tolist() == [16, 17, 18, 19] and first.instruction == "Remove it."
    assert second.depth.tolist() == [28, 29, 30, 31] and second.edited is None
    assert first.boxes == (("star", (1, 2, 3, 4)),)


def test_pictures_that_were_left_out_are_none_and_never_drawn(tmp_path: Path, vocabulary: Vocabulary) -> None:
    codes = np.full((2, 5, CELLS), 2**16 - 1, np.uint16)
    codes[:, 0], codes[1] = 7, 9
    np.save(tmp_path / "shard-0000.npy", codes)
    (tmp_path / "shard-0000.jsonl").write_text(2 * (json.dumps(WORDS) + "\n"), encoding="utf-8")
    shards = Shards(tmp_path)
    bare = shards.record(0)
    assert (bare.edges, bare.depth, bare.segmentation, bare.edited) == (None, None, None, None)
    for kind in ("editing", "edges", "depth", "segmentation"):
        mixture = Mixture(shards, vocabulary, {kind: 1.0})
        drawn = [token for i in range(20) for token in mixture.example(i).ids if token in vocabulary.codes]
        assert set(vocabulary.image_codes(drawn)) == {9}


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="prepare"):
        Shards(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_answer_weighs(shards: Shards, vocabulary: Vocabulary, kind: str) -> None:
    mixture = Mixture(shards, vocabulary, {kind: 1.0})
    for number in range(30):
        example = mixture.example(number)
        assert len(example.ids) == len(example.weights)
        asked = [token for token, weight in zip(example.ids, example.weights, strict=True) if weight]
        if kind in {"captioning", "vqa"}:
            told = vocabulary.decode(token for token in asked if vocabulary.is_text(token))
            wanted = CAPTIONS if kind == "captioning" else [answer for _, answer in QUESTIONS]
            assert any(f" {words}" in told for words in wanted) and "Question" not in told
            assert {weight for weight in example.weights if weight} == {4 * WORD_SHARE}
        else:
            codes = vocabulary.image_codes(asked)
            assert codes[0] in ({16} if kind == "editing" else {0, 20}) and codes == list(range(codes[0], codes[0] + 4))


def test_a_document_depends_on_its_number_alone(shards: Shards, vocabulary: Vocabulary) -> None:
    shares = dict.fromkeys(KINDS, 1.0)
    one, other = Mixture(shards, vocabulary, shares), Mixture(shards, vocabulary, shares)
    backwards = [other.example(number) for number in reversed(range(40))]
    assert [one.example(number) for number in range(40)] == backwards[::-1]
    assert [Mixture(shards, vocabulary, shares, seed=1).example(i) for i in range(40)] != backwards[::-1]


def test_shares_are_kept(shards: Shards, vocabulary: Vocabulary) -> None:
    mixture = Mixture(shards, vocabulary, {"vqa": 0.75, "boxes": 0.25})
    kinds = [mixture.example(number).kind for number in range(400)]
    assert 270 <= kinds.count("vqa") <= 330


def test_pairs_are_hidden_as_cm3_hides_and_can_be_restored(shards: Shards, vocabulary: Vocabulary) -> None:
    mixture = Mixture(shards, vocabulary, {"pair": 1.0})
    marks = vocabulary.marks
    specials = Specials(marks.eod, marks.break_, marks.span_end, marks.sentinels)
    examples = [mixture.example(number) for number in range(60)]
    assert any(marks.sentinels[0] in example.ids for example in examples)
    for example in examples:
        assert set(example.weights) == {1.0}
        whole = unmask(example.ids, specials)
        assert whole[0] == whole[-1] == marks.eod and whole.count(marks.break_) == 1


def test_one_wish_in_ten_has_its_text_taken_away(shards: Shards, vocabulary: Vocabulary) -> None:
    mixture = Mixture(shards, vocabulary, {"text-to-image": 1.0})
    masked = sum(vocabulary.marks.sentinels[0] in mixture.example(number).ids for number in range(600))
    assert 35 <= masked <= 90


def test_retrieved_documents_stand_before_the_wish_and_do_not_weigh(shards: Shards, vocabulary: Vocabulary) -> None:
    mixture = Mixture(shards, vocabulary, {"text-to-image": 1.0}, neighbours=[[1], [0]], retrieval_share=1.0)
    for number in range(20):
        example = mixture.example(number)
        codes = vocabulary.image_codes(token for token in example.ids if token in vocabulary.codes)
        asked = [token for token, weight in zip(example.ids, example.weights, strict=True) if weight]
        assert sorted(codes) == [0, 1, 2, 3, 20, 21, 22, 23]
        assert vocabulary.image_codes(asked) == codes[4:]


def test_the_first_documents_are_of_the_first_stratum_alone(tmp_path: Path, vocabulary: Vocabulary) -> None:
    codes = np.arange(7, dtype=np.uint16)[:, None, None].repeat(5, 1).repeat(4, 2)  # record i is told by code i
    np.save(tmp_path / "shard-0000.npy", codes)
    (tmp_path / "shard-0000.jsonl").write_text(7 * (json.dumps(WORDS) + "\n"), encoding="utf-8")
    mixture = Mixture(Shards(tmp_path), vocabulary, {"text-to-image": 1.0}, easy=50)

    def shown(numbers: range) -> set[int]:
        drawn = (token for number in numbers for token in mixture.example(number).ids if token in vocabulary.codes)
        return set(vocabulary.image_codes(drawn))

    assert shown(range(50)) == {0, 3, 6} and shown(range(50, 150)) == set(range(7))
