"""A small random CLIP-FlanT5 in the official layout, and transformers' modules put together as its code does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from PIL import Image as PillowImage
from torch import nn
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from evalkit.features.clip_flant5 import SYSTEM, TOKENS, ClipFlanT5, FlanT5Shape
from evalkit.images import Pixels
from evalkit.weight_files import Layout, Weight, WeightFile
from evalkit.workspace import Workspace

XL, XXL = "clip-flant5-xl", "clip-flant5-xxl"
SMALL = FlanT5Shape(side=28, picture_head=16, text_head=8)
SEEN, WIDTH, SPARE = 32, 24, 9
"""Widths of both parts; rows of the output layer that no token has, of which the official file has 28."""


@dataclass(frozen=True)
class Reference:
    """The three parts as the library has them, and its tokeniser."""

    vision: transformers.CLIPVisionModel
    projector: nn.Sequential
    text: transformers.T5ForConditionalGeneration
    tokens: transformers.T5Tokenizer

    def score(self, picture: Pixels, prompt: str) -> float:
        """exp of minus the mean cross entropy of the answer, as the official code computes it, without a batch."""
        question = f'Does this figure show "{prompt}"? Please answer yes or no.'
        before = self.tokens(f"{SYSTEM} USER: ").input_ids
        ids = [*before, -200, *self.tokens(f"\n{question} ASSISTANT: ").input_ids][:2048]
        processor = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
        with torch.inference_mode():
            planes = processor(_squared(picture), return_tensors="pt").pixel_values
            seen = self.vision(planes, output_hidden_states=True).hidden_states[-2][:, 1:]
            words = [self.text.shared(torch.tensor([part])) for part in (ids[: len(before)], ids[len(before) + 1 :])]
            read = torch.cat([words[0], self.projector(seen), words[1]], dim=1)
            labels = torch.tensor([self.tokens("Yes").input_ids])
            logits = self.text(inputs_embeds=read, labels=labels).logits[0, :, : len(self.tokens)]
            return float((-nn.functional.cross_entropy(logits, labels[0])).exp())


def _squared(picture: Pixels) -> PillowImage.Image:
    inner = PillowImage.fromarray(picture)
    side = max(inner.size)
    whole = PillowImage.new("RGB", (side, side), (122, 116, 104))
    whole.paste(inner, ((side - inner.width) // 2, (side - inner.height) // 2))
    return whole


def reference_model() -> Reference:
    """The modules with random values in 16 bits, as the official file has them."""
    torch.manual_seed(5)
    vision = transformers.CLIPVisionModel(
        transformers.CLIPVisionConfig(
            hidden_size=SEEN,
            intermediate_size=40,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=28,
            patch_size=7,
            hidden_act="quick_gelu",
        )
    )
    tokens = _tokeniser()
    text = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=len(tokens) + SPARE,
            d_model=WIDTH,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            decoder_start_token_id=0,
        )
    )
    text.lm_head.weight = nn.Parameter(torch.randn(len(tokens) + SPARE, WIDTH) * 0.2)
    projector = nn.Sequential(nn.Linear(SEEN, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
    made = Reference(vision.eval(), projector, text.eval(), tokens)
    with torch.no_grad():
        for part in (vision, projector, text):
            for value in part.parameters():
                # In 16 bits, as the official file has them; spread so that each part moves the score.
                spread = value + torch.randn_like(value) * (0.5 / max(value.shape[-1], 1) ** 0.5)
                value.copy_(spread.bfloat16().float())
    return made


def _tokeniser() -> transformers.T5Tokenizer:
    """T5's kind of tokeniser: its ends first, then pieces of words, the longer the likelier, then what marks gaps."""
    words = re.findall(r"\w+|[^\w\s]", f"{SYSTEM} USER: ASSISTANT: Does this figure show? Please answer Yes or no.")
    pieces = dict.fromkeys([*(f"▁{word}" for word in words), "▁", *"abcdefghijklmnopqrstuvwxyzAYSU.,:?'\"", "at", "og"])
    ends = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    scored = [(piece, -12.0 + len(piece)) for piece in pieces]
    gaps = [("<extra_id_1>", 0.0), ("<extra_id_0>", 0.0)]
    return transformers.T5Tokenizer(vocab=[*ends, *scored, *gaps], extra_ids=2)


def state(reference: Reference) -> dict[str, torch.Tensor]:
    """The tensors under their names in the official file, with the copies that it also has."""
    vision = {f"vision_tower.vision_tower.vision_model.{name}": v for name, v in reference.vision.state_dict().items()}
    projector = {f"mm_projector.{name}": value for name, value in reference.projector.state_dict().items()}
    text = dict(reference.text.state_dict())
    copies = {"embed_tokens.weight": text["shared.weight"]}
    places = {"vision_tower.vision_tower.vision_model.embeddings.position_ids": torch.arange(17)[None]}
    whole = {**vision, **projector, **text, **copies}
    return {**{name: value.bfloat16() for name, value in whole.items()}, **places}


def save(reference: Reference, folder: Path) -> None:
    """Write the file of tensors and that of the tokeniser as the hub has them."""
    torch.save(state(reference), folder / "pytorch_model.bin")
    reference.tokens._tokenizer.save(str(folder / "tokenizer.json"))


def save_in_parts(reference: Reference, folder: Path) -> None:
    """Write the tensors into two files and an index, as the hub has what is too large for one."""
    whole = sorted(state(reference).items())
    parts = {"pytorch_model-00001-of-00002.bin": whole[::2], "pytorch_model-00002-of-00002.bin": whole[1::2]}
    for file, tensors in parts.items():
        torch.save(dict(tensors), folder / file)
    weight_map = {name: file for file, tensors in parts.items() for name, _ in tensors}
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")
    reference.tokens._tokenizer.save(str(folder / "tokenizer.json"))


def model(folder: Path, shape: FlanT5Shape = SMALL, name: str = XL) -> ClipFlanT5:
    """What reads the files in `folder`/weights, which `$EVALKIT_WEIGHTS` names."""

    def entry(name: str, file: str, layout: Layout) -> Weight:
        size = (folder / "weights" / file).stat().st_size
        return Weight(name, "a small one", (WeightFile(file, "", size, layout, "answers", "none", about=True),))

    kept: tuple[str, Layout] = (
        ("pytorch_model.bin", "clip-flant5") if name == XL else ("pytorch_model.bin.index.json", "clip-flant5-index")
    )
    table: Mapping[str, Weight] = {name: entry(name, *kept), TOKENS: entry(TOKENS, "tokenizer.json", "t5-tokens")}
    return ClipFlanT5(Workspace(cache=folder / "cache", offline=True), name, table, shape)
