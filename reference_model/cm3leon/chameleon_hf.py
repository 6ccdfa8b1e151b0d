"""Chameleon in the layout of transformers: config and weights.

Source: transformers' configuration_chameleon.py and modeling_chameleon.py, 4.47 to 5.23.
"""

from __future__ import annotations

from pathlib import Path

import torch

from cm3leon.chameleon_files import Layout, prefix_of, read_vqgan
from cm3leon.checkpoints import Recipe, Target, fill, rows_joined, same_names
from cm3leon.config import Config, ImageTokenizerConfig, TransformerConfig
from cm3leon.config_fields import Fields, fields_of
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.tensor_files import CheckpointError, read_json, stored
from cm3leon.transformer import Transformer
from cm3leon.vocab import Vocabulary, code_name


def hf_config(found: Layout, vocabulary: Vocabulary) -> tuple[ImageTokenizerConfig, TransformerConfig]:
    """Return the shapes that `config.json` gives, transformers' defaults where it is silent.

    Raises:
        CheckpointError: it is damaged, of another model, or of other picture codes than the tokenizer.
    """
    config = fields_of(found.config, read_json(found.config))
    config.must("model_type", ("chameleon",))
    config.must("hidden_act", (None, "silu"))
    for name in ("attention_bias", "mlp_bias"):
        config.must(name, (None, False))
    heads = config.take("num_attention_heads", int, 32)
    transformer = TransformerConfig(
        vocabulary=config.take("vocab_size", int, 65_536),
        width=config.take("hidden_size", int, 4096),
        layers=config.take("num_hidden_layers", int, 32),
        heads=heads,
        kv_heads=config.take("num_key_value_heads", int, heads),
        hidden=config.take("intermediate_size", int, 11_008),
        context=config.take("max_position_embeddings", int, 4096),
        norm="rms-norm",
        position="rotary",
        mlp="swiglu",
        qk_norm=True,
        qk_norm_groups=config.take("model_parallel_size", int, 1),
        swin_norm=config.take("swin_norm", bool, False),
        norm_eps=config.take("rms_norm_eps", float, 1e-5),
        rope_theta=_theta(config),
        tied=config.take("tie_word_embeddings", bool, False),
    )
    _same_codes(config, vocabulary, found.tokenizer)
    return _image_config(config.within("vq_config")), transformer


def _theta(config: Fields) -> float:
    config.must("rope_scaling", (None,))
    if config.values.get("rope_parameters") is None:
        return config.take("rope_theta", float, 10_000.0)
    rotary = config.within("rope_parameters")
    rotary.must("rope_type", (None, "default"))
    return rotary.take("rope_theta", float, 10_000.0)


def _image_config(config: Fields) -> ImageTokenizerConfig:
    for name, only in (("double_latent", (None, False)), ("in_channels", (None, 3)), ("attn_type", (None, "vanilla"))):
        config.must(name, only)
    config.must("attn_resolutions", (None, []))
    return ImageTokenizerConfig(
        pixels=config.take("resolution", int, 512),
        codes=config.take("num_embeddings", int, 8192),
        code_channels=config.take("embed_dim", int, 256),
        channels=config.take("base_channels", int, 128),
        multipliers=config.numbers("channel_multiplier", (1, 1, 2, 2, 4)),
        blocks=config.take("num_res_blocks", int, 2),
        latent_channels=config.take("latent_channels", int, 256),
    )


def _same_codes(config: Fields, vocabulary: Vocabulary, tokenizer: Path) -> None:
    """Check that the config's own map of the vocabulary, where there is one, has the tokenizer's picture codes."""
    if config.values.get("vocabulary_map") is None:
        return
    ids = config.within("vocabulary_map").values
    other = [code_name(code) for code, token in enumerate(vocabulary.codes) if ids.get(code_name(code)) != token]
    if other:
        raise CheckpointError(
            f"{config.path}: vocabulary_map gives {len(other)} picture codes, {other[0]} the first, other ids than "
            f"{tokenizer}; the two files are of different models"
        )


def hf_weights(
    found: Layout, config: Config, dtype: torch.dtype, device: str | torch.device
) -> tuple[ImageTokenizer, Transformer]:
    """Return the image tokenizer, without a decoder if there is none, and the transformer as `dtype`.

    Raises:
        CheckpointError: the weights are not those of the config.
    """
    path = found.weights[0]
    store = stored(path)
    # what stands before the names has differed with the version and the class that saved them
    text = prefix_of(store, "embed_tokens.weight", path)
    picture = prefix_of(store, "quantize.embedding.weight", path)
    draws = f"{picture}decoder.conv_in.weight" in store
    with torch.device("meta"):
        transformer, image_tokenizer = Transformer(config.transformer), ImageTokenizer(config.image, draws)
    head = None if config.transformer.tied else f"{prefix_of(store, 'lm_head.weight', path)}lm_head.weight"
    targets = (
        Target(transformer, _recipes(transformer, text, head), dtype),
        Target(image_tokenizer, same_names(image_tokenizer, picture), torch.float32),
    )
    fill(targets, store, path, device)
    if found.vqgan is not None:
        whole = read_vqgan(found.vqgan, config.image, device)
        if not _same_codebook(whole, image_tokenizer):
            raise CheckpointError(f"{found.vqgan}: its codebook, quantize.embedding.weight, is not that of {path}")
        image_tokenizer = whole
    return image_tokenizer, transformer


def _recipes(transformer: Transformer, before: str, head: str | None) -> dict[str, Recipe]:
    """Return recipes for weights that are as ours but for two joins: queries, keys and values, and gate and up."""
    c = transformer.config
    channels, kv_heads = c.width // c.heads, c.kv_heads or c.heads
    rows = {"q": c.heads * channels, "k": kv_heads * channels, "v": kv_heads * channels}
    recipes = same_names(transformer, before)
    if head is not None:
        recipes["lm_head.weight"] = Recipe(((head, (c.vocabulary, c.width)),), rows_joined)
    for i in range(c.layers):
        layer = f"{before}layers.{i}"
        qkv = tuple((f"{layer}.self_attn.{part}_proj.weight", (rows[part], c.width)) for part in "qkv")
        up = tuple((f"{layer}.mlp.{part}_proj.weight", (c.hidden, c.width)) for part in ("gate", "up"))
        recipes[f"layers.{i}.self_attn.qkv_proj.weight"] = Recipe(qkv, rows_joined)
        recipes[f"layers.{i}.mlp.up_proj.weight"] = Recipe(up, rows_joined)
    return recipes


def _same_codebook(one: ImageTokenizer, other: ImageTokenizer) -> bool:
    """Return whether two codebooks agree as well as half precision lets them."""
    a, b = one.quantize.embedding.weight, other.quantize.embedding.weight
    return bool(torch.isclose(a, b, rtol=0.01, atol=1e-6).all())
