"""Laws of published weights: what transformers saves and what Meta's layout holds says here what it says there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers.models.chameleon.image_processing_pil_chameleon import ChameleonImageProcessorPil

from cm3leon.chameleon import load, prepared
from cm3leon.chameleon_files import layout
from cm3leon.checkpoints import Checkpoint, CheckpointError, digest
from cm3leon.config import CONFIGS
from cm3leon.places import place_table
from cm3leon.transformer import Places, Transformer
from cm3leon.vocab import BREAK, PAD, SPAN_END, code_name, vocabulary_of

from .tiny_chameleon import (
    CODE_ORDER,
    CODES,
    IMAGE,
    WIDTH,
    chameleon_tokenizer,
    decoder_of,
    hf_model,
    save_hf,
    save_meta,
    unmasked,
    vqgan_of,
)

processor: Any = ChameleonImageProcessorPil
TOLERANCE = 1e-4


def places(checkpoint: Checkpoint, ids: Tensor) -> Places:
    """Return where tokens stand; Chameleon goes by the index alone."""
    table = place_table(checkpoint.vocabulary, checkpoint.config.image.grid**2)
    offset, segment, cell = (torch.from_numpy(part) for part in table.of(ids.numpy()))
    return Places(torch.arange(ids.shape[1]).expand_as(ids), offset, segment, cell)


@torch.inference_mode()
def logits(checkpoint: Checkpoint, ids: Tensor) -> Tensor:
    found: Tensor = checkpoint.transformer(ids, places(checkpoint, ids))
    return found


def drawn_ids(length: int = 40, rows: int = 2) -> Tensor:
    """Return random ids, picture codes among them."""
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, chameleon_tokenizer().get_vocab_size(), (rows, length), generator=generator)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in transformers' layout, sharded."""
    return save_hf(hf_model(), tmp_path_factory.mktemp("hf"), "200KB")


def copied(saved: Path, folder: Path) -> Path:
    """Return a copy of a folder that a test may damage."""
    for path in saved.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


# -------------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize(
    ("kv_heads", "swin", "plain_norms"), [(4, False, False), (2, False, True), (2, True, False), (1, True, True)]
)
def test_logits_are_those_of_transformers(tmp_path: Path, kv_heads: int, swin: bool, plain_norms: bool) -> None:
    model = hf_model(kv_heads, swin, plain_norms=plain_norms)
    ids = drawn_ids()
    ours = load(save_hf(model, tmp_path), dtype=torch.float32)
    found = logits(ours, ids)

    with torch.inference_mode():
        theirs = model(ids).logits
    codes = torch.tensor(ours.vocabulary.codes)
    text = torch.ones(theirs.shape[-1], dtype=torch.bool)
    text[codes] = False
    assert theirs[..., text].std() > 0.5
    assert (found[..., text] - theirs[..., text]).abs().max() < TOLERANCE
    # transformers masks the codes; nothing here does
    assert (theirs[..., codes] == torch.finfo(torch.float32).min).all()
    assert (found - unmasked(model, ids)).abs().max() < TOLERANCE


def test_angles_and_eps_are_those_of_the_config_far_into_the_context(tmp_path: Path) -> None:
    model = hf_model(theta=300.0, eps=0.02)
    ids = drawn_ids(length=600, rows=1)
    wanted = unmasked(model, ids)
    for folder in (save_hf(model, tmp_path / "hf"), save_meta(model, tmp_path / "meta")):
        assert (logits(load(folder, dtype=torch.float32), ids) - wanted).abs().max() < TOLERANCE
    assert (unmasked(hf_model(eps=0.02), ids) - wanted).abs().max() > 0.1
    assert (unmasked(hf_model(theta=300.0), ids) - wanted).abs().max() > 0.1


def test_greedy_text_is_that_of_transformers(tmp_path: Path) -> None:
    model = hf_model(kv_heads=2)
    ours = load(save_hf(model, tmp_path), dtype=torch.float32)
    prompt = torch.tensor([[0, *ours.vocabulary.encode("a man can plan an ant")]])
    kept = {"do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    theirs = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, **kept)[0].tolist()
    assert greedy(ours, prompt, 30) == theirs
    assert len(set(theirs[prompt.shape[1] :])) > 5


@torch.inference_mode()
def greedy(checkpoint: Checkpoint, prompt: Tensor, count: int) -> list[int]:
    """Return a prompt and the likeliest text behind it, token by token through the cache."""
    transformer: Transformer = checkpoint.transformer
    length = prompt.shape[1] + count
    caches = transformer.caches(1, length)
    ids, fresh = prompt[0].tolist(), prompt
    codes = list(checkpoint.vocabulary.codes)
    for _ in range(count):
        at = torch.arange(len(ids) - fresh.shape[1], len(ids))
        zeros = torch.zeros_like(fresh)
        seen = torch.arange(length)[None, :] <= at[:, None]
        bias = torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)[None, None]
        hidden = transformer.hidden(fresh, Places(at[None], zeros, zeros, zeros), bias, caches, at)
        scores = F.linear(hidden[0, -1], transformer.head)
        scores[codes] = -torch.inf
        ids.append(int(scores.argmax()))
        fresh = torch.tensor([ids[-1:]])
    return ids


