"""`python -m cm3leon.train STAGE`: train one stage of the shipped model, going on where it stopped."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from cm3leon.bundle import SHIPPED, encoder_of, write
from cm3leon.checkpoints import Checkpoint, load
from cm3leon.config import Config, TransformerConfig
from cm3leon.dual_encoder import DualEmbedder, DualEncoder, DualEncoderConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.places import place_table
from cm3leon.train.curves import draw
from cm3leon.train.dual_encoder import DualEncoderStage
from cm3leon.train.language import LanguageStage
from cm3leon.train.lattice import are_shared, settle_levels, share_levels
from cm3leon.train.loop import LOG, Pace, Schedule, Stage, keep_weights, leave_group, train, trained_weights
from cm3leon.train.mixture import Mixture
from cm3leon.train.neighbours import documents_of, kept, neighbours
from cm3leon.train.plans import FINETUNING, PLANS, PRETRAINING, Plan
from cm3leon.train.records import source
from cm3leon.train.seer import Seer, SeerStage
from cm3leon.train.sharding import sharded
from cm3leon.train.shards import Shards, prepare
from cm3leon.train.tokenizer import TokenizerRecipe, TokenizerStage
from cm3leon.train.words import texts
from cm3leon.transformer import Transformer
from cm3leon.vocab import Vocabulary, read_vocabulary, trained_vocabulary

_READ = 4_000
"""Records that byte pairs are learnt from."""
_ROWS = 256
VOCABULARY = "tokenizer.json"
TOKENIZER = "tokenizer."
"""What stands before the names of the image tokenizer's weights in its stage's checkpoint."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder that a plan is carried out in, stage by stage."""

    plan: Plan
    folder: Path
    pace: Pace
    device: str
    steps: int | None = None
    """Steps of the stage, where they are not the plan's."""
    stop_at: int | None = None
    sharded: bool = False
    """Whether the processes share the transformer's weights instead of each holding all."""

    def adopt(self) -> None:
        """Take the shipped image tokenizer, dual encoder and vocabulary, so that neither need be trained."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shipped = load(SHIPPED)
        (self.folder / VOCABULARY).write_text(shipped.vocabulary.json, encoding="utf-8")
        keep_weights(self.folder / "encoder", encoder_of(SHIPPED).state_dict())
        weights = shipped.image_tokenizer.state_dict()
        keep_weights(self.folder / "tokenizer", {f"{TOKENIZER}{name}": weight for name, weight in weights.items()})

    def adopt_transformer(self) -> None:
        """Take the shipped transformer in the place of a pre-trained one, to be fine-tuned on; `adopt` comes first.

        Raises:
            ValueError: the plan's is of another shape.
        """
        shipped = load(SHIPPED).transformer
        if shipped.config != self._shape():
            raise ValueError(
                f"the shipped transformer is {shipped.config}, not the plan's {self._shape()}; try --plan gpu"
            )
        keep_weights(self.folder / "pretrain", shipped.state_dict())

    def seer(self) -> None:
        """Train the network that judges the tokenizer's pictures."""
        stage = SeerStage(Seer(self.plan.kinds), source(self.plan.source), self.plan.seer_batch, self.device)
        self._train(stage, self.plan.seer, "seer")

    def tokenizer(self) -> None:
        """Train the image tokenizer."""
        self._train(self._tokenizer_stage(self.plan.tokenizer_recipe), self.plan.tokenizer, "tokenizer")

    def decoder(self) -> None:
        """Train what draws the trained tokenizer's codes, which stay as they are."""
        stage = self._tokenizer_stage(self.plan.decoder_recipe)
        stage.module.load_state_dict(stage.module.state_dict() | trained_weights(self.folder / "tokenizer"))
        self._train(stage, self.plan.decoder, "decoder")

    def _tokenizer_stage(self, recipe: TokenizerRecipe) -> TokenizerStage:
        seer = None
        if recipe.perceptual:
            seer = Seer(self.plan.kinds)
            seer.load_state_dict(trained_weights(self.folder / "seer"))
        return TokenizerStage(ImageTokenizer(self.plan.image), source(self.plan.source), recipe, seer, self.device)

    def encoder(self) -> None:
        """Train the dual encoder."""
        words = self.vocabulary()
        encoder = DualEncoder(DualEncoderConfig(words.size)).to(self.device)
        stage = DualEncoderStage(encoder, words, source(self.plan.source), self.plan.encoder_recipe)
        self._train(stage, self.plan.encoder, "encoder")

    def prepare(self) -> None:
        """Write records with their pictures as codes."""
        tokenizer = self.trained_tokenizer().to(self.device)
        prepare(
            tokenizer,
            source(self.plan.source),
            self.folder / "shards",
            self.plan.shards,
            workers=self.pace.workers,
            whole=self.plan.whole_shards,
        )

    def neighbours(self) -> None:
        """Write the documents that retrieval finds for each prepared record."""
        encoder = self.trained_encoder().to(self.device)
        embedder = DualEmbedder(encoder, self.vocabulary(), _ROWS)
        shards = Shards(self.folder / "shards")
        found = neighbours(embedder, source(self.plan.source), shards, self.plan.bank, self.device)
        np.save(self.folder / "neighbours.npy", found.numpy())

    def pretrain(self) -> None:
        """Train the transformer on pairs with the CM3 objective."""
        self._language("pretrain", self.plan.pretrain, self._mixture(dict(PRETRAINING), seed=0))

    def finetune(self) -> None:
        """Train the pre-trained transformer on every job."""
        self._language("finetune", self.plan.finetune, self._mixture(dict(FINETUNING), seed=1), "pretrain")

    def export(self) -> None:
        """Write the trained model into the folder `model`, as `-m cm3leon -a weights=FOLDER` reads it."""
        words, encoder = self.vocabulary(), self.trained_encoder()
        transformer = self.transformer("finetune")
        config = Config("blocksworld", self.plan.image, transformer.config, source="trained here: see the model card")
        checkpoint = Checkpoint(config, words, self.trained_tokenizer(), transformer)
        shards = Shards(self.folder / "shards")
        embedder = DualEmbedder(encoder, words, _ROWS)
        documents = documents_of(embedder, source(self.plan.source), shards, self.plan.bank)
        write(self.folder / "model", checkpoint, encoder, documents)

    def curves(self) -> None:
        """Draw the losses of every stage that has a log, into `curves.svg`."""
        draw(
            [path.parent for stage in STAGES for path in self.folder.glob(f"{stage}/{LOG}")], self.folder / "curves.svg"
        )

    def vocabulary(self) -> Vocabulary:
        """Return the folder's vocabulary, learnt first where it has none."""
        path = self.folder / VOCABULARY
        if not path.exists():
            words = texts(source(self.plan.source), _READ, self.plan.image.pixels)
            learnt = trained_vocabulary(words, self.plan.pieces, self.plan.image.codes, self.plan.sentinels)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(learnt.json, encoding="utf-8")
        return read_vocabulary(path)

    def trained_tokenizer(self) -> ImageTokenizer:
        """Return the image tokenizer of the last checkpoint: that of `decoder`, where there is one."""
        tokenizer = ImageTokenizer(self.plan.image)
        last = "decoder" if (self.folder / "decoder").exists() else "tokenizer"
        weights = trained_weights(self.folder / last)
        tokenizer.load_state_dict({k.removeprefix(TOKENIZER): v for k, v in weights.items() if k.startswith(TOKENIZER)})
        return tokenizer.eval()

    def trained_encoder(self) -> DualEncoder:
        """Return the dual encoder of the last checkpoint."""
        encoder = DualEncoder(DualEncoderConfig(self.vocabulary().size))
        encoder.load_state_dict(trained_weights(self.folder / "encoder"))
        return encoder.eval()

    def transformer(self, start: str | None = None) -> Transformer:
        """Return a transformer of the plan's shape, with the weights of stage `start`, or with weights drawn anew."""
        transformer = Transformer(self._shape())
        if start is None:
            transformer.initialise(torch.Generator().manual_seed(0), self.plan.deviation)
            return transformer
        weights = trained_weights(self.folder / start)
        if are_shared(weights):
            self._share_levels(transformer)
        transformer.load_state_dict(weights)
        settle_levels(transformer)
        return transformer

    def _share_levels(self, transformer: Transformer) -> None:
        share_levels(transformer, self.plan.image, min(self.vocabulary().codes))

    def sharded_transformer(self, start: str | None = None) -> Transformer:
        """Return this process's part of `transformer`."""
        with torch.device("meta"):
            transformer = Transformer(self._shape())
        return sharded(transformer, transformer.layers, lambda: self.transformer(start).state_dict())

    def _shape(self) -> TransformerConfig:
        return replace(self.plan.transformer, vocabulary=self.vocabulary().size)

    def _mixture(self, shares: dict[str, float], seed: int) -> Mixture:
        found = kept(np.load(self.folder / "neighbours.npy"))
        shards, plan = Shards(self.folder / "shards"), self.plan
        return Mixture(shards, self.vocabulary(), shares, found, plan.retrieval, seed, plan.easy)

    def _language(self, name: str, schedule: Schedule, mixture: Mixture, start: str | None = None) -> None:
        transformer = self.sharded_transformer(start) if self.sharded else self.transformer(start)
        if self.plan.language.shared_levels and not self.sharded:
            self._share_levels(transformer)
        table = place_table(self.vocabulary(), self.plan.image.grid**2)
        self._train(LanguageStage(transformer, mixture, table, self.plan.language, self.device), schedule, name)

    def _train(self, stage: Stage, schedule: Schedule, name: str) -> None:
        schedule = replace(schedule, steps=self.steps or schedule.steps)
        train(stage, schedule, self.folder / name, pace=self.pace, stop_at=self.stop_at)


