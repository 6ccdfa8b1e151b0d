"""T5's tokeniser: text to ids, from the file `tokenizer.json` that the hub has of every T5 and FLAN-T5.

Source: Kudo and Richardson 2018, arXiv:1808.06226. The official scorers use the same pieces through SentencePiece. Both
were compared on 1,500 pieces learnt from PartiPrompts, with T5's normaliser: of its 1,632 prompts, asked as VQAScore
asks them, and of some odd texts none differs.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from evalkit.errors import WeightsError

END = "</s>"


class T5Tokens:
    """The tokeniser of one file."""

    def __init__(self, tokenizer: Tokenizer, end: int) -> None:
        self._tokenizer = tokenizer
        self._end = end

    def __call__(self, text: str) -> list[int]:
        """Return the ids of a text, of any length, with that of the end."""
        return [*self._tokenizer.encode(text, add_special_tokens=False).ids, self._end]

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))


def read_t5_tokens(path: Path) -> T5Tokens:
    """Return the tokeniser of a `tokenizer.json`.

    Raises:
        WeightsError: the file is damaged or not T5's.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise WeightsError(f"{path} cannot be read as a tokeniser ({error}); delete it to fetch it again") from error
    end = tokenizer.token_to_id(END)
    if end is None:
        raise WeightsError(f"{path} has no token {END}; it is not T5's tokeniser, delete it to fetch it again")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return T5Tokens(tokenizer, end)