def test_picture_codes_are_those_of_transformers(tmp_path: Path) -> None:
    model = hf_model()
    ours = load(save_hf(model, tmp_path))
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    codes = ours.image_tokenizer.encode(pictures)
    with torch.inference_mode():
        theirs = model.model.vqmodel.encode(pictures).image_tokens.view(4, -1)
        tokens = model.get_image_tokens(pictures)
    assert codes.tolist() == theirs.tolist()
    assert len(set(codes.flatten().tolist())) > 5
    assert [ours.vocabulary.image(row) for row in codes.tolist()] == tokens.tolist()


@pytest.mark.parametrize(
    ("parts", "fused", "whole", "kv_heads", "swin"),
    [(1, False, True, 4, False), (1, True, False, 2, True), (2, False, True, 2, True), (2, True, True, 4, False)],
)
def test_metas_layout_holds_the_same_model(
    tmp_path: Path, parts: int, fused: bool, whole: bool, kv_heads: int, swin: bool
) -> None:
    model = hf_model(kv_heads, swin, parts)
    ours = load(save_meta(model, tmp_path, parts, fused, whole), dtype=torch.float32)
    ids = drawn_ids()
    assert (logits(ours, ids) - unmasked(model, ids)).abs().max() < TOLERANCE
    theirs = load(save_hf(model, tmp_path / "hf"), dtype=torch.float32)
    assert ours.config.transformer == theirs.config.transformer
    assert ours.config.image == theirs.config.image
    for name, weight in theirs.transformer.state_dict().items():
        assert torch.equal(weight, ours.transformer.state_dict()[name]), name


def test_pictures_are_drawn_as_taming_draws_them(tmp_path: Path) -> None:
    model = hf_model()
    ours = load(save_meta(model, tmp_path))
    codes = torch.randint(0, CODES, (2, 16 * 16), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        drawn = ours.image_tokenizer.decode(codes)
        wanted = taming(vqgan_of(model), codes).clamp(-1, 1)
    assert (drawn - wanted).abs().max() < 1e-5
    assert float(drawn.std()) > 0.01


def taming(weights: dict[str, Tensor], codes: Tensor) -> Tensor:
    """Return what taming's decoder draws: written down step by step from its keys."""

    def conv(name: str, x: Tensor, padding: int = 1) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)

    def normed(name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, 32, weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6)

    def swish(x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    def block(name: str, x: Tensor) -> Tensor:
        h = conv(f"{name}.conv1", swish(normed(f"{name}.norm1", x)))
        h = conv(f"{name}.conv2", swish(normed(f"{name}.norm2", h)))
        return h + (conv(f"{name}.nin_shortcut", x, 0) if f"{name}.nin_shortcut.weight" in weights else x)

    def attention(name: str, x: Tensor) -> Tensor:
        q, k, v = (conv(f"{name}.{part}", normed(f"{name}.norm", x), 0).flatten(2) for part in "qkv")
        scores = (torch.einsum("bci,bcj->bij", q, k) / q.shape[1] ** 0.5).softmax(2)
        return x + conv(f"{name}.proj_out", torch.einsum("bcj,bij->bci", v, scores).view_as(x), 0)

    z = weights["quantize.embedding.weight"][codes].view(len(codes), 16, 16, -1).permute(0, 3, 1, 2)
    x = conv("decoder.conv_in", conv("post_quant_conv", z, 0))
    x = block("decoder.mid.block_2", attention("decoder.mid.attn_1", block("decoder.mid.block_1", x)))
    for level in (1, 0):
        for number in (0, 1):
            x = block(f"decoder.up.{level}.block.{number}", x)
        if level:
            x = conv("decoder.up.1.upsample.conv", F.interpolate(x, scale_factor=2.0))
    return conv("decoder.conv_out", swish(normed("decoder.norm_out", x)))


# ------------------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize(
    ("old", "new"), [("model.", ""), ("model.", "model.model."), ("model.", "model.language_model.")]
)
def test_what_stands_before_the_names_does_not_matter(saved: Path, tmp_path: Path, old: str, new: str) -> None:
    weights = {n: w for path in saved.glob("model-*.safetensors") for n, w in load_file(path).items()}
    renamed = {re.sub(f"^{old}", new, name): weight for name, weight in weights.items()}
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    save_file(renamed, tmp_path / "model.safetensors")
    ids = drawn_ids()
    assert torch.equal(logits(load(tmp_path, dtype=torch.float32), ids), logits(load(saved, dtype=torch.float32), ids))


