"""One vocabulary for words, picture codes and the marks between them.

CM3leon's marks, by the names that metaseq gave them: `<eod>` around documents, `<racm3:break>` between text and
pictures, `<sentinel:i>` where a span was taken out (the paper's `<mask>`) and again before it is told (the paper's
`<infill>`), and `<eoss>` behind a told span. Picture codes are tokens named `IMGIMG`, the code's digits as letters, and
`Z`.

Chameleon's vocabulary keeps the names. There `<racm3:break>` opens a picture and `<eoss>` closes it, documents start
with `<s>` and end with `</s>`, `<reserved08706>` ends a turn, and there are no sentinels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

EOD = "<eod>"
BREAK = "<racm3:break>"
SPAN_END = "<eoss>"
PAD = "<pad>"

CHAMELEON_START = "<s>"
CHAMELEON_END = "</s>"
CHAMELEON_END_OF_TURN = "<reserved08706>"


def sentinel_name(i: int) -> str:
    """Return the name of the mark of span `i`."""
    return f"<sentinel:{i}>"


def code_name(code: int) -> str:
    """Return the name of a picture code's token.

    >>> code_name(407)
    'IMGIMGEAHZ'
    """
    return f"IMGIMG{''.join(chr(ord('A') + int(digit)) for digit in str(code))}Z"


@dataclass(frozen=True, slots=True)
class Marks:
    """Ids of the marks."""

    pad: int
    eod: int
    break_: int
    span_end: int
    sentinels: tuple[int, ...]
    end: int | None = None
    """What ends a document where that is not `eod` (Chameleon)."""
    end_of_turn: int | None = None
    """What stands between a question and its answer, and ends the answer (Chameleon)."""

    @property
    def word_ends(self) -> tuple[int, ...]:
        """What ends words that are written: a told span of CM3leon, a turn or a document of Chameleon."""
        ends = tuple(mark for mark in (self.end_of_turn, self.end) if mark is not None)
        return ends or (self.span_end,)

    @property
    def all(self) -> tuple[int, ...]:
        """Every mark."""
        ends = [mark for mark in (self.end, self.end_of_turn) if mark is not None]
        return (self.pad, self.eod, self.break_, self.span_end, *self.sentinels, *ends)


class Vocabulary:
    """Text, picture codes and marks as ids, and back. What does not fit raises: nothing is padded, cut or replaced."""

    def __init__(self, tokenizer: Tokenizer, codes: Sequence[int], marks: Marks) -> None:
        # marks that stand in a prompt are words like others: no dataset can put a break into a document
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.codes = tuple(codes)
        """Id of each picture code."""
        self.marks = marks
        self._code_of = {token: code for code, token in enumerate(self.codes)}
        self._no_text = {*self.codes, *marks.all, *tokenizer.get_added_tokens_decoder()}

    @property
    def size(self) -> int:
        """How many ids there are."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def json(self) -> str:
        """The tokenizer as the `tokenizers` library writes it."""
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`, marks in it being plain words.

        Raises:
            ValueError: the tokenizer has no pieces for a character.
        """
        ids = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if not self._no_text.isdisjoint(ids):
            raise ValueError(f"{text!r} holds characters that the tokenizer has no pieces for; leave them out")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`.

        Raises:
            ValueError: an id is a picture code, a mark, or unknown.
        """
        known = list(ids)
        for token in known:
            if token in self._no_text or not 0 <= token < self.size:
                raise ValueError(f"id {token} is not text")
        return str(self._tokenizer.decode(known))

    def is_text(self, token: int) -> bool:
        """Return whether an id is a piece of text."""
        return 0 <= token < self.size and token not in self._no_text

    def image(self, codes: Iterable[int]) -> list[int]:
        """Return the ids of picture codes.

        Raises:
            ValueError: a code is out of range.
        """
        found = list(codes)
        for code in found:
            if not 0 <= code < len(self.codes):
                raise ValueError(f"picture code {code} lies outside 0 to {len(self.codes) - 1}")
        return [self.codes[code] for code in found]

    def image_codes(self, ids: Iterable[int]) -> list[int]:
        """Return the picture codes of `ids`.

        Raises:
            ValueError: an id is not a picture code.
        """
        found = []
        for token in ids:
            if token not in self._code_of:
                raise ValueError(f"id {token} is not a picture code")
            found.append(self._code_of[token])
        return found


def trained_vocabulary(texts: Iterable[str], pieces: int, codes: int, sentinels: int) -> Vocabulary:
    """Return a vocabulary of up to `pieces` byte pairs learnt from `texts`, `codes` picture codes, and the marks.

    The marks come first, then the picture codes, then the pieces of text, each in order.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = [PAD, EOD, BREAK, SPAN_END, *(sentinel_name(i) for i in range(sentinels))]
    special = [*marks, *(code_name(code) for code in range(codes))]
    trainer = trainers.BpeTrainer(
        vocab_size=pieces + len(special),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return vocabulary_of(tokenizer)


def read_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary of a `tokenizer.json`.

    Raises:
        ValueError: the file is damaged, or lacks a mark or a picture code.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise ValueError(f"{path} is not a tokenizer ({error})") from error
    return vocabulary_of(tokenizer)


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Return the vocabulary whose marks and codes have the names above, CM3leon's or Chameleon's.

    Raises:
        ValueError: a mark or a picture code is missing, or an id is left out.
    """
    ids = tokenizer.get_vocab()
    codes, sentinels = _counted(ids, code_name), _counted(ids, sentinel_name)
    chameleon = EOD not in ids and CHAMELEON_START in ids
    start = CHAMELEON_START if chameleon else EOD
    ends = (CHAMELEON_END, CHAMELEON_END_OF_TURN) if chameleon else ()
    missing = [name for name in (PAD, start, BREAK, SPAN_END, *ends) if name not in ids]
    missing += [] if codes else ["picture codes"]
    missing += [] if sentinels or chameleon else ["sentinels"]
    if missing:
        raise ValueError(f"the tokenizer lacks {', '.join(missing)}")
    if max(ids.values()) + 1 != len(ids):
        raise ValueError(f"the tokenizer has {len(ids)} tokens, but ids up to {max(ids.values())}")
    marks = Marks(ids[PAD], ids[start], ids[BREAK], ids[SPAN_END], tuple(sentinels), *(ids[name] for name in ends))
    return Vocabulary(_with_special_marks(tokenizer), codes, marks)


def _with_special_marks(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer whose added tokens are all special: only of those can it be told to read them as words."""
    if all(token.special for token in tokenizer.get_added_tokens_decoder().values()):
        return tokenizer
    written = json.loads(tokenizer.to_str())
    for token in written["added_tokens"]:
        token["special"] = True
    return Tokenizer.from_str(json.dumps(written))


def _counted(ids: dict[str, int], name: Callable[[int], str]) -> list[int]:
    """Return the ids of `name(0)`, `name(1)` and so on, as far as they go."""
    found: list[int] = []
    while (token := ids.get(name(len(found)))) is not None:
        found.append(token)
    return found
