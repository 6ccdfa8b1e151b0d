"""BLEU, ROUGE-L and CIDEr-D: closed forms, laws, and equality with pycocoevalcap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalkit.metrics.captions.bleu import bleu_counts, corpus_bleu, sentence_bleu
from evalkit.metrics.captions.cider import cider_d
from evalkit.metrics.captions.references import Doubles, references
from evalkit.metrics.captions.rouge import BETA, rouge_l
from tests.evalkit.metrics.captions.reference import coco_scores, real_corpus

Corpus = tuple[list[str], list[list[str]]]
CAPTION = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=9).map(" ".join)
IMAGE = st.tuples(CAPTION, st.lists(CAPTION, min_size=1, max_size=4))


def corpora(least: int = 1) -> st.SearchStrategy[Corpus]:
    return st.lists(IMAGE, min_size=least, max_size=6).map(
        lambda images: ([said for said, _ in images], [list(truth) for _, truth in images])
    )


def scores(hypotheses: Sequence[str], truth: Sequence[Sequence[str]]) -> dict[str, tuple[Doubles, Doubles]]:
    known = references(truth)
    said = known.hypotheses(hypotheses)
    counts = bleu_counts(said, known)
    cider, rouge = cider_d(said, known), np.array([rouge_l(h, r) for h, r in zip(hypotheses, truth, strict=True)])
    return {
        "bleu": (corpus_bleu(counts), sentence_bleu(counts)),
        "rouge": (np.array([rouge.mean()]), rouge[:, None]),
        "cider": (np.array([cider.mean()]), cider[:, None]),
    }


def assert_equal_to_coco(corpus: Corpus, tolerance: float) -> None:
    for name, (whole, each) in scores(*corpus).items():
        expected_whole, expected_each = coco_scores(name, *corpus)
        assert np.allclose(whole, expected_whole, rtol=0, atol=tolerance), name
        assert np.allclose(each, expected_each, rtol=0, atol=tolerance), name


def test_bleu_of_two_images_by_hand() -> None:
    found = scores(["a b c d", "a x"], [["a b c e", "a b"], ["a b c"]])["bleu"][0]
    penalty = math.exp(1 - 7 / 6)
    assert found[0] == pytest.approx(penalty * 4 / 6)
    assert found[1] == pytest.approx(penalty * math.sqrt(4 / 6 * 2 / 4))
    assert found[2] == pytest.approx(penalty * (4 / 6 * 2 / 4 * 1 / 2) ** (1 / 3))


def test_bleu_takes_the_shorter_of_two_references_as_near() -> None:
    assert scores(["a a a"], [["b b", "b b b b"]])["bleu"][0][0] == pytest.approx(0, abs=1e-9)
    known = references([["b b b b", "b b"]])
    assert bleu_counts(known.hypotheses(["a a a"]), known).reference_length.tolist() == [2]


def test_bleu_counts_no_word_more_often_than_any_one_reference() -> None:
    known = references([["a b", "a a c"]])
    assert bleu_counts(known.hypotheses(["a a a"]), known).correct.tolist() == [[2, 1, 0, 0]]


def test_rouge_takes_precision_and_recall_of_different_references() -> None:
    precision, recall = 2 / 3, 2 / 2
    expected = (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)
    assert rouge_l("a b c", ["a b", "x a y b z w"]) == pytest.approx(expected)


def test_cider_of_two_images_by_hand() -> None:
    found = scores(["a b", "c"], [["a b"], ["c d"]])["cider"][1][:, 0]
    penalty = math.exp(-1 / 72)
    assert found == pytest.approx([10 * 2 / 4, 10 * penalty / math.sqrt(2) / 4])


def test_cider_of_one_image_is_zero() -> None:
    assert scores(["a b c"], [["a b c", "a b"]])["cider"][0].tolist() == [0.0]


def test_image_without_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="image 1 has no reference"):
        references([["a"], []])
    with pytest.raises(ValueError, match="needs a reference"):
        rouge_l("a", [])
    with pytest.raises(ValueError, match="1 captions for 2 images"):
        references([["a"], ["b"]]).hypotheses(["a"])


@given(corpora())
def test_scores_are_those_of_coco_caption(corpus: Corpus) -> None:
    assume(any(text for truth in corpus[1] for text in truth))  # pycocoevalcap stops where no reference has a word
    assert_equal_to_coco(corpus, 1e-12)


@given(corpora(), st.integers(0, 99))
def test_order_of_images_and_references_does_not_matter(corpus: Corpus, seed: int) -> None:
    said, truth = corpus
    order = np.random.default_rng(seed).permutation(len(said))
    turned = [said[i] for i in order], [list(reversed(truth[i])) for i in order]
    before, after = scores(said, truth), scores(*turned)
    for name, (whole, each) in before.items():
        assert np.allclose(after[name][0], whole, rtol=0, atol=1e-12)
        assert np.allclose(after[name][1], each[order], rtol=0, atol=1e-12)


@given(corpora(least=2))
def test_a_caption_equal_to_its_only_reference_is_best(corpus: Corpus) -> None:
    said, truth = corpus
    alone = [one[:1] for one in truth]
    best, other = scores([one[0] for one in alone], alone), scores(said, alone)
    for name in ("rouge", "cider"):
        assert (best[name][1] >= other[name][1] - 1e-12).all()
    assert (best["bleu"][1][:, 0] >= other["bleu"][1][:, 0] - 1e-6).all()


@given(corpora())
def test_empty_caption_scores_nothing_unless_a_reference_is_empty(corpus: Corpus) -> None:
    _, truth = corpus
    found = scores([""] * len(truth), truth)
    assert found["cider"][1].max() == 0
    assert found["bleu"][1].max() < 1e-5
    for value, one in zip(found["rouge"][1][:, 0], truth, strict=True):
        assert value == ("" in one)


@given(corpora(least=2), CAPTION)
def test_references_serve_any_number_of_models(corpus: Corpus, other: str) -> None:
    said, truth = corpus
    known = references(truth)
    first = cider_d(known.hypotheses(said), known)
    cider_d(known.hypotheses([f"{other} unseen words"] * len(said)), known)
    assert (cider_d(known.hypotheses(said), known) == first).all()


def test_scores_of_real_captions_are_those_of_coco_caption(shared_data: Path) -> None:
    said, truth = real_corpus(shared_data, 300)
    hard = [*said[:-4], "", "a", "unseen words unseen words unseen", "a " * 60 + "a"]
    assert_equal_to_coco((hard, truth), 1e-12)


@pytest.mark.slow
def test_scores_of_all_real_captions_are_those_of_coco_caption(shared_data: Path) -> None:
    corpus = real_corpus(shared_data, 5000)
    assert_equal_to_coco(corpus, 1e-12)
    assert scores(*corpus)["cider"][0][0] == pytest.approx(0.864, abs=0.005)


def test_bleu_of_a_resample_is_that_of_its_rows() -> None:
    said, truth = ["a b c", "a c", "b"], [["a b", "c"], ["a c d"], ["b b"]]
    known = references(truth)
    counts = bleu_counts(known.hypotheses(said), known)
    drawn = np.array([2, 0, 0])
    again = scores([said[i] for i in drawn], [truth[i] for i in drawn])["bleu"][0]
    assert np.array_equal(corpus_bleu(counts.at(drawn)), again)
