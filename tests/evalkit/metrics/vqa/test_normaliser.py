"""The VQA normalisers: quirk by quirk, and against the published rules written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import UsageError
from evalkit.metrics.vqa.contractions import CONTRACTIONS
from evalkit.metrics.vqa.normaliser import VQA_PROTOCOLS, cleaned, evalai, evalai_normal, official, vizwiz, vqa_protocol
from tests.evalkit.metrics.vqa import published_rules

PIECES = [*published_rules.PUNCTUATION, *published_rules.CONTRACTIONS, *published_rules.NUMBER_WORDS]
PIECES += [
    *"aAb1234. '.,\n\t",
    "a",
    "an",
    "the",
    "The",
    "1,000",
    "1,,2",
    "3.5",
    "...",
    "°",
    "é",
    "٣",
    "\u00a0",
    "İ",
    "'s",
]
PIECES += [". ", " ,", "dog"]
TEXTS = st.lists(st.sampled_from([*PIECES, " ", " "]), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("1,000", "1000"),
        ("a . b", "b"),
        ("dont", "don't"),
        ("The Two Dogs.", "2 dogs"),
        ("none", "0"),
        ("black/white", "black white"),
        ("black /white", "black white"),
        ("black/ white", "black white"),
        ("a/b c/ d", "ab c d"),
        ("1,000/b", "1000b"),
        ("x,y", "x y"),
        ("c,d,/b", "c d b"),
        ("3.5", "3.5"),
        ("3.", "3"),
        (".5", ".5"),
        ("no.5", "no.5"),
        ("u.s.a.", "usa"),
        ("." * 33, "."),
        ("somebody'd", "somebodyd"),
        ("couldnt've", "couldn't've"),
        ("Im", "im"),
        ("lets", "lets"),
        ("a an the", ""),
        ("it's", "it's"),
        ("ten: 10", "ten: 10"),
        ("\u0663,\u0664", "\u0663 \u0664"),
    ],
)
def test_official_normal_form_has_this_quirk(answer: str, normal: str) -> None:
    assert official(cleaned(answer)) == normal


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The dog's, really?", "dog 's really"),
        ("1,000", "1000"),
        ("1,,2", "12"),
        ("YES\n", "yes"),
        ("isnt", "isn't"),
        ("women's", "women 's"),
    ],
)
def test_evalai_form_has_this_quirk(answer: str, normal: str) -> None:
    assert evalai(answer) == normal


def test_the_two_normalisers_differ_in_runs_of_commas_and_digits_of_other_scripts() -> None:
    assert (official("1,,2-3"), evalai_normal("1,,2-3")) == ("1 2 3", "123")
    assert (official("x.\u0663"), evalai_normal("x.\u0663")) == ("x\u0663", "x.\u0663")


def test_contractions_are_the_official_table_less_what_changes_nothing() -> None:
    expected = {k: v for k, v in published_rules.CONTRACTIONS.items() if k == k.lower() and k != v}
    assert dict(CONTRACTIONS) == expected


@given(TEXTS)
def test_official_normal_form_is_that_of_the_published_rules(answer: str) -> None:
    line = published_rules.on_one_line(answer)
    assert cleaned(answer) == line
    assert official(line) == published_rules.in_plain_words(published_rules.without_punctuation(line))


@given(st.text(max_size=40))
def test_any_text_has_the_normal_form_of_the_published_rules(answer: str) -> None:
    line = published_rules.on_one_line(answer)
    assert official(cleaned(answer)) == published_rules.in_plain_words(published_rules.without_punctuation(line))


def test_unknown_protocol_is_refused_with_the_nearest() -> None:
    assert vqa_protocol("lmms") is VQA_PROTOCOLS["lmms"]
    with pytest.raises(UsageError, match="did you mean 'vqa-official'"):
        vqa_protocol("vqa-oficial")


def test_vizwiz_reads_predictions_alone_and_writes_curly_apostrophes() -> None:
    assert [vizwiz(text) for text in ("dont", "arent", "couldn'tve", "The 1,000 Dogs.", "1\u0661,2/b")] == [
        "don\u2019t",
        "aren't",
        "couldn\u2019t\u2019ve",
        "1000 dogs",
        "1\u06612b",
    ]
    protocol = vqa_protocol("vizwiz-official")
    assert (protocol.prediction, protocol.answers, protocol.normal) == ("vizwiz", "raw", None)
