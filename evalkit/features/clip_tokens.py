"""CLIP's tokeniser: text to 77 ids, from the list of byte pairs that OpenAI published.

A text is NFC-normalised, its HTML entities are resolved, white space is collapsed and letters are lower-cased. What
does not fit into 77 ids with both ends is cut, as `clip.tokenize(truncate=True)` does.

Source: openai/CLIP `simple_tokenizer.py`. It also repairs mis-decoded text with ftfy, which is not done here: that
only changes texts such as `cafÃ©`.
"""

from __future__ import annotations

import gzip
import html
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from evalkit.errors import WeightsError

CONTEXT = 77
MERGES = 49_152 - 256 - 2
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
START, END = "<|startoftext|>", "<|endoftext|>"


class ClipTokens:
    """The tokeniser of one list of merges."""

    def __init__(self, merges: Sequence[tuple[str, str]]) -> None:
        letters = _byte_letters()
        words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
        self._vocabulary = {word: number for number, word in enumerate(words)}
        model = models.BPE(self._vocabulary, list(merges), end_of_word_suffix="</w>", unk_token=END)
        self._tokenizer = Tokenizer(model)
        spaces = normalizers.Replace(Regex(r"\s+"), " ")
        self._tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
        split = pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True)
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the ids `(N, 77)` of `texts`, zeros after the end."""
        start, end = self._vocabulary[START], self._vocabulary[END]
        ids = np.zeros((len(texts), CONTEXT), np.int64)
        cleaned = [html.unescape(html.unescape(text)).strip() for text in texts]
        for row, encoded in enumerate(self._tokenizer.encode_batch(cleaned, add_special_tokens=False)):
            inner = encoded.ids[: CONTEXT - 2]
            ids[row, : len(inner) + 2] = [start, *inner, end]
        return ids


def read_clip_tokens(path: Path) -> ClipTokens:
    """Return the tokeniser of `bpe_simple_vocab_16e6.txt.gz`.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : MERGES + 1]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); delete it to fetch it again") from error
    pairs = [tuple(line.split()) for line in lines]
    merges = [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
    if len(merges) != MERGES:
        raise WeightsError(f"{path} holds {len(merges):,} pairs instead of {MERGES:,}; delete it to fetch it again")
    return ClipTokens(merges)


def _byte_letters() -> list[str]:
    """Return a printable letter for each byte: first those that print as themselves, then the others from U+0100 on."""
    printing = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, printing), *(chr(256 + number) for number in range(256 - len(printing)))]