STAGES = (
    "adopt",
    "adopt_transformer",
    "seer",
    "tokenizer",
    "decoder",
    "encoder",
    "prepare",
    "neighbours",
    "pretrain",
    "finetune",
    "export",
    "curves",
)


def main() -> None:
    """Run the stages that the arguments name, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m cm3leon.train", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=STAGES, metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--plan", choices=tuple(PLANS), default="gpu" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("cm3leon-training"), help="folder of checkpoints and logs")
    parser.add_argument("--steps", type=int, help="instead of the plan's")
    parser.add_argument("--stop-at", type=int, help="stop after this step; the same command goes on later")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches ahead")
    parser.add_argument("--save-every", type=int, default=200)
    parser.add_argument(
        "--sharded",
        action="store_true",
        help="under torchrun, give each process a part of the transformer's weights, for a model that fits no one GPU",
    )
    given = parser.parse_args()
    if given.sharded and not torch.distributed.is_torchelastic_launched():
        parser.error("--sharded takes several processes: torchrun --nproc-per-node N -m cm3leon.train ... --sharded")
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False  # codes must not depend on the device's rounding
    # made first, for it gives each process a GPU of its own
    device = Accelerator(cpu=not torch.cuda.is_available()).device.type
    pace = Pace(given.workers, given.save_every)
    workshop = Workshop(PLANS[given.plan], given.out, pace, device, given.steps, given.stop_at, given.sharded)
    for stage in given.stages:
        print(f"stage {stage}", flush=True)  # noqa: T201
        getattr(workshop, stage)()
    leave_group()


if __name__ == "__main__":
    main()
