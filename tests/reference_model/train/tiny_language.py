"""A dozen records in words and codes, and a transformer that a CPU trains on them in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from cm3leon.config import TransformerConfig
from cm3leon.places import PlaceTable, place_table
from cm3leon.train.mixture import Mixture
from cm3leon.train.shards import Shards
from cm3leon.transformer import Transformer
from cm3leon.vocab import trained_vocabulary

SHARES = {"text-to-image": 1.0, "captioning": 1.0, "vqa": 1.0, "editing": 1.0}


def tiny_language(folder: Path) -> tuple[Mixture, PlaceTable, Transformer]:
    """Return documents, of records that are written into `folder`, and a transformer for them."""
    rng = np.random.default_rng(0)
    np.save(folder / "shard-0000.npy", rng.integers(0, 20, (12, 5, 4)).astype(np.uint16))
    words = ["star", "ring", "cross", "circle"]
    lines = [
        {
            "captions": [f"A {words[i % 4]}.", f"There is a {words[i % 4]}."],
            "questions": [["What is it?", words[i % 4]], ["Is it a star?", "yes" if i % 4 == 0 else "no"]],
            "instruction": "Remove it.",
            "boxes": [[words[i % 4], [1, 2, 3, 4]]],
        }
        for i in range(12)
    ]
    (folder / "shard-0000.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    vocabulary = trained_vocabulary([json.dumps(line) for line in lines], 300, codes=20, sentinels=4)
    shape = TransformerConfig(
        vocabulary=vocabulary.size,
        width=32,
        layers=2,
        heads=2,
        hidden=64,
        context=160,
        tied=True,
        segments=6,
        image_cells=4,
    )
    transformer = Transformer(shape)
    transformer.initialise(torch.Generator().manual_seed(0), 0.02)
    return Mixture(Shards(folder), vocabulary, SHARES), place_table(vocabulary, 4), transformer