def test_config_of_an_older_version_means_the_same(saved: Path, tmp_path: Path) -> None:
    folder = copied(saved, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    wanted = load(folder).config
    del config["rope_parameters"], config["mlp_bias"], config["vq_config"]["attn_type"]
    config |= {"rope_theta": 10_000, "rope_scaling": None}
    (folder / "config.json").write_text(json.dumps(config))
    assert load(folder).config == wanted


def test_weights_without_a_decoder_read_pictures_and_say_where_to_get_one(saved: Path) -> None:
    ours = load(saved)
    assert ours.image_tokenizer.decoder is None
    assert ours.image_tokenizer.encode(torch.zeros(1, 3, 32, 32)).shape == (1, 256)
    with pytest.raises(ValueError, match=r"without a decoder.*vqgan\.ckpt.*Anole-7b-v0\.1-vqvae-hf"):
        ours.image_tokenizer.decode(torch.zeros(1, 256, dtype=torch.long))


@pytest.mark.parametrize("kind", ["file", "folder", "split"])
def test_decoder_comes_from_vqgan_or_from_the_split_weights(saved: Path, tmp_path: Path, kind: str) -> None:
    whole = vqgan_of(hf_model())
    if kind == "split":
        save_file({n: w for n, w in whole.items() if not n.startswith("loss.")}, tmp_path / "model.safetensors")
    else:
        torch.save({"state_dict": whole}, tmp_path / "vqgan.ckpt")
    ours = load(saved, vqgan=tmp_path / "vqgan.ckpt" if kind == "file" else tmp_path)
    codes = torch.arange(CODES).repeat(4)[None]
    with torch.inference_mode():
        assert (ours.image_tokenizer.decode(codes) - taming(whole, codes).clamp(-1, 1)).abs().max() < 1e-5


def test_decoder_beside_the_rest_is_taken(saved: Path, tmp_path: Path) -> None:
    folder = copied(saved, tmp_path)
    shard = folder / "model-00001-of-00002.safetensors"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shard = folder / sorted(set(index["weight_map"].values()))[0]
    decoder = {f"model.vqmodel.{name}": weight for name, weight in decoder_of().items()}
    save_file({**load_file(shard), **decoder}, shard)
    index["weight_map"] |= dict.fromkeys(decoder, shard.name)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load(folder).image_tokenizer.decoder is not None


def test_decoder_of_another_codebook_is_refused(saved: Path, tmp_path: Path) -> None:
    whole = vqgan_of(hf_model())
    whole["quantize.embedding.weight"] = whole["quantize.embedding.weight"].roll(1, 0)
    torch.save({"state_dict": whole}, tmp_path / "vqgan.ckpt")
    with pytest.raises(CheckpointError, match=r"vqgan\.ckpt: its codebook, quantize\.embedding\.weight"):
        load(saved, vqgan=tmp_path)


def test_every_fault_of_the_weights_is_named_at_once(saved: Path, tmp_path: Path) -> None:
    folder = copied(saved, tmp_path)
    weights = {n: w for path in folder.glob("model-*.safetensors") for n, w in load_file(path).items()}
    del weights["model.layers.0.self_attn.q_proj.weight"], weights["model.vqmodel.quant_conv.bias"]
    weights["model.layers.1.mlp.extra_proj.weight"] = torch.zeros(2)
    weights["model.layers.1.mlp.gate_proj.weight"] = torch.zeros(192, 65)
    weights["model.norm.weight"] = torch.zeros(WIDTH, dtype=torch.int64)
    (folder / "model.safetensors.index.json").unlink()
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    message = str(caught.value)
    assert str(folder / "model.safetensors") in message
    for fault in (
        r"missing: .*layers\.0\.self_attn\.q_proj\.weight.*model\.vqmodel\.quant_conv\.bias",
        r"unexpected: model\.layers\.1\.mlp\.extra_proj\.weight",
        r"wrong shape: model\.layers\.1\.mlp\.gate_proj\.weight is \[192, 65\], not \[192, 64\]",
        r"wrong dtype: model\.norm\.weight is I64",
    ):
        assert re.search(fault, message), (fault, message)


def test_every_tensor_that_is_not_finite_is_named_as_it_is_stored(saved: Path, tmp_path: Path) -> None:
    folder = copied(saved, tmp_path)
    for shard in folder.glob("model-*.safetensors"):
        weights = load_file(shard)
        for name in ("model.layers.0.self_attn.k_proj.weight", "model.vqmodel.encoder.conv_in.bias"):
            if name in weights:
                weights[name].view(-1)[3] = torch.nan
        save_file(weights, shard)
    with pytest.raises(CheckpointError, match=r"not finite: .*k_proj\.weight, model\.vqmodel\.encoder\.conv_in\.bias$"):
        load(folder)


def test_fault_of_a_part_names_the_part(tmp_path: Path) -> None:
    base = save_meta(hf_model(parts=2), tmp_path, parts=2)
    path = base / "models" / "7b" / "consolidated.01.pth"
    weights = torch.load(path, weights_only=True)
    weights["layers.1.attention.wk.weight"] = weights["layers.1.attention.wk.weight"][:-1]
    del weights["layers.0.ffn_norm.weight"]
    torch.save(weights, path)
    with pytest.raises(CheckpointError) as caught:
        load(base)
    assert "missing: consolidated.01.pth: layers.0.ffn_norm.weight;" in str(caught.value)
    assert "consolidated.01.pth: layers.1.attention.wk.weight is [31, 64], not [32, 64]" in str(caught.value)


def test_part_that_was_not_fetched_is_noticed(tmp_path: Path) -> None:
    base = save_meta(hf_model(parts=2), tmp_path, parts=2)
    (base / "models" / "7b" / "consolidated.01.pth").unlink()
    with pytest.raises(CheckpointError, match=r"in 2 parts, but beside it lie consolidated\.00\.pth"):
        load(base)


@pytest.mark.parametrize("name", ["text_tokenizer.json", "vqgan.yaml", "vqgan.ckpt"])
def test_file_that_was_not_fetched_is_named(tmp_path: Path, name: str) -> None:
    base = save_meta(hf_model(), tmp_path)
    (base / "tokenizer" / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)} is missing"):
        load(base)


