"""CLIP-FlanT5: a small random one in the official layout, against transformers' modules put together here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image as PillowImage
from tokenizers import Tokenizer
from torch import nn
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from evalkit.downloads import file_sha256
from evalkit.errors import UsageError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.clip_flant5 import SYSTEM, TOKENS, ClipFlanT5, FlanT5Shape
from evalkit.features.t5_tokens import read_t5_tokens
from evalkit.images import Pixels, image_of
from evalkit.weight_files import Layout, Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

XL = "clip-flant5-xl"
SMALL = FlanT5Shape(side=28, picture_head=16, text_head=8)
SEEN, WIDTH, SPARE = 32, 24, 9
"""Widths of both parts; rows of the output layer that no token has, of which the official file has 28."""
PROMPTS = (
    "a cat",
    "a sign that says \"Yes\" and {} 'braces'",
    "",
    "  two\n\nlines,\tmany   spaces ",
    "naïve café 日本 🙂",
    "not an <image> </s> here",
    "word " * 2500,
)


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


@pytest.fixture(scope="module")
def reference() -> Reference:
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


@pytest.fixture
def saved(tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weight folder with both files."""
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    torch.save(state(reference), tmp_path / "weights" / "pytorch_model.bin")
    reference.tokens._tokenizer.save(str(tmp_path / "weights" / "tokenizer.json"))
    return tmp_path


def model(folder: Path, shape: FlanT5Shape = SMALL) -> ClipFlanT5:
    def entry(name: str, file: str, layout: Layout) -> Weight:
        size = (folder / "weights" / file).stat().st_size
        return Weight(name, "a small one", (WeightFile(file, "", size, layout, "answers", "none", about=True),))

    table: Mapping[str, Weight] = {
        XL: entry(XL, "pytorch_model.bin", "clip-flant5"),
        TOKENS: entry(TOKENS, "tokenizer.json", "t5-tokens"),
    }
    return ClipFlanT5(Workspace(cache=folder / "cache", offline=True), XL, table, shape)


@pytest.mark.parametrize("size", [(40, 40), (30, 61), (61, 30), (28, 28), (9, 200)])
@pytest.mark.parametrize("prompt", PROMPTS, ids=range(len(PROMPTS)))
def test_score_is_that_of_the_library_s_modules(
    reference: Reference, saved: Path, size: tuple[int, int], prompt: str
) -> None:
    picture = photo_like(sum(size), *size)
    expected = reference.score(picture, prompt)
    assert 0 < expected < 1
    assert model(saved).score(picture, prompt) == pytest.approx(expected, rel=1e-4)


def test_score_moves_with_picture_and_prompt(saved: Path) -> None:
    ours = model(saved)
    scores = {ours.score(photo_like(seed, 30, 40), text) for seed in (1, 2) for text in ("a cat", "a dog")}
    assert len({f"{score:.4g}" for score in scores}) == 4


def test_score_does_not_depend_on_what_it_is_asked_with(saved: Path) -> None:
    pictures = [image_of(photo_like(seed, 30 + seed, 40)) for seed in range(4)]
    texts = ["a cat", "a much longer text that says a lot more than that", "a cat", 'so "it" is']
    whole = model(saved).scores(pictures, texts)
    backwards = model(saved).scores(pictures[::-1], texts[::-1])[::-1]
    alone = [model(saved).scores([picture], [text])[0] for picture, text in zip(pictures, texts, strict=True)]
    assert whole.tolist() == backwards.tolist() == alone


def test_what_was_scored_is_kept_for_its_picture_and_text(saved: Path) -> None:
    picture, other = image_of(photo_like(1, 40, 40)), image_of(photo_like(2, 40, 40))
    with FeatureCache(saved / "features") as cache:
        made = model(saved).scores([picture, picture, other], ["a cat", "a dog", "a cat"], cache)
        again = model(saved)
        assert again.scores([picture, picture], ["a dog", "a cat"], cache).tolist() == [made[1], made[0]]
        assert "_network" not in again.__dict__, "a score in the cache loads no network"
    assert len(set(made.tolist())) == 3


