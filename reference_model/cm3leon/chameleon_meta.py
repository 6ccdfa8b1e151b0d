"""Chameleon in the layout of Meta, which Anole shares: config and weights, whole or in model-parallel parts.

Meta pairs channels 2 i and 2 i + 1 when it turns queries and keys, transformers and we i and i + N / 2; so rows of
queries and keys, and the weights of their norms, are put into our order. Each part has norms of its own for queries and
keys, which all heads of the part share.

Source: facebookresearch/chameleon, inference/{transformer, loader, vqgan}.py; transformers'
convert_chameleon_weights_to_hf.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import yaml
from einops import rearrange
from torch import Tensor

from cm3leon.chameleon_files import Layout, read_vqgan, vqgan_yaml
from cm3leon.checkpoints import Recipe, Target, fill, rows_joined
from cm3leon.config import Config, ImageTokenizerConfig, TransformerConfig
from cm3leon.config_fields import Fields, fields_of
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.tensor_files import CheckpointError, Store, read_json, stored
from cm3leon.transformer import Transformer
from cm3leon.vocab import Vocabulary


def metas_config(found: Layout, vocabulary: Vocabulary) -> tuple[ImageTokenizerConfig, TransformerConfig]:
    """Return the shapes that `params.json`, `consolidate_params.json` and `vqgan.yaml` give.

    Raises:
        CheckpointError: one is damaged, or lacks a field, or parts of the model are missing.
    """
    params = _params(found)
    width, heads = params.take("dim", int), params.take("n_heads", int)
    parts = params.take("model_parallel_size", int, 1)
    _check_parts(found, parts)
    first = stored(found.weights[0])
    transformer = TransformerConfig(
        vocabulary=vocabulary.size,
        width=width,
        layers=params.take("n_layers", int),
        heads=heads,
        kv_heads=params.take("n_kv_heads", int, heads),
        hidden=_hidden(params, width),
        context=4096,
        norm="rms-norm",
        position="rotary",
        mlp="swiglu",
        qk_norm=params.take("qk_normalization", bool, "layers.0.attention.q_normalization.weight" in first),
        qk_norm_groups=parts,
        swin_norm=params.take("swin_norm", bool, False),
        norm_eps=params.take("norm_eps", float, 1e-5),
        rope_theta=params.take("rope_theta", float, 10_000.0),
    )
    return _image_config(vqgan_yaml(found.tokenizer)), transformer


def _params(found: Layout) -> Fields:
    """Return the fields of params.json; those under `model` and of consolidate_params.json go before the others."""
    params = dict(fields_of(found.config, read_json(found.config)).values)
    model = params.get("model")
    params |= model if isinstance(model, dict) else {}
    consolidated = found.config.with_name("consolidate_params.json")
    if consolidated.is_file():
        params |= fields_of(consolidated, read_json(consolidated)).values
    return Fields(found.config, params)


def _hidden(params: Fields, width: int) -> int:
    """Return the width inside the MLP: two thirds of 4 D, scaled, rounded up."""
    multiple = params.take("multiple_of", int, 256)
    if multiple < 1:
        raise CheckpointError(f"{params.path}: multiple_of is {multiple}; it must be above 0")
    hidden = int(params.take("ffn_dim_multiplier", float, 1.0) * int(2 * 4 * width / 3))
    return -(-hidden // multiple) * multiple


def _check_parts(found: Layout, parts: int) -> None:
    names = [path.name for path in found.weights]
    wanted = [f"consolidated.{i:02}.pth" for i in range(len(names))]
    if len(names) != parts or (names != wanted and names != ["consolidated.pth"]):
        raise CheckpointError(
            f"{found.config} says that the model is in {parts} parts, but beside it lie {', '.join(names)}"
        )


def _image_config(path: Path) -> ImageTokenizerConfig:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} is missing or not readable ({error})") from error
    params = fields_of(path, content).within("model").within("params")
    shape = params.within("ddconfig")
    for name, only in (("double_z", False), ("in_channels", 3), ("out_ch", 3), ("attn_resolutions", [])):
        shape.must(name, (only,))
    params.must("remap", (None,))
    shape.must("attn_type", (None, "vanilla"))
    return ImageTokenizerConfig(
        pixels=shape.take("resolution", int),
        codes=params.take("n_embed", int),
        code_channels=params.take("embed_dim", int),
        channels=shape.take("ch", int),
        multipliers=shape.numbers("ch_mult"),
        blocks=shape.take("num_res_blocks", int),
        latent_channels=shape.take("z_channels", int),
    )


def metas_weights(
    found: Layout, config: Config, dtype: torch.dtype, device: str | torch.device
) -> tuple[ImageTokenizer, Transformer]:
    """Return the image tokenizer and the transformer as `dtype`.

    Raises:
        CheckpointError: the weights are not those of the config.
    """
    names = [path.name for path in found.weights]
    # the angles of the positions are computed, not learnt
    store = {
        f"{path.name}: {name}": tensor
        for path in found.weights
        for name, tensor in stored(path).items()
        if name != "rope.freqs"
    }
    with torch.device("meta"):
        transformer = Transformer(config.transformer)
    recipes = _Parts(config.transformer, names, store).recipes()
    fill((Target(transformer, recipes, dtype),), store, found.config.parent, device)
    if found.vqgan is None:
        raise CheckpointError(f"{found.config.parent} has no vqgan.ckpt")
    return read_vqgan(found.vqgan, config.image, device), transformer


class _Parts:
    """Recipes for weights that lie in parts, each with its share of the heads and of the MLP's channels."""

    def __init__(self, config: TransformerConfig, files: Sequence[str], store: Store) -> None:
        self._config, self._files, self._store = config, files, store
        self._channels = config.width // config.heads
        self._kv_heads = config.kv_heads or config.heads

    def recipes(self) -> dict[str, Recipe]:
        """Return the recipe of each tensor of our transformer."""
        c, parts = self._config, len(self._files)
        found = {
            "embed_tokens.weight": self._of(_across, ("tok_embeddings.weight", (c.vocabulary, c.width // parts))),
            "norm.weight": self._of(_mean, ("norm.weight", (c.width,))),
            "lm_head.weight": self._of(rows_joined, ("output.weight", (c.vocabulary // parts, c.width))),
        }
        for i in range(c.layers):
            found |= {f"layers.{i}.{name}": recipe for name, recipe in self._layer(f"layers.{i}").items()}
        return found

    def _layer(self, layer: str) -> dict[str, Recipe]:
        c, parts = self._config, len(self._files)
        heads, kv_heads, hidden = c.heads // parts, self._kv_heads // parts, c.hidden // parts
        rows = [count * self._channels for count in (heads, kv_heads, kv_heads)]
        join_qkv = partial(self._joined, rows, (partial(_halved, c.heads), partial(_halved, self._kv_heads), None))
        join_up = partial(self._joined, [hidden, hidden], (None, None))
        wo = (f"{layer}.attention.wo.weight", (c.width, heads * self._channels))
        w2 = (f"{layer}.feed_forward.w2.weight", (c.width, hidden))
        found = {
            "input_layernorm.weight": self._of(_mean, (f"{layer}.attention_norm.weight", (c.width,))),
            "post_attention_layernorm.weight": self._of(_mean, (f"{layer}.ffn_norm.weight", (c.width,))),
            "self_attn.qkv_proj.weight": self._of(
                join_qkv, *self._fused(f"{layer}.attention", "wqkv", ("wq", "wk", "wv"), rows)
            ),
            "self_attn.o_proj.weight": self._of(_across, wo),
            "mlp.up_proj.weight": self._of(
                join_up, *self._fused(f"{layer}.feed_forward", "w13", ("w1", "w3"), [hidden, hidden])
            ),
            "mlp.down_proj.weight": self._of(_across, w2),
        }
        if c.qk_norm:
            for part, count in (("q", heads), ("k", kv_heads)):
                for kind in ("weight", "bias"):
                    name = f"{layer}.attention.{part}_normalization.{kind}"
                    join = partial(_of_each_head, count)
                    found[f"self_attn.{part}_norm.{kind}"] = self._of(join, (name, (self._channels,)))
        return found

    def _of(self, join: Callable[[Sequence[Tensor]], Tensor], *wanted: tuple[str, tuple[int, ...]]) -> Recipe:
        sources = tuple((f"{file}: {name}", shape) for file in self._files for name, shape in wanted)
        return Recipe(sources, join)

    def _fused(
        self, module: str, fused: str, apart: Sequence[str], rows: Sequence[int]
    ) -> list[tuple[str, tuple[int, ...]]]:
        """Return the names and shapes of maps that a file holds joined under `fused`, or apart."""
        width = self._config.width
        if f"{self._files[0]}: {module}.{fused}.weight" in self._store:
            return [(f"{module}.{fused}.weight", (sum(rows), width))]
        return [(f"{module}.{name}.weight", (count, width)) for name, count in zip(apart, rows, strict=True)]

    def _joined(
        self, rows: Sequence[int], orders: Sequence[Callable[[Tensor], Tensor] | None], parts: Sequence[Tensor]
    ) -> Tensor:
        """Return maps, of which each file holds its `rows` one below the other, each whole and in our order."""
        each = len(parts) // len(self._files)
        files = [torch.split(torch.cat(list(parts[i : i + each])), list(rows)) for i in range(0, len(parts), each)]
        whole = [torch.cat(shares) for shares in zip(*files, strict=True)]
        return torch.cat([w if order is None else order(w) for w, order in zip(whole, orders, strict=True)])


def _halved(heads: int, rows: Tensor) -> Tensor:
    """Return rows `(H N, D)` whose pairs of channels are 2 i and 2 i + 1 in the order i and i + N / 2."""
    return rearrange(rows, "(h n two) d -> (h two n) d", h=heads, two=2)


def _of_each_head(heads: int, parts: Sequence[Tensor]) -> Tensor:
    """Return `(H, N)` in our order from `(N,)` of each part, which all of its heads share."""
    return rearrange(torch.stack(list(parts)), "p (n two) -> p (two n)", two=2).repeat_interleave(heads, 0)


def _across(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts), dim=1)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    """Return what each part holds a copy of; the public converter takes the mean too."""
    return torch.stack(list(parts)).float().mean(0)
