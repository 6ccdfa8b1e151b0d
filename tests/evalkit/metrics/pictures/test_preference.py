"""PickScore and HPSv2: small random models in the official layouts, against what their own code does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from PIL import Image as PillowImage
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from evalkit.errors import RunError, WeightsError
from evalkit.features.backbones import BACKBONES, CLIP_MEAN, CLIP_STD
from evalkit.features.encoder import Encoder
from evalkit.features.encoder_input import encoder_input
from evalkit.images import Pixels, image_of
from evalkit.interfaces import Scored
from evalkit.metrics.pictures.preference import PreferenceScore
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.similarity import feature_cache
from evalkit.types import Estimate, Generation, Sample, Text
from evalkit.weight_files import Layout, Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

MERGES = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
PROMPTS = ["a photo of a cat", "a sign that says \"It's 3 o'clock\"", "word " * 100, "日本 🙂 naïve  CAFÉ"]
SIZES = [(40, 60), (67, 32), (200, 91), (32, 32)]
SIDE, DIM = 32, 24


def _encoder(name: str, path: Path, layout: Layout, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """The encoder that reads a small one from a file; as in the official ones, heads for text have another width."""
    file = WeightFile(path.name, "", path.stat().st_size, layout, "features", "none", about=True)
    table: Mapping[str, Weight] = {**WEIGHTS, name: Weight(name, "a small one", (file,))}
    monkeypatch.setenv(table[name].variable, str(path))
    monkeypatch.setenv(WEIGHTS["clip-merges"].variable, str(MERGES))
    real = BACKBONES[name]
    inputs = dataclasses.replace(real.inputs, size=SIDE, short_side=SIDE)
    small = dataclasses.replace(real, dim=DIM, inputs=inputs, head=20, text_head=16)
    return Encoder(Workspace(cache=folder / "cache", offline=True), small, table)


@pytest.fixture
def clip() -> transformers.CLIPModel:
    """A small CLIP of the shape of LAION's ViT-H/14: GELU, and towers of two widths."""
    torch.manual_seed(8)
    shared = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu"}
    config = transformers.CLIPConfig(
        vision_config={**shared, "hidden_size": 40, "intermediate_size": 60, "image_size": SIDE, "patch_size": 8},
        text_config={
            **shared,
            "hidden_size": 32,
            "intermediate_size": 48,
            "vocab_size": 49408,
            "bos_token_id": 49406,
            "eos_token_id": 49407,
        },
        projection_dim=DIM,
    )
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        model.logit_scale.fill_(4.3)
    return model


def _official_pickscore(model: transformers.CLIPModel, picture: Pixels, prompt: str) -> float:
    """The score as the model's card computes it."""
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    ids = open_clip.get_tokenizer("ViT-H-14")([prompt])
    with torch.inference_mode():
        planes = processor(PillowImage.fromarray(picture), return_tensors="pt").pixel_values
        seen = model.get_image_features(pixel_values=planes).pooler_output
        words = model.get_text_features(input_ids=ids).pooler_output
        seen, words = seen / seen.norm(dim=-1, keepdim=True), words / words.norm(dim=-1, keepdim=True)
        return float(model.logit_scale.exp() * (words @ seen.T)[0, 0])


def _scored(name: str, picture: Pixels, prompt: str) -> Scored:
    return Scored(Sample(name, (Text(prompt),), (), (("category", "odd"),)), Generation((image_of(picture),)))


def _prompt(scored: Scored) -> str:
    (part,) = scored.sample.parts
    assert isinstance(part, Text)
    return part.text


