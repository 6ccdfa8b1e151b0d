"""The tokeniser, against closed forms, against itself, against stored tokens, and against Stanford's jar."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics.captions.abbreviations import special_words
from evalkit.metrics.captions.ptb import NEXT_CAPTION, PUNCTUATION, CaptionTokeniser, treebank_tokens
from tests.evalkit.metrics.captions.reference import jar_lines, real_captions

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "ptb_tokens.json"
BEHIND = "\nzz zz"
PIECES = [
    "a",
    "b",
    "I",
    "A",
    "U.S.",
    "u.s.",
    "etc.",
    "Inc.",
    "Mr.",
    "No.",
    "no.",
    "5",
    "10",
    "1/2",
    "1,000",
    "2.5",
    ".5",
    "-5",
    "$",
    "£",
    "%",
    "#",
    "&",
    "&amp;",
    "&lt;",
    "'",
    "''",
    "`",
    "``",
    '"',
    "“",
    "”",
    "‘",
    "’",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "/",
    "\\",
    "*",
    "-",
    "--",
    "---",
    "_",
    ".",
    "..",
    "...",
    ",",
    ";",
    ":",
    "!",
    "?",
    "!?",
    "@",
    "=",
    "~",
    "^",
    "|",
    "+",
    "The",
    "cat",
    "dog's",
    "don't",
    "can't",
    "cannot",
    "gonna",
    "y'",
    "d'",
    "l'",
    "o'",
    "'s",
    "n't",
    "'em",
    "'tis",
    "é",
    "café",
    "日本",
    "…",
    "–",
    "—",
    "½",
    "°",
    "©",
    "x5",
    "5th",
    "10:30",
    "a.m.",
    "www.",
    ".com",
    "http://",
    "foo.com",
    "x@y",
    "#tag",
    ":)",
    ";-)",
    "=D",
    "<b>",
    "</b>",
    "<br/>",
    "555-1212",
    "(555)",
    "12/25/99",
    "mid-",
    "t-shirt",
    "and/or",
    "AT&T",
    "C++",
    "ph.d.",
    "e.g.",
    "St.",
    "fig.",
    "'n'",
    "1990s",
    "'90s",
    "O'Neil",
    ".txt",
    "\xad",
    "\xa0",
    "’s",
    "😀",
]
CAPTIONS = st.lists(st.sampled_from([*PIECES, " ", " ", " ", "\n"]), max_size=12).map("".join)
SPECIAL = st.sampled_from(sorted(special_words())).flatmap(lambda w: st.sampled_from([w, w.upper(), w.capitalize()]))
PLAIN = st.from_regex(r"\A[A-Za-z]{1,8}(?:['-][A-Za-z]{1,6})?\Z") | SPECIAL
WORDS = st.tuples(PLAIN, st.sampled_from(["", "", ".", ","])).map("".join)


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man rides a horse.", "a man rides a horse"),
        ("", ""),
        (" \n ", ""),
        ("...", ""),
        ("Two\nlines\r\nand\u2028more", "two lines and more"),
        ("can't, won't; isn't!", "ca n't wo n't is n't"),
        ("a clock at 2:30pm (late)", "a clock at 2:30 pm -lrb- late -rrb-"),
        ("23 3/4 St", "23\u00a03/4 st"),
        ("The letter K.", "the letter k"),
        ("Wait!!!", "wait !!!"),
        ("1\r1/2 cups", "1\u00a01/2 cups"),
    ],
)
def test_caption_has_these_tokens(caption: str, tokens: str) -> None:
    assert CaptionTokeniser()(caption) == tokens


def test_hard_strings_have_the_tokens_of_the_jar() -> None:
    for text, tokens in json.loads(GOLDEN.read_text(encoding="utf-8"))["tokens"]:
        assert [token.lower() for token in treebank_tokens(text, BEHIND)] == tokens, text


@given(st.lists(WORDS, min_size=1, max_size=6).map(" ".join))
def test_remembered_words_make_the_tokens_of_the_whole_caption(caption: str) -> None:
    whole = [token.lower() for token in treebank_tokens(caption, NEXT_CAPTION)]
    assert CaptionTokeniser()(caption) == " ".join(token for token in whole if token not in PUNCTUATION)


@given(CAPTIONS, CAPTIONS)
def test_earlier_captions_do_not_change_a_caption(first: str, second: str) -> None:
    tokens = CaptionTokeniser()
    tokens(first)
    assert tokens(second) == CaptionTokeniser()(second)


@given(st.text(max_size=60))
def test_any_text_has_tokens_without_blanks_at_their_ends(text: str) -> None:
    found = CaptionTokeniser()(text)
    assert found == " ".join(token for token in found.split(" ") if token)
    assert not set("\t\n\r").intersection(found)


def test_long_and_hostile_captions_end() -> None:
    for piece in ("<a ", "a.", "~a.", "'a", "1-", "(", "a@", "<a b='", "&", "x\u0301"):
        assert isinstance(CaptionTokeniser()((piece * 3000)[:3000]), str)


@pytest.mark.slow
def test_all_captions_of_coco_have_the_tokens_of_the_jar(shared_data: Path, tmp_path: Path) -> None:
    captions = [text for texts in real_captions(shared_data).values() for text in texts]
    lines = [text.replace("\n", " ") for text in captions]
    assert len(lines) == 25_014
    printed = jar_lines(lines, tmp_path, "-lowerCase")
    theirs = [" ".join(token for token in line.split(" ") if token not in PUNCTUATION) for line in printed]
    tokens = CaptionTokeniser()
    followed = [tokens(line, f"\n{following}") for line, following in zip(lines, [*lines[1:], ""], strict=True)]
    assert followed == theirs
    alone = [text for text, tokenised in zip(captions, theirs, strict=True) if tokens(text) != tokenised]
    assert [text[-6:] for text in alone] == ["CTH D."]  # `Small black and white` comes next


@pytest.mark.slow
@pytest.mark.parametrize("blanks", [0.0, 0.4])
def test_drawn_strings_have_the_tokens_of_the_jar(blanks: float, tmp_path: Path) -> None:
    draw = random.Random(f"captions {blanks}")
    texts: list[str] = []
    while len(texts) < 4000:
        pieces = (draw.choice(PIECES) + " " * (draw.random() < blanks) for _ in range(draw.randint(1, 6)))
        texts.append("".join(pieces).strip(" ") or "a")
    texts += [f"{word}{end}" for word in sorted(special_words()) for end in (" x", ". x", ". The", ".", ", x", ".5")]
    printed = jar_lines([line for text in texts for line in (text, "zz zz")], tmp_path)[::2]
    for text, tokens in zip(texts, printed, strict=True):
        assert " ".join(treebank_tokens(text, BEHIND)) == tokens, text


@pytest.mark.slow
def test_caption_alone_in_the_file_has_the_tokens_of_the_jar(tmp_path: Path) -> None:
    for text in ("I don't", "it's", "Inc.)", "U.S.", "A.", "no.", "x :)", "'90", "<b", "etc.x", 'say "', "5'"):
        assert " ".join(treebank_tokens(text)) == jar_lines([text], tmp_path)[0], text
