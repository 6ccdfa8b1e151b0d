"""Small random Chameleons in the layouts of the published ones: as transformers saves them, and as Meta does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
import yaml
from einops import rearrange
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from cm3leon.config import ImageTokenizerConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.vocab import BREAK, PAD, SPAN_END, code_name

hf: Any = transformers
"""Its annotations are narrower than what it takes."""

CODES = 64
WIDTH, HEADS, LAYERS = 64, 4, 2
IMAGE = {
    "embed_dim": 8,
    "num_embeddings": CODES,
    "latent_channels": 16,
    "resolution": 32,
    "base_channels": 32,
    "channel_multiplier": [1, 2],
    "num_res_blocks": 1,
}
IMAGE_CONFIG = ImageTokenizerConfig(32, CODES, 8, 32, (1, 2), 1, 16)
CODE_ORDER = np.random.default_rng(0).permutation(CODES)
"""Codes in the order of their ids: a map through the names must not count on any."""


def chameleon_tokenizer() -> Tokenizer:
    """Return a byte tokenizer with Chameleon's names, the codes among them no special tokens."""
    codes = [code_name(int(code)) for code in CODE_ORDER]
    names = ["<s>", PAD, "</s>", "<unk>", *codes, SPAN_END, BREAK, "<reserved08706>", "<image>", "<reserved08708>"]
    pieces = [*names, *sorted(pre_tokenizers.ByteLevel.alphabet()), "an", "Ġa", "Ġan"]
    merges = [("a", "n"), ("Ġ", "a"), ("Ġ", "an")]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(name, special=name == "<s>", normalized=False) for name in names])
    return tokenizer


@torch.no_grad()
def hf_model(
    kv_heads: int = HEADS,
    swin: bool = False,
    parts: int = 1,
    plain_norms: bool = False,
    theta: float = 10_000.0,
    eps: float = 1e-5,
) -> Any:
    """Return a small random model whose queries and keys have the same norms in all heads of a part."""
    tokenizer = chameleon_tokenizer()
    config = hf.ChameleonConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        intermediate_size=192,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        model_parallel_size=parts,
        swin_norm=swin,
        rms_norm_eps=eps,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        vocabulary_map=tokenizer.get_vocab(),
        vq_config=IMAGE,
    )
    torch.manual_seed(0)
    model = hf.ChameleonForConditionalGeneration(config).eval()
    for name, weight in model.named_parameters():
        if "norm" not in name:
            weight.normal_(0, 0.15)
        elif not plain_norms:
            weight.add_(torch.randn_like(weight) * 0.3)
        if "q_norm" in name or "k_norm" in name:
            heads = len(weight) // parts
            weight.copy_(weight[::heads].repeat_interleave(heads, 0))
    return model


def save_hf(model: Any, folder: Path, shard: str = "1GB") -> Path:
    model.save_pretrained(folder, max_shard_size=shard)
    chameleon_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def decoder_of(seed: int = 1) -> dict[str, Tensor]:
    """Return the tensors of a decoder that transformers leaves out."""
    torch.manual_seed(seed)
    weights = ImageTokenizer(IMAGE_CONFIG).state_dict()
    return {name: weight for name, weight in weights.items() if name.startswith("decoder.")}


def vqgan_of(model: Any) -> dict[str, Tensor]:
    """Return what a vqgan.ckpt holds: the whole tokenizer, and what trained it."""
    encoder = {name: weight.clone() for name, weight in model.model.vqmodel.state_dict().items()}
    return {**encoder, **decoder_of(), "loss.logvar": torch.zeros(())}