@pytest.mark.parametrize("layout", ["clip-safetensors", "clip-transformers"])
def test_pickscore_is_the_scaled_cosine_of_its_card(
    layout: Layout, clip: transformers.CLIPModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    state = {name: value.contiguous() for name, value in clip.state_dict().items()}
    save_file(state, path) if layout == "clip-safetensors" else torch.save(state, path)
    small = _encoder("pickscore-v1", path, layout, tmp_path, monkeypatch)
    score = PreferenceScore(Workspace(cache=tmp_path / "cache"), small, "pickscore", _prompt, ("category",))
    pictures = [photo_like(seed, *size) for seed, size in enumerate(SIZES)]
    scored = [
        _scored(str(i), picture, prompt) for i, (picture, prompt) in enumerate(zip(pictures, PROMPTS, strict=True))
    ]
    score.prepare()
    found = [tally.got for tally in score.tallies(scored)]
    expected = [_official_pickscore(clip, picture, prompt) for picture, prompt in zip(pictures, PROMPTS, strict=True)]
    assert found == pytest.approx(expected, abs=2e-3)
    assert max(abs(value) for value in expected) > 1
    metric = ScoreMetric("p", {"data": "x"}, score)
    result = metric.finish(metric.update(metric.start(), scored))
    estimate = result.estimates["pickscore[pickscore-v1]"]
    assert isinstance(estimate, Estimate) and estimate.value == pytest.approx(np.mean(expected), abs=2e-3)
    assert "pickscore[pickscore-v1][category=odd]" in result.estimates
    fields = dict(result.protocols[0].fields)
    assert (fields["encoder_crop"], fields["scale"]) == ("centre, rounded down", "the weights' logit_scale")


def test_the_scale_of_a_cached_score_is_cached_with_it(
    clip: transformers.CLIPModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    save_file({name: value.contiguous() for name, value in clip.state_dict().items()}, path)
    one = [_scored("a", photo_like(1, 40, 40), "a cat")]
    made = []
    for _ in range(2):
        small = _encoder("pickscore-v1", path, "clip-safetensors", tmp_path, monkeypatch)
        score = PreferenceScore(Workspace(cache=tmp_path / "cache"), small, "pickscore", _prompt)
        made.append(score.tallies(one)[0].got)
        with pytest.raises(RunError, match="holds 0 pictures, not 1"):
            score.tallies([Scored(one[0].sample, Generation((Text("no"),)))])
    assert made[0] == made[1]
    assert "_tower" not in small.__dict__
    with feature_cache(Workspace(cache=tmp_path / "cache")) as cache:
        kept, found = cache.get_many(["logit_scale"], small.fingerprint, 1)
    assert found.tolist() == [True]
    assert kept[0, 0] == pytest.approx(4.3)


def test_a_file_without_a_scale_is_an_error_that_names_it(
    clip: transformers.CLIPModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model"
    save_file({n: v.contiguous() for n, v in clip.state_dict().items() if n != "logit_scale"}, path)
    small = _encoder("pickscore-v1", path, "clip-safetensors", tmp_path, monkeypatch)
    with pytest.raises(WeightsError, match="model lacks the tensor logit_scale"):
        small.logit_scale()


def _official_hps_input(picture: Pixels, side: int) -> torch.Tensor:
    """What HPSv2 feeds its CLIP: the longer side to `side`, in the middle of black, then normalised."""
    planes = vision.to_tensor(PillowImage.fromarray(picture))
    scale = side / max(planes.shape[1:])
    if scale != 1:
        high, wide = (round(length * scale) for length in planes.shape[1:])
        planes = vision.resize(planes, [high, wide], InterpolationMode.BICUBIC)
        above, left = (side - high) // 2, (side - wide) // 2
        planes = vision.pad(planes, [left, above, side - wide - left, side - high - above], fill=0)
    return vision.normalize(planes, CLIP_MEAN, CLIP_STD)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["hps-v2.0", "hps-v2.1"])
@pytest.mark.parametrize("size", [(64, 64), (224, 224), (300, 220), (219, 640), (512, 511)])
def test_input_of_hps_is_its_own_resize_and_padding(name: str, size: tuple[int, int]) -> None:
    picture = photo_like(6, *size)
    theirs = _official_hps_input(picture, 224).numpy()
    np.testing.assert_allclose(encoder_input(picture, BACKBONES[name].inputs), theirs, atol=2e-6)


def test_a_line_of_pixels_keeps_one_for_hps() -> None:
    assert encoder_input(photo_like(6, 1, 900), BACKBONES["hps-v2.1"].inputs).shape == (3, 224, 224)


def test_hpsv2_is_a_hundred_times_the_cosine_of_open_clip_s_towers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(9)
    seen = CLIPVisionCfg(layers=2, width=40, head_width=20, patch_size=8, image_size=SIDE)
    words = CLIPTextCfg(context_length=77, vocab_size=49408, width=32, heads=2, layers=2)
    model = open_clip.CLIP(DIM, seen, words, quick_gelu=False).eval()
    path = tmp_path / "HPS.pt"
    state = {name: value.half() for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 1, "name": "hps"}, path)
    model.load_state_dict({name: value.float() for name, value in state.items()})
    small = _encoder("hps-v2.1", path, "open-clip", tmp_path, monkeypatch)
    score = PreferenceScore(Workspace(cache=tmp_path / "cache"), small, "hpsv2", _prompt)
    assert score.measure.name == "hpsv2[hps-v2.1]"
    pictures = [photo_like(seed, *size) for seed, size in enumerate(SIZES)]
    expected = []
    for picture, prompt in zip(pictures, PROMPTS, strict=True):
        with torch.inference_mode():
            a = model.encode_image(_official_hps_input(picture, SIDE)[None], normalize=True)
            b = model.encode_text(open_clip.get_tokenizer("ViT-H-14")([prompt]), normalize=True)
        expected.append(100 * float((a @ b.T)[0, 0]))
    found = score.tallies([_scored(str(i), *pair) for i, pair in enumerate(zip(pictures, PROMPTS, strict=True))])
    assert [tally.got for tally in found] == pytest.approx(expected, abs=2e-3)
    assert max(map(abs, expected)) > 1


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("pickscore-v1", ("PickScore_v1.safetensors", "about 3940 MB", "ef31ef6fc5ff", "MIT", "a4e4367c6dfa7288")),
        ("hps-v2.1", ("HPS_v2.1_compressed.pt", "1,972,490,005 bytes", "c57a38fb4a2f", "Apache-2.0", "697403c78157")),
        ("hps-v2.0", ("HPS_v2_compressed.pt", "1,972,484,501 bytes", "07cb0d206262", "Apache-2.0", "697403c78157")),
    ],
)
def test_missing_weights_say_file_size_digest_licence_and_revision(
    name: str, parts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # other tools may have left them in the real one
    wanted = Encoder(Workspace(cache=tmp_path / "cache", offline=True), BACKBONES[name])
    with pytest.raises(WeightsError) as raised:
        wanted.prepare(texts=True)
    assert all(part in str(raised.value) for part in parts)
    assert f"`evalkit fetch {name}`" in wanted.missing(texts=True)
