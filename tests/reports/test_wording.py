from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evalkit_reports.wording import LONGEST, label, shortened, visible


@given(st.text(st.characters()))
def test_visible_text_can_be_written_and_hides_no_control_character(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert not any(ord(c) < 0x20 and c not in "\n\t" for c in shown)
    assert not set(shown) & set("\x7f\x85\u202a\u202d\u202e\u2066\u2069")
    assert visible(shown) == shown


def test_each_hidden_character_leaves_a_mark() -> None:
    assert visible("a\x00\x1b\x7f\x85\u202e\ud800b\r\nc") == "a␀␛␡⟨U+0085⟩⟨U+202E⟩⟨U+D800⟩b\nc"


def test_a_long_text_says_how_much_is_missing() -> None:
    assert shortened("x" * LONGEST) == "x" * LONGEST
    assert shortened("x" * (LONGEST + 5)) == "x" * LONGEST + "… (5 more characters)"


def test_a_label_is_one_short_line() -> None:
    assert label(" a\n b\t" + "c" * 99, 10) == "a b ccccc…"