def test_folder_with_two_models_asks_for_one(tmp_path: Path) -> None:
    base = save_meta(hf_model(), tmp_path)
    (base / "models" / "30b").mkdir()
    (base / "models" / "30b" / "params.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"several models; name one: .*30b, .*7b"):
        load(base)
    assert load(base / "models" / "7b").vocabulary.size == chameleon_tokenizer().get_vocab_size()


def test_folder_without_a_model_says_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither config\.json.*nor params\.json"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hidden_act", "gelu", "hidden_act is 'gelu'"),
        ("attention_bias", True, "attention_bias is True"),
        ("model_type", "llama", "model_type is 'llama'"),
        ("rope_scaling", {"type": "linear"}, "rope_scaling is"),
        ("rope_parameters", {"rope_type": "yarn"}, "rope_type is 'yarn'"),
        ("hidden_size", "64", "hidden_size is '64'"),
        ("num_hidden_layers", 10**9, "layers is 1000000000"),
        ("num_attention_heads", 0, "heads is 0"),
        ("num_attention_heads", 7, "heads 7 does not divide"),
        ("rms_norm_eps", -1.0, "norm_eps"),
        ("vq_config", None, "vq_config is NoneType"),
        ("vq_config", {**IMAGE, "attn_resolutions": [16]}, r"attn_resolutions is \[16\]"),
        ("vq_config", {**IMAGE, "double_latent": True}, "double_latent is True"),
        ("vq_config", {**IMAGE, "base_channels": 33}, "image.channels is 33"),
        ("vq_config", {**IMAGE, "channel_multiplier": [1, 2.5]}, "channel_multiplier is"),
        ("vocab_size", 65_536, "transformer.vocabulary is 65536"),
        ("vocabulary_map", {"IMGIMGAZ": 4}, "vocabulary_map gives 64 picture codes"),
    ],
)
def test_config_that_is_not_understood_names_the_file_and_the_field(
    saved: Path, tmp_path: Path, field: str, value: object, said: str
) -> None:
    folder = copied(saved, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(CheckpointError, match=rf"(config|tokenizer)\.json.*{said}"):
        load(folder)


def test_model_must_be_the_one_that_was_asked_for(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not chameleon-7b: .*transformer\.width is 64, not 4096"):
        load(saved, CONFIGS["chameleon-7b"])
    found = load(saved).config
    asked = replace(CONFIGS["anole-7b"], image=found.image, transformer=found.transformer)
    assert load(saved, asked).config == asked


def test_digest_covers_every_file_that_is_read(saved: Path, tmp_path: Path) -> None:
    folder = copied(saved, tmp_path)
    before = digest(layout(folder).files)
    assert {path.name for path in layout(folder).files} > {path.name for path in folder.glob("model-*.safetensors")}
    assert digest(layout(saved).files) == before
    shard = max(folder.glob("model-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    assert digest(layout(folder).files) != before
    meta = save_meta(hf_model(), tmp_path / "meta")
    files = {path for path in meta.rglob("*") if path.is_file()}
    assert set(layout(meta).files) == files


def test_published_models_name_their_licence_and_source() -> None:
    for name in ("chameleon-7b", "chameleon-30b", "anole-7b"):
        assert "Chameleon Research License" in CONFIGS[name].licence
        assert "non-commercial" in CONFIGS[name].licence
        assert CONFIGS[name].source.startswith("https://")


# --------------------------------------------------------------------------------------------------------- vocabulary


def test_chameleons_vocabulary_goes_by_its_names() -> None:
    tokenizer = chameleon_tokenizer()
    ids = tokenizer.get_vocab()
    vocabulary = vocabulary_of(tokenizer)
    marks = vocabulary.marks
    assert (marks.pad, marks.eod, marks.end) == (ids["<pad>"], ids["<s>"], ids["</s>"])
    assert (marks.break_, marks.span_end) == (ids["<racm3:break>"], ids["<eoss>"])
    assert marks.end_of_turn == ids["<reserved08706>"]
    assert marks.sentinels == ()
    assert vocabulary.image([int(code) for code in CODE_ORDER]) == list(range(4, 4 + CODES))


def test_names_of_codes_and_marks_in_a_prompt_are_words() -> None:
    vocabulary = vocabulary_of(chameleon_tokenizer())
    text = "an <racm3:break> IMGIMGAZ<eoss></s><reserved08708>"
    ids = vocabulary.encode(text)
    assert all(vocabulary.is_text(token) for token in ids)
    assert vocabulary.decode(ids) == text
    with pytest.raises(ValueError, match="not text"):
        vocabulary.decode([chameleon_tokenizer().get_vocab()["<reserved08708>"]])


def test_character_without_pieces_is_refused_not_replaced() -> None:
    pieces = ["<s>", PAD, "</s>", "<unk>", code_name(0), SPAN_END, BREAK, "<reserved08706>", "a"]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>"))
    tokenizer.add_special_tokens(pieces[:-1])
    vocabulary = vocabulary_of(tokenizer)
    assert vocabulary.encode("aa") == [8, 8]
    with pytest.raises(ValueError, match="no pieces"):
        vocabulary.encode("ab")


# ----------------------------------------------------------------------------------------------------------- pictures


def test_white_is_one_black_is_minus_one_and_clear_is_white() -> None:
    picture = np.zeros((8, 8, 4), np.uint8)
    assert (prepared(picture, 8) == 1).all()
    picture[..., 3] = 255
    assert (prepared(picture, 8) == -1).all()
    picture[..., 3] = 51  # a fifth black, four fifths white
    assert (prepared(picture, 8) == torch.tensor(204 / 255 * 2 - 1)).all()


def test_middle_of_the_longer_side_is_kept() -> None:
    picture = np.zeros((4, 13, 3), np.uint8)
    picture[:, :4], picture[:, 8:] = 10, 200
    assert (prepared(picture, 4) == -1).all()
    assert torch.equal(prepared(picture.transpose(1, 0, 2), 4), prepared(picture, 4).transpose(1, 2))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_pictures_are_cut_and_scaled_as_transformers_does(height: int, width: int, seed: int) -> None:
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))
    found = prepared(picture, 32)
    assert found.shape == (3, 32, 32)
    longer = max(height, width) * 32 / min(height, width)
    if longer % 1 >= 0.5 or (round(longer) - 32) % 2:
        return  # transformers cuts fractions off, and an odd margin on the other side
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    theirs = processor(**size, do_rescale=False, do_normalize=False)(picture, return_tensors="pt")
    assert torch.equal(((found + 1) * 127.5).round(), theirs["pixel_values"][0].float())


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_array_that_is_no_picture_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no picture"):
        prepared(array)