def save_meta(model: Any, base: Path, parts: int = 1, fused: bool = False, whole: bool = True) -> Path:
    """Write a model in Meta's layout, by the inverse of the order that its queries and keys have in transformers."""
    home, tokenizer = base / "models" / "7b", base / "tokenizer"
    home.mkdir(parents=True)
    tokenizer.mkdir()
    c = model.config
    weights = {
        name.removeprefix("model."): weight for name, weight in model.state_dict().items() if "vqmodel" not in name
    }
    for part in range(parts):
        name = "consolidated.pth" if parts == 1 and whole else f"consolidated.{part:02}.pth"
        torch.save(meta_part(weights, c, part, parts, fused), home / name)
    params = {
        "dim": c.hidden_size,
        "n_layers": c.num_hidden_layers,
        "n_heads": c.num_attention_heads,
        "n_kv_heads": c.num_key_value_heads,
        "multiple_of": 64,
        "norm_eps": c.rms_norm_eps,
        "rope_theta": c.rope_parameters["rope_theta"],
        "qk_normalization": True,
        "swin_norm": c.swin_norm,
    }
    (home / "params.json").write_text(json.dumps({"model": params, "model_parallel_size": 8, "seed": 1}))
    (home / "consolidate_params.json").write_text(json.dumps({"model_parallel_size": parts}))
    chameleon_tokenizer().save(str(tokenizer / "text_tokenizer.json"))
    torch.save({"state_dict": vqgan_of(model)}, tokenizer / "vqgan.ckpt")
    shape = {
        "double_z": False,
        "z_channels": IMAGE["latent_channels"],
        "resolution": IMAGE["resolution"],
        "in_channels": 3,
        "out_ch": 3,
        "ch": IMAGE["base_channels"],
        "ch_mult": IMAGE["channel_multiplier"],
        "num_res_blocks": IMAGE["num_res_blocks"],
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    picture = {"embed_dim": IMAGE["embed_dim"], "n_embed": CODES, "ddconfig": shape, "lossconfig": {"target": "x"}}
    (tokenizer / "vqgan.yaml").write_text(yaml.safe_dump({"model": {"params": picture}}))
    return base


def meta_part(weights: dict[str, Tensor], c: Any, part: int, parts: int, fused: bool) -> dict[str, Tensor]:
    """Return the tensors of one of Meta's parts; pairs of channels go from i, i + N / 2 to 2 i, 2 i + 1."""

    def share(weight: Tensor, axis: int) -> Tensor:
        return weight.chunk(parts, axis)[part].clone()

    def paired(weight: Tensor) -> Tensor:
        channels = c.hidden_size // c.num_attention_heads
        return rearrange(weight, "(h two n) d -> (h n two) d", two=2, n=channels // 2)

    found = {
        "tok_embeddings.weight": share(weights["embed_tokens.weight"], 1),
        "norm.weight": weights["norm.weight"],
        "output.weight": share(weights["lm_head.weight"], 0),
        "rope.freqs": torch.zeros(8),
    }
    for i in range(c.num_hidden_layers):
        old, new = f"layers.{i}.", f"layers.{i}."
        q, k = (paired(share(weights[f"{old}self_attn.{x}_proj.weight"], 0)) for x in "qk")
        v = share(weights[f"{old}self_attn.v_proj.weight"], 0)
        gate, up = (share(weights[f"{old}mlp.{x}_proj.weight"], 0) for x in ("gate", "up"))
        if fused:
            found[f"{new}attention.wqkv.weight"] = torch.cat([q, k, v])
            found[f"{new}feed_forward.w13.weight"] = torch.cat([gate, up])
        else:
            names = ("attention.wq", "attention.wk", "attention.wv", "feed_forward.w1", "feed_forward.w3")
            found |= {f"{new}{n}.weight": w for n, w in zip(names, (q, k, v, gate, up), strict=True)}
        found[f"{new}attention.wo.weight"] = share(weights[f"{old}self_attn.o_proj.weight"], 1)
        found[f"{new}feed_forward.w2.weight"] = share(weights[f"{old}mlp.down_proj.weight"], 1)
        found[f"{new}attention_norm.weight"] = weights[f"{old}input_layernorm.weight"]
        found[f"{new}ffn_norm.weight"] = weights[f"{old}post_attention_layernorm.weight"]
        for x in "qk":
            for kind in ("weight", "bias"):
                norm = share(weights[f"{old}self_attn.{x}_norm.{kind}"], 0)[0]
                found[f"{new}attention.{x}_normalization.{kind}"] = rearrange(norm, "(two n) -> (n two)", two=2)
    return found


@torch.inference_mode()
def unmasked(model: Any, ids: Tensor) -> Tensor:
    """Return transformers' logits from before it masks those of picture codes."""
    return F.linear(model.model(ids).last_hidden_state, model.lm_head.weight)
