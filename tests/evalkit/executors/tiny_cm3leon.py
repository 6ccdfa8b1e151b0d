"""A CM3leon of random weights, too small to know anything and the same wherever it is built."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from cm3leon.adapter import Cm3leon, Defaults
from cm3leon.checkpoints import Checkpoint
from cm3leon.config import Config, ImageTokenizerConfig, TransformerConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.transformer import Transformer
from cm3leon.vocab import trained_vocabulary
from evalkit.workspace import Workspace

IMAGE = ImageTokenizerConfig(
    pixels=16,
    codes=16,
    code_channels=2,
    channels=32,
    multipliers=(1,),
    blocks=1,
    latent_channels=4,
    patch=4,
    levels=(4, 4),
)


def factory(workspace: Workspace, argument: str = "", options: Mapping[str, str] | None = None) -> Cm3leon:
    """Return the model."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    vocabulary = trained_vocabulary(["a red star above a blue ring"], 300, codes=16, sentinels=4)
    shape = TransformerConfig(
        vocabulary=vocabulary.size,
        width=32,
        layers=2,
        heads=4,
        hidden=64,
        context=512,
        tied=True,
        segments=8,
        image_cells=16,
    )
    transformer = Transformer(shape)
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.normal_(0, 0.3)
    checkpoint = Checkpoint(Config("tiny", IMAGE, shape), vocabulary, ImageTokenizer(IMAGE).eval(), transformer.eval())
    return Cm3leon("cm3leon:tiny", checkpoint, "0" * 64, Defaults({"text-to-image": 2.0, "text-guided-editing": 2.0}))