def test_choices_stand_in_the_protocol(saved: Path) -> None:
    fields = model(saved).protocol_fields
    assert fields["question"] == 'Does this figure show "{}"? Please answer yes or no.'
    assert (fields["answer"], fields["extractor"], fields["dtype"]) == ("Yes", XL, "float32")
    assert fields["weights"] == file_sha256(saved / "weights" / "pytorch_model.bin")
    assert fields["tokens"] == file_sha256(saved / "weights" / "tokenizer.json")
    assert model(saved, FlanT5Shape(56, 16, 8)).fingerprint != model(saved).fingerprint


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("mm_projector.2.bias", None, "lacks the tensor mm_projector.2.bias"),
        ("mm_projector.2.weight", torch.zeros(3, 3), r"mm_projector.2.weight of shape \(3, 3\) instead of"),
        ("mm_projector.4.weight", torch.zeros(3, 3), "has the tensor mm_projector.4.weight, which its arch"),
        ("encoder.block.7.layer.9.odd.weight", torch.zeros(3, 3), "lacks the tensor encoder.block.2"),
        ("vision_tower.vision_tower.vision_model.embeddings.class_embedding", None, "lacks the tensor 'vision_tower"),
        ("lm_head.weight", None, "lacks the tensor lm_head.weight"),
    ],
)
def test_a_file_of_another_architecture_is_an_error_that_names_file_and_tensor(
    reference: Reference, saved: Path, name: str, value: torch.Tensor | None, complaint: str
) -> None:
    path = saved / "weights" / "pytorch_model.bin"
    held = state(reference)
    if value is None:
        del held[name]
    else:
        held[name] = value
    torch.save(held, path)
    with pytest.raises(WeightsError, match=f"{re.escape(str(path))} .*{complaint}"):
        model(saved).score(photo_like(1, 30, 30), "a cat")


def test_a_tokeniser_of_more_tokens_than_the_file_has_rows_is_refused(saved: Path) -> None:
    tokens = Tokenizer.from_file(str(saved / "weights" / "tokenizer.json"))
    tokens.add_tokens([f"more{number}" for number in range(SPARE + 1)])
    tokens.save(str(saved / "weights" / "tokenizer.json"))
    with pytest.raises(WeightsError, match=r"fewer than the .*they do not belong together"):
        model(saved).score(photo_like(1, 30, 30), "a cat")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read as a tokeniser"),
        ('{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}', "has no token </s>"),
    ],
)
def test_a_file_that_is_not_t5_s_tokeniser_is_an_error_that_names_it(
    content: str, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(WeightsError, match=f"{re.escape(str(path))} {complaint}"):
        read_t5_tokens(path)


def test_weights_that_are_nowhere_say_file_size_digest_licence_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # other tools may have left them in the real one
    wanted = ClipFlanT5(Workspace(cache=tmp_path / "cache", offline=True))
    assert wanted.missing() == (
        "not on this machine: the weights clip-flant5-xl and flan-t5-tokens; get them with "
        "`evalkit fetch clip-flant5-xl` and `evalkit fetch flan-t5-tokens`"
    )
    with pytest.raises(WeightsError) as raised:
        wanted.prepare()
    revision = "2cee5afb3386792d9b21066a89232687dfce2c62"
    for part in ("about 6320 MB", "SHA-256 not published", "Apache-2.0", revision, "EVALKIT_WEIGHTS_CLIP_FLANT5_XL"):
        assert part in str(raised.value)
    assert revision in str(WEIGHTS[XL].files[0].cached)


def test_an_unknown_model_is_offered_the_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'clip-flant5-l'; did you mean 'clip-flant5-xl'"):
        ClipFlanT5(Workspace(cache=tmp_path), "clip-flant5-l")


def test_the_small_tokeniser_has_the_kinds_of_pieces_that_t5_s_has(reference: Reference) -> None:
    ids = reference.tokens(f"{SYSTEM} USER: ").input_ids
    assert (len(ids), ids[-1], ids.count(2)) == (32, 1, 0)
    assert reference.tokens("日 cat").input_ids[1] == 2
    assert reference.tokens("</s> <extra_id_0>").input_ids[0] == 1
