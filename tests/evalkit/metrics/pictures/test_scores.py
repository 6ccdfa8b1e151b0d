"""Scores by encoders: the formulas by hand, with a small random CLIP in the official layout behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import pytest
import torch
import transformers
from PIL import Image as PillowImage
from torchvision import transforms

from evalkit.downloads import file_sha256
from evalkit.errors import DataError, NotEnoughSamples, RunError, UsageError, WeightsError
from evalkit.features.backbones import BACKBONES, CLIP_MEAN, CLIP_STD
from evalkit.features.encoder import Encoder, encoder
from evalkit.images import Pixels, image_of, pixels
from evalkit.interfaces import Scored
from evalkit.metrics.pictures.clipscore import PREFIX, ClipScore, clipscore_metrics, harmonic_mean
from evalkit.metrics.pictures.pixelwise import PixelDifference, sized_like
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.similarity import DirectionSimilarity, PictureSimilarity, TextSimilarity
from evalkit.scoring import Scoring
from evalkit.types import Estimate, Generation, Image, Sample, Text
from evalkit.weight_files import Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like


@pytest.fixture
def model() -> transformers.CLIPModel:
    """A small random CLIP."""
    torch.manual_seed(4)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "hidden_act": "quick_gelu",
    }
    config = transformers.CLIPConfig(
        vision_config={**tower, "image_size": 32, "patch_size": 16},
        text_config={**tower, "vocab_size": 49408, "eos_token_id": 49407},
        projection_dim=24,
    )
    return transformers.CLIPModel(config).eval()


@pytest.fixture
def small(model: transformers.CLIPModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """The encoder that reads it from the file that transformers would have saved."""
    path = tmp_path / "clip.bin"
    torch.save(model.state_dict(), path)
    name = "clip-openai-vit-b32"
    file = WeightFile("clip.bin", file_sha256(path), path.stat().st_size, "clip-transformers", "features", "none")
    table: Mapping[str, Weight] = {**WEIGHTS, name: Weight(name, "a small one", (file,))}
    monkeypatch.setenv(table[name].variable, str(path))
    merges = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    monkeypatch.setenv("EVALKIT_WEIGHTS_CLIP_MERGES", str(merges))
    real = BACKBONES["openai-vit-b32"]
    inputs = dataclasses.replace(real.inputs, size=32, short_side=32)
    return Encoder(_here(tmp_path), dataclasses.replace(real, dim=24, inputs=inputs, head=32), table)


def _here(folder: Path) -> Workspace:
    return Workspace(cache=folder / "cache", offline=True)


def _edit(name: str, answer: Pixels, target: Pixels, caption: str = "a cat") -> Scored:
    sample = Sample(name, (image_of(photo_like(9, 40, 40), "source"), Text("edit")), (image_of(target), Text(caption)))
    return Scored(sample, Generation((image_of(answer),)))


def _caption(name: str, text: str, references: Sequence[str] = ()) -> Scored:
    sample = Sample(name, (image_of(photo_like(7, 40, 50), "source"),), tuple(map(Text, references)))
    return Scored(sample, Generation((Text(text),)))


def _target(scored: Scored) -> Image:
    return next(part for part in scored.sample.references if isinstance(part, Image))


def _source(scored: Scored) -> Image:
    return next(part for part in scored.sample.parts if isinstance(part, Image))


def _cos(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_name_of_a_number_carries_its_backbone_and_equal_pictures_score_one(small: Encoder, tmp_path: Path) -> None:
    score = PictureSimilarity(_here(tmp_path), small, "clip_i", _target, "target")
    metric = ScoreMetric("p", {"data": "x"}, score)
    same, other = photo_like(1, 40, 40), photo_like(2, 40, 40)
    metric.prepare()
    state = metric.update(metric.start(), [_edit("a", same, same)])
    state = metric.merge(state, metric.update(metric.start(), [_edit("b", same, other)]))
    found = metric.finish(state)
    vectors = small.pictures([image_of(same), image_of(other)])
    assert found.per_sample["clip_i[openai-vit-b32]"] == pytest.approx({"a": 1.0, "b": _cos(*vectors)}, abs=1e-6)
    estimate = found.estimates["clip_i[openai-vit-b32]"]
    assert isinstance(estimate, Estimate)
    assert estimate.n == 2
    fields = dict(found.protocols[0].fields)
    assert fields["extractor"] == "openai-vit-b32"
    assert len(str(fields["weights"])) == 64


def test_text_similarity_is_the_cosine_with_prefix_scale_and_floor(small: Encoder, tmp_path: Path) -> None:
    score = TextSimilarity(_here(tmp_path), small, "clip_t", lambda _: "dog", prefix="my ", scale=100.0, floor=0.0)
    one = _edit("a", photo_like(1, 40, 40), photo_like(2, 40, 40))
    picture, text = small.pictures([image_of(photo_like(1, 40, 40))])[0], small.texts(["my dog"])[0]
    assert score.tallies([one])[0].got == pytest.approx(100 * max(_cos(picture, text), 0), abs=1e-4)


def test_direction_is_of_differences_of_unit_vectors(small: Encoder, tmp_path: Path) -> None:
    score = DirectionSimilarity(_here(tmp_path), small, _source, lambda _: "a dog", lambda _: "a red cat")
    answer = photo_like(3, 40, 40)
    one = _edit("a", answer, answer)
    made, source = small.pictures([image_of(answer), _source(one)])
    before, after = small.texts(["a dog", "a red cat"])
    made, source, before, after = (v / np.linalg.norm(v) for v in (made, source, before, after))
    assert score.tallies([one])[0].got == pytest.approx(_cos(made - source, after - before), abs=1e-5)


def test_an_unchanged_picture_has_no_direction(small: Encoder, tmp_path: Path) -> None:
    score = DirectionSimilarity(_here(tmp_path), small, _source, lambda _: "a dog", lambda _: "a red cat")
    source = photo_like(9, 40, 40)
    assert score.tallies([_edit("a", source, source)])[0].got == 0


def test_clipscore_is_two_and_a_half_times_the_clipped_cosine(small: Encoder, tmp_path: Path) -> None:
    score = ClipScore(_here(tmp_path), small)
    rows = [_caption(str(number), text) for number, text in enumerate(["a dog", "a red house", "two cats at sea"])]
    picture = small.pictures([_source(rows[0])])[0]
    for row, tally in zip(rows, score.tallies(rows), strict=True):
        (answer,) = row.generation.parts
        assert isinstance(answer, Text)
        text = small.texts([PREFIX + answer.text])[0]
        assert tally.got == pytest.approx(2.5 * max(_cos(text, picture), 0), abs=1e-5)


def test_refclipscore_is_the_harmonic_mean_with_the_best_reference(small: Encoder, tmp_path: Path) -> None:
    plain, with_references = ClipScore(_here(tmp_path), small), ClipScore(_here(tmp_path), small, references=True)
    rows = [_caption("a", "a dog", ["a cat", "a dog runs"]), _caption("b", "red", ["blue"])]
    for row, a, both in zip(rows, plain.tallies(rows), with_references.tallies(rows), strict=True):
        (answer,) = row.generation.parts
        assert isinstance(answer, Text)
        mine = small.texts([PREFIX + answer.text])[0]
        references = [PREFIX + part.text for part in row.sample.references if isinstance(part, Text)]
        b = max(_cos(mine, vector) for vector in small.texts(references))
        assert both.got == pytest.approx(harmonic_mean(a.got, b), abs=1e-5)


SAID = ("a dog", "a red house", "two cats at sea", "word " * 100)
PEOPLE = (["a dog runs", "one dog"], ["the house"], ["cats", "a ship with two cats", "sea"], ["words", "a dog"])


def test_both_scores_are_those_of_the_official_steps_with_transformers(
    model: transformers.CLIPModel, small: Encoder, tmp_path: Path
) -> None:
    """The steps of `clipscore.py`, one by one, with torchvision's preparation and transformers' forward."""
    prepare = transforms.Compose(
        [
            transforms.Resize(32, interpolation=PillowImage.Resampling.BICUBIC),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    tokens = open_clip.get_tokenizer("ViT-B-32")

    def texts(some: Sequence[str]) -> torch.Tensor:
        held = model.text_model(input_ids=tokens(["A photo depicts " + text for text in some]))
        return torch.nn.functional.normalize(model.text_projection(held.pooler_output))

    photos = [photo_like(seed, 40 + 9 * seed, 50) for seed in range(4)]
    with torch.inference_mode():
        planes = torch.stack([prepare(PillowImage.fromarray(photo)) for photo in photos])
        pictures = model.visual_projection(model.vision_model(pixel_values=planes).pooler_output)
        captions = texts(SAID)
        per = 2.5 * (torch.nn.functional.normalize(pictures) * captions).sum(dim=1).clamp(min=0)
        best = torch.stack([(texts(own) @ said).max() for own, said in zip(PEOPLE, captions, strict=True)])
    assert 0 < len(per.nonzero()) < 4, "a random CLIP is far from some of the texts"
    assert best[-1] < 0 < best[:-1].min(), "the last picture's references are far from its caption: 0, as in the paper"
    best = best.clamp(min=0)
    rows = [
        Scored(Sample(str(n), (image_of(photo, "source"),), tuple(map(Text, own))), Generation((Text(said),)))
        for n, (photo, own, said) in enumerate(zip(photos, PEOPLE, SAID, strict=True))
    ]
    plain, with_references = clipscore_metrics(_here(tmp_path), small, "captions", {})
    found = plain.finish(plain.update(plain.start(), rows)).per_sample["clipscore[openai-vit-b32]"]
    assert list(found.values()) == pytest.approx(per.tolist(), abs=1e-4)
    both = with_references.finish(with_references.update(with_references.start(), rows))
    expected = (2 * per * best / (per + best)).nan_to_num(0)
    assert list(both.per_sample["refclipscore[openai-vit-b32]"].values()) == pytest.approx(expected.tolist(), abs=1e-4)


def test_harmonic_mean_by_hand() -> None:
    # The published example, good captions: CLIPScore .8584; RefCLIPScore of one picture from its two parts.
    assert harmonic_mean(0.8, 0.9) == pytest.approx(0.8470588)
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_a_caption_without_references_has_no_refclipscore(small: Encoder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sample 'a' has no reference"):
        ClipScore(_here(tmp_path), small, references=True).tallies([_caption("a", "a dog")])


def test_clipscore_metrics_are_two(small: Encoder, tmp_path: Path) -> None:
    metrics = clipscore_metrics(_here(tmp_path), small, "captions", {})
    assert [metric.names for metric in metrics] == [("clipscore[openai-vit-b32]",), ("refclipscore[openai-vit-b32]",)]
    with pytest.raises(UsageError, match="no estimate named 'clip'"):
        metrics[0].only(["clip"])


def test_difference_is_taken_at_the_other_picture_s_size() -> None:
    score = PixelDifference("l1", _target, "target")
    target = np.full((20, 30, 3), 51, np.uint8)
    assert score.tallies([_edit("a", np.zeros((40, 60, 3), np.uint8), target)])[0].got == pytest.approx(0.2)
    picture = photo_like(1, 40, 60)
    theirs = np.asarray(PillowImage.fromarray(picture).resize((30, 20)))
    assert np.array_equal(sized_like(picture, target), theirs), "Pillow's default filter, as MagicBrush relies on"


def test_answer_without_a_picture_is_an_error(small: Encoder, tmp_path: Path) -> None:
    score = PictureSimilarity(_here(tmp_path), small, "clip_i", _target, "target")
    one = _edit("a", photo_like(1, 8, 8), photo_like(1, 8, 8))
    with pytest.raises(RunError, match="holds 0 pictures"):
        score.tallies([Scored(one.sample, Generation((Text("no"),)))])


def test_no_answers_is_not_a_number(small: Encoder, tmp_path: Path) -> None:
    metric = ScoreMetric("p", {}, PictureSimilarity(_here(tmp_path), small, "clip_i", _target, "target"))
    with pytest.raises(NotEnoughSamples):
        metric.finish(metric.start())


def test_missing_weights_stop_a_run_before_it_starts_and_say_what_is_left(tmp_path: Path) -> None:
    here = _here(tmp_path)
    metrics = [
        ScoreMetric("p", {}, PixelDifference("l1", _target, "target")),
        ScoreMetric("p", {}, PictureSimilarity(here, encoder(here, "openai-vit-l14"), "clip_i", _target, "target")),
    ]
    with pytest.raises(WeightsError, match=r"ViT-L-14\.pt: 932,768,134 bytes(.|\n)*--metrics 'l1'"), Scoring(metrics):
        pytest.fail("scoring started")
    with Scoring(metrics[:1]) as scoring:
        target = photo_like(1, 8, 8)
        scoring.add(_edit("a", target, target))
        assert scoring.finish()[0].per_sample == {"l1": {"a": 0.0}}
    assert pixels(image_of(target)).shape == (8, 8, 3)
