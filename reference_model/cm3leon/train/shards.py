"""Records made ready for the language stages: pictures as codes, words as they are, in files of 5,000 records.

A shard is written whole or not at all, and one that is there is kept, so that this stage resumes as the others do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.label_maps import painted
from cm3leon.train.records import Pixels, Record, Source, in_range

SHARD = 5_000
QUESTIONS = 8
_BATCH = 250
_CODED = {"cpu": 64, "cuda": 640}
"""Pictures that are coded at a time: on a CPU 640 took 1.3 to 1.8 times as long each."""
_PICTURES = 5
_NONE = 2**16 - 1
"""Stands for every code of a picture that was left out."""

Codes = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One record: its pictures as codes `(cells,)`, None where they were left out, and its words."""

    picture: Codes
    edges: Codes | None
    depth: Codes | None
    segmentation: Codes | None
    edited: Codes | None
    instruction: str | None
    captions: tuple[str, ...]
    questions: tuple[tuple[str, str], ...]
    boxes: tuple[tuple[str, tuple[int, int, int, int]], ...]


def prepare(
    tokenizer: ImageTokenizer,
    source: Source,
    folder: Path,
    shards: int,
    size: int = SHARD,
    workers: int = 0,
    whole: int | None = None,
) -> None:
    """Write the shards 0 to `shards` - 1, of `size` records each, that `folder` lacks.

    `workers` processes draw the records; the tokenizer codes them where it is. Only the first `whole` shards, or all,
    hold the maps and the edited pictures, the others nothing but the picture: coding is what takes time on a CPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in range(shards) if not _path(folder, shard).exists()]
    full = range((shards if whole is None else whole) * size)
    parts = [
        range(first, min(first + _BATCH, (shard + 1) * size))
        for shard in missing
        for first in range(shard * size, (shard + 1) * size, _BATCH)
    ]
    drawn = iter(_loader(_Drawn(source, full), parts, workers))
    for shard in missing:
        codes, lines = [], list[str]()
        for _ in range(0, size, _BATCH):
            pictures, words = next(drawn)
            codes.append(_encoded(tokenizer, pictures, len(words)))
            lines += words
        path = _path(folder, shard)
        path.with_suffix(".jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        beside = path.with_suffix(".part.npy")
        np.save(beside, np.concatenate(codes))
        beside.replace(path)


class _Drawn(Dataset[tuple[Tensor, list[str]]]):
    """The pictures of N records, five each or `(N, H, W, 3)` outside `full`, and a line of words for each."""

    def __init__(self, source: Source, full: range) -> None:
        self._source, self._full = source, full

    def __getitem__(self, numbers: range) -> tuple[Tensor, list[str]]:
        pictures: list[Pixels] = []
        lines = []
        for number in numbers:
            record = self._source(number)
            shown, instruction = _pictures(record) if number in self._full else ([record.pixels()], None)
            pictures += shown
            lines.append(json.dumps(_words(record, instruction)))
        return torch.from_numpy(np.stack(pictures)), lines


def _loader(drawn: _Drawn, parts: list[range], workers: int) -> Iterable[tuple[Tensor, list[str]]]:
    if not workers:
        return map(drawn.__getitem__, parts)
    return DataLoader(drawn, batch_size=None, sampler=parts, num_workers=workers, multiprocessing_context="fork")


def _path(folder: Path, shard: int) -> Path:
    return folder / f"shard-{shard:04d}.npy"


def _pictures(record: Record) -> tuple[list[Pixels], str | None]:
    """Return the picture, outlines, depth, painted labels and edited picture, and the edit's instruction."""
    whole = record.pixels()
    edit = record.edit()
    instruction, edited = (None, whole) if edit is None else edit
    return [whole, record.edges(), record.depth(), painted(record.labels()), edited], instruction


def _words(record: Record, instruction: str | None) -> dict[str, Any]:
    return {
        "captions": record.captions(),
        "questions": record.questions(QUESTIONS),
        "instruction": instruction,
        "boxes": [[label, [x, y, x + width, y + height]] for label, (x, y, width, height) in record.boxes()],
    }


@torch.inference_mode()
def _encoded(tokenizer: ImageTokenizer, pictures: Tensor, records: int) -> Codes:
    """Return the codes `(records, 5, cells)` of the records' pictures."""
    # in 32 bits, as the finished model codes what it is shown
    device = tokenizer.quantize.embedding.weight.device
    size = _CODED[device.type]
    parts = [pictures[first : first + size].to(device) for first in range(0, len(pictures), size)]
    codes = (
        torch.cat([tokenizer.encode(in_range(part)).cpu() for part in parts])
        .numpy()
        .reshape(records, -1, tokenizer.config.grid**2)
    )
    whole = np.full((records, _PICTURES, codes.shape[2]), _NONE, np.uint16)
    whole[:, : codes.shape[1]] = codes
    return whole


class Shards:
    """The prepared records of a folder, by number; they start anew behind the last."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("shard-????.npy"))
        if not paths:
            raise ValueError(f"{folder} holds no shards; run the stage `prepare` first")
        self._codes = np.concatenate([np.load(path) for path in paths])
        self._words: list[str] = []
        for path in paths:
            self._words += path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()

    def __len__(self) -> int:
        return len(self._codes)

    def record(self, number: int) -> Prepared:
        """Return record `number`, modulo how many there are."""
        place = number % len(self)
        words = json.loads(self._words[place])
        picture, *others = self._codes[place]
        edges, depth, segmentation, edited = (None if codes[0] == _NONE else codes for codes in others)
        told = words["instruction"]
        return Prepared(
            picture,
            edges,
            depth,
            segmentation,
            None if told is None else edited,
            told,
            tuple(words["captions"]),
            tuple((question, answer) for question, answer in words["questions"]),
            tuple((label, tuple(box)) for label, box in words["boxes"]),
        )
