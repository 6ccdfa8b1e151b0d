"""What trains the shipped model: each stage's schedule and recipe as data, for a GPU and for two CPU cores."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cm3leon.config import (
    BLOCKSWORLD_IMAGE,
    BLOCKSWORLD_TRANSFORMER,
    CONFIGS,
    ImageTokenizerConfig,
    TransformerConfig,
)
from cm3leon.train.dual_encoder import DualEncoderRecipe
from cm3leon.train.language import LanguageRecipe
from cm3leon.train.loop import Schedule
from cm3leon.train.tokenizer import TokenizerRecipe
from cm3leon.transformer import INIT_STD

PRETRAINING: Mapping[str, float] = types.MappingProxyType({"pair": 1.0})
FINETUNING: Mapping[str, float] = types.MappingProxyType(
    {
        "text-to-image": 0.28,
        "captioning": 0.10,
        "vqa": 0.20,
        "editing": 0.18,
        "edges": 0.03,
        "depth": 0.02,
        "segmentation": 0.04,
        "boxes": 0.15,
    }
)
"""How often each kind of document comes; the paper limits a set's up- and down-sampling to 3 and 0.3 (its table 4)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the weights of a model."""

    seer: Schedule
    seer_batch: int
    tokenizer: Schedule
    tokenizer_recipe: TokenizerRecipe
    decoder: Schedule
    decoder_recipe: TokenizerRecipe
    encoder: Schedule
    encoder_recipe: DualEncoderRecipe
    shards: int
    """Shards of prepared records."""
    pretrain: Schedule
    finetune: Schedule
    language: LanguageRecipe
    source: str = "evalkit_tasks.blocksworld.training:training_record"
    """Where records come from."""
    kinds: int = 22
    """Kinds of pixels that the source's records tell apart."""
    pieces: int = 712
    """Byte pairs of the vocabulary."""
    sentinels: int = 8
    bank: int = 4_000
    """Records, from the first on, that retrieval finds documents among."""
    whole_shards: int | None = None
    """Those that hold maps and edited pictures: the first so many, or all."""
    retrieval: float = 0.1
    """Share of pairs and of wishes that retrieved documents stand before."""
    easy: int = 0
    """Documents of each language stage, the first so many, that show scenes of the first stratum alone."""
    image: ImageTokenizerConfig = BLOCKSWORLD_IMAGE
    transformer: TransformerConfig = BLOCKSWORLD_TRANSFORMER
    deviation: float = 0.02
    """Standard deviation of the transformer's first weights."""


_TOKENIZER = TokenizerRecipe(
    batch=32,
    warmup=100,
    squared=6.0,
    gradient=0.3,
    told=0.3,
    perceptual=0.0,
    settling=300,
    grounds=0.5,
    muon_rate=12.0,
    crowded=True,
)
_DECODER = replace(_TOKENIZER, warmup=0, squared=0.0, told=0.2, grounds=0.0, fixed=True)
_GPU = Plan(
    seer=Schedule(1_200, 2e-3, 50),
    seer_batch=128,
    tokenizer=Schedule(2_494, 3e-3, 100, floor=0.02),
    tokenizer_recipe=replace(_TOKENIZER, batch=256),
    decoder=Schedule(594, 1.5e-3, 50, floor=0.02),
    decoder_recipe=replace(_DECODER, batch=256),
    encoder=Schedule(1_500, 2e-3, 100),
    encoder_recipe=DualEncoderRecipe(batch=1024),
    shards=32,
    pretrain=Schedule(412, 2e-3, 100, floor=0.5),
    finetune=Schedule(3_706, 2e-3, 50, floor=0.01),
    language=LanguageRecipe(documents=256, rows=(336, 416, 592, 1024), muon_rate=12.0, shared_levels=True),
    easy=250_000,
)
"""What the shipped weights were trained by, in eleven minutes; the steps are what those were enough for."""
_CPU = replace(
    _GPU,
    seer=Schedule(2_500, 2e-3, 50),
    seer_batch=32,
    tokenizer=Schedule(3_200, 3e-3, 50, floor=0.02),
    tokenizer_recipe=_TOKENIZER,
    decoder=Schedule(1_600, 1.5e-3, 50, floor=0.02),
    decoder_recipe=_DECODER,
    encoder=Schedule(2_000, 1e-3, 100),
    encoder_recipe=DualEncoderRecipe(batch=256),
    shards=14,
    whole_shards=12,
    pretrain=Schedule(100, 2e-3, 30, floor=0.5),
    finetune=Schedule(2_000, 2e-3, 30, floor=0.01),
    language=LanguageRecipe(documents=48, muon_rate=12.0, shared_levels=True),
    easy=20_000,
    transformer=replace(BLOCKSWORLD_TRANSFORMER, width=192, layers=6, heads=6, hidden=768),
)
_7B = replace(
    _GPU,
    pretrain=Schedule(300_000, 1.2e-4, 1_500),
    finetune=Schedule(15_000, 5e-5, 150),
    language=LanguageRecipe(documents=24, rows=(4096,), muon_rate=0.0),
    easy=0,
    transformer=CONFIGS["7b"].transformer,
    deviation=INIT_STD,
)
"""The paper's 7B: shape, rates, warm-ups, and steps as tokens over tokens a step; `source` and `image` are to be one's
own."""
PLANS: Mapping[str, Plan] = types.MappingProxyType({"gpu": _GPU, "cpu": _CPU, "7b": _7B})
