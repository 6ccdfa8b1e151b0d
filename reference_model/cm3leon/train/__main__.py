"""`python -m cm3leon.train STAGE`: train one stage of the shipped model, going on where it stopped."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cm3leon.config import BLOCKSWORLD_IMAGE, BLOCKSWORLD_TRANSFORMER
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.places import place_table
from cm3leon.train.language import LanguageRecipe, LanguageStage
from cm3leon.train.loop import Schedule, train
from cm3leon.train.mixture import Mixture
from cm3leon.train.records import source
from cm3leon.train.seer import Seer, SeerStage
from cm3leon.train.shards import Shards, prepare
from cm3leon.train.tokenizer import TokenizerRecipe, TokenizerStage
from cm3leon.train.words import texts
from cm3leon.transformer import Transformer
from cm3leon.vocab import Vocabulary, read_vocabulary, trained_vocabulary

SOURCE = "evalkit_tasks.blocksworld.training:training_record"
PIECES, SENTINELS = 640, 8
KINDS = 22
PRETRAINING = {"pair": 1.0}
FINETUNING = {
    "text-to-image": 0.30,
    "captioning": 0.10,
    "vqa": 0.16,
    "editing": 0.20,
    "edges": 0.07,
    "depth": 0.04,
    "segmentation": 0.06,
    "boxes": 0.07,
}


def main() -> None:
    """Run the stage that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m cm3leon.train", description=__doc__)
    parser.add_argument("stage", choices=("seer", "tokenizer", "prepare", "pretrain", "finetune"))
    parser.add_argument("--out", type=Path, default=Path("cm3leon-training"))
    parser.add_argument("--steps", type=int, default=14000)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--shards", type=int, default=12)
    parser.add_argument("--stop-at", type=int)
    parser.add_argument("--start", type=Path, help="checkpoint whose weights to start from")
    given = parser.parse_args()
    torch.manual_seed(0)
    if given.stage == "seer":
        train(SeerStage(Seer(KINDS), source(SOURCE)), Schedule(given.steps, 2e-3, 50), given.out / given.stage)
    elif given.stage == "tokenizer":
        seer = Seer(KINDS)
        seer.load_state_dict(torch.load(given.out / "seer" / "checkpoint.pt", weights_only=True)["module"])
        stage = TokenizerStage(ImageTokenizer(BLOCKSWORLD_IMAGE), source(SOURCE), TokenizerRecipe(batch=32), seer)
        if given.start is not None:
            stage.module.load_state_dict(torch.load(given.start, weights_only=True)["module"])
        train(stage, Schedule(given.steps, given.rate, 100), given.out / given.stage, stop_at=given.stop_at)
    elif given.stage == "prepare":
        prepare(trained_tokenizer(given.out), source(SOURCE), given.out / "shards", given.shards)
        vocabulary(given.out)
    else:
        language(given)


def language(given: argparse.Namespace) -> None:
    """Pre-train or fine-tune the transformer."""
    words = vocabulary(given.out)
    transformer = Transformer(replace(BLOCKSWORLD_TRANSFORMER, vocabulary=words.size))
    transformer.initialise(torch.Generator().manual_seed(0), 0.02)
    shards = Shards(given.out / "shards")
    if given.stage == "finetune":
        state = torch.load(given.out / "pretrain" / "checkpoint.pt", weights_only=True)
        transformer.load_state_dict(state["module"])
    neighbours = given.out / "neighbours.npy"
    mixture = Mixture(
        shards,
        words,
        PRETRAINING if given.stage == "pretrain" else FINETUNING,
        np.load(neighbours).tolist() if neighbours.exists() else None,
        0.3,
        seed=0 if given.stage == "pretrain" else 1,
    )
    stage = LanguageStage(transformer, mixture, place_table(words, BLOCKSWORLD_IMAGE.grid**2), LanguageRecipe())
    train(stage, Schedule(given.steps, given.rate, 100), given.out / given.stage, stop_at=given.stop_at)


def trained_tokenizer(folder: Path) -> ImageTokenizer:
    """Return the image tokenizer of a folder's last checkpoint."""
    state = torch.load(folder / "tokenizer" / "checkpoint.pt", weights_only=True)
    tokenizer = ImageTokenizer(BLOCKSWORLD_IMAGE)
    prefix = "tokenizer."
    tokenizer.load_state_dict({k[len(prefix) :]: v for k, v in state["module"].items() if k.startswith(prefix)})
    return tokenizer.to(memory_format=torch.channels_last).eval()


def vocabulary(folder: Path) -> Vocabulary:
    """Return a folder's vocabulary, learnt first where it has none."""
    path = folder / "tokenizer.json"
    if not path.exists():
        found = trained_vocabulary(texts(source(SOURCE), 4000), PIECES, BLOCKSWORLD_IMAGE.codes, SENTINELS)
        path.write_text(found.json, encoding="utf-8")
    return read_vocabulary(path)


if __name__ == "__main__":
    main()
