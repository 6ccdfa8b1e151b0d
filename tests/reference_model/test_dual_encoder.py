"""The dual encoder and its training: unit vectors that no neighbour changes, and losses that can be checked by hand."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cm3leon.dual_encoder import DualEmbedder, DualEncoder, DualEncoderConfig, padded, perceptual_distance
from cm3leon.train.dual_encoder import DualEncoderRecipe, DualEncoderStage, altered, contrasted, kinds, told
from cm3leon.train.loop import Schedule, train
from cm3leon.train.records import Record
from cm3leon.vocab import Vocabulary, trained_vocabulary
from evalkit_tasks.blocksworld.training import training_record

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (250, 250, 250)}
CAPTIONS = [
    f"{count} {colour} star above a {other} ring" for count in ("one", "two") for colour in COLOURS for other in COLOURS
]
TINY = DualEncoderConfig(
    vocabulary=400,
    context=16,
    pixels=16,
    patch=2,
    channels=16,
    picture_queries=2,
    token_width=8,
    width=16,
    layers=1,
    heads=2,
    text_queries=2,
    dimension=12,
)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    swatches = [caption for number in range(8) for caption in Swatch(number).captions()]
    return trained_vocabulary(CAPTIONS + swatches, 360, codes=8, sentinels=2)


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return built()


def built() -> DualEncoder:
    torch.manual_seed(0)
    return DualEncoder(TINY).eval()


def drawn(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Swatch:
    """A record of one colour in the upper or the lower half of a picture."""

    def __init__(self, number: int) -> None:
        self._colour = list(COLOURS)[number % 4]
        self._top = number // 4 % 2 == 0

    def pixels(self) -> npt.NDArray[np.uint8]:
        whole = np.zeros((16, 16, 3), np.uint8)
        whole[slice(0, 8) if self._top else slice(8, 16)] = COLOURS[self._colour]
        return whole

    def captions(self) -> tuple[str, ...]:
        place = "top" if self._top else "bottom"
        return f"{self._colour} at the {place}", f"at the {place} there is {self._colour}"


def swatch(number: int) -> Record:
    return Swatch(number)  # type: ignore[return-value]  # the stage reads pixels and captions alone


def stage(vocabulary: Vocabulary, **changed: float) -> DualEncoderStage:
    recipe = DualEncoderRecipe(batch=8, read=8, noise=float(changed.get("noise", 0.05)))
    return DualEncoderStage(built(), vocabulary, swatch, recipe, compiled=False)


def test_vectors_have_unit_length(encoder: DualEncoder) -> None:
    pictures = encoder.encode_images(drawn(5))
    texts = encoder.encode_texts(torch.randint(0, 400, (4, 9)), torch.ones(4, 9, dtype=torch.bool))
    for vectors in (pictures, texts):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-6)
    assert pictures.shape == (5, 12) and texts.shape == (4, 12)


def test_a_picture_is_seen_alike_whatever_stands_beside_it() -> None:
    encoder, pictures = built().train(), drawn(6)
    alone = torch.cat([encoder.encode_images(picture[None]) for picture in pictures])
    assert torch.allclose(encoder.encode_images(pictures), alone, atol=1e-6)
    assert torch.allclose(encoder.encode_images(pictures.flip(0)).flip(0), alone, atol=1e-6)


def test_what_pads_a_text_is_nothing(encoder: DualEncoder) -> None:
    ids = torch.randint(0, 400, (3, 6), generator=torch.Generator().manual_seed(1))
    short = encoder.encode_texts(ids, torch.ones(3, 6, dtype=torch.bool))
    for stuffing in (0, 7, 399):
        longer = torch.cat((ids, torch.full((3, 5), stuffing)), dim=1)
        mask = torch.arange(11).expand(3, 11) < 6
        assert torch.allclose(encoder.encode_texts(longer, mask), short, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 399), min_size=1, max_size=16), max_size=90))
def test_texts_of_any_lengths_keep_their_order(encoder: DualEncoder, texts: list[list[int]]) -> None:
    with torch.inference_mode():
        together = encoder.encode_rows(texts)
        alone = [encoder.encode_texts(*padded([text], 16)) for text in texts]
    assert together.shape == (len(texts), 12)
    for row, one in zip(together, alone, strict=True):
        assert torch.allclose(row, one[0], atol=1e-5)


def test_the_order_of_words_and_the_place_of_things_count(encoder: DualEncoder) -> None:
    mask = torch.ones(1, 3, dtype=torch.bool)
    forth = encoder.encode_texts(torch.tensor([[50, 60, 70]]), mask)
    back = encoder.encode_texts(torch.tensor([[70, 60, 50]]), mask)
    assert (forth * back).sum() < 1 - 1e-4
    picture = drawn(1)
    assert (encoder.encode_images(picture) * encoder.encode_images(picture.flip(3))).sum() < 1 - 1e-4


def test_an_embedder_gives_the_same_bits_whatever_else_is_asked(encoder: DualEncoder, vocabulary: Vocabulary) -> None:
    embedder = DualEmbedder(encoder, vocabulary)
    pictures = [swatch(number).pixels() for number in range(8)]
    texts = [CAPTIONS[number][: 8 + 3 * number] for number in range(8)]
    some = [5, 0, 3]
    assert np.array_equal(embedder.texts(texts)[some], embedder.texts([texts[number] for number in some]))
    assert np.array_equal(embedder.pictures(pictures)[some], embedder.pictures([pictures[number] for number in some]))
    many = DualEmbedder(encoder, vocabulary, rows=5)
    assert np.allclose(many.texts(texts), embedder.texts(texts), atol=1e-6)
    assert np.allclose(many.pictures(pictures), embedder.pictures(pictures), atol=1e-6)


def test_an_embedder_reads_black_as_minus_one_and_white_as_one(encoder: DualEncoder, vocabulary: Vocabulary) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    pixels[0, 0], pixels[0, 1] = 0, 255
    tensor = torch.from_numpy(pixels.astype(np.float32) / 255 * 2 - 1).permute(0, 3, 1, 2)
    with torch.inference_mode():
        wanted = encoder.encode_images(tensor).numpy()
    assert np.allclose(DualEmbedder(encoder, vocabulary).pictures(list(pixels)), wanted, atol=1e-5)


def test_nothing_asked_is_nothing_embedded(encoder: DualEncoder, vocabulary: Vocabulary) -> None:
    embedder = DualEmbedder(encoder, vocabulary)
    assert embedder.texts([]).shape == embedder.pictures([]).shape == (0, embedder.dimension)


def test_what_does_not_fit_is_refused(encoder: DualEncoder, vocabulary: Vocabulary) -> None:
    embedder = DualEmbedder(encoder, vocabulary)
    for shape in ((1, 3, 16, 17), (1, 1, 16, 16), (3, 16, 16)):
        with pytest.raises(ValueError, match="resize"):
            encoder.encode_images(torch.zeros(shape))
        with pytest.raises(ValueError, match="resize"):
            encoder.features(torch.zeros(shape))
    with pytest.raises(ValueError, match="resize"):
        embedder.pictures([np.zeros((16, 15, 3), np.uint8)])
    with pytest.raises(ValueError, match="text 1 has 0 tokens"):
        padded([[3], []], 16)
    with pytest.raises(ValueError, match="0 tokens"):
        embedder.texts([""])
    with pytest.raises(ValueError, match="17 tokens; give it 1 to 16"):
        encoder.encode_rows([[1] * 17])
    with pytest.raises(ValueError, match="at most 16"):
        encoder.encode_texts(torch.zeros(1, 17, dtype=torch.long), torch.ones(1, 17, dtype=torch.bool))
    with pytest.raises(ValueError, match="rows is 0"):
        DualEmbedder(encoder, vocabulary, rows=0)
    with pytest.raises(ValueError, match="give its own"):
        DualEmbedder(DualEncoder(DualEncoderConfig(vocabulary=40)), vocabulary)
    assert encoder.encode_rows([[1] * 16]).shape == (1, 12)


def test_similarity_is_the_scaled_cosine_and_the_scale_is_bounded() -> None:
    encoder = built()
    pictures, texts = torch.eye(2), torch.tensor([[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]])
    wanted = torch.tensor([[0.6, 1.0, 0.0], [0.8, 0.0, -1.0]]) / 0.07
    assert torch.allclose(encoder.similarity(pictures, texts), wanted)
    encoder.log_scale.data.fill_(math.log(1e6))
    assert torch.allclose(encoder.similarity(pictures, texts), wanted * 7)


def test_the_perceptual_distance_is_that_of_unit_normalised_maps(encoder: DualEncoder) -> None:
    a, b = drawn(3, 1), drawn(3, 2)
    with torch.inference_mode():
        found = float(perceptual_distance(encoder, a, b))
        maps = [(x.numpy(), y.numpy()) for x, y in zip(encoder.features(a), encoder.features(b), strict=True)]
        halves = [float(perceptual_distance(encoder, a[part], b[part])) for part in (slice(0, 1), slice(1, 3))]
        assert float(perceptual_distance(encoder, b, a)) == pytest.approx(found)
        assert float(perceptual_distance(encoder, a, a)) == 0
    assert [x.shape for x, _ in maps] == [(3, 16, 8, 8), (3, 16, 8, 8), (3, 16, 4, 4)]
    # |u - v|^2 of unit vectors is 2 - 2 cos
    cosines = [(x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1) for x, y in maps]
    assert found == pytest.approx(float(np.mean([(2 - 2 * cosine).mean() for cosine in cosines])), rel=1e-5)
    assert (halves[0] + 2 * halves[1]) / 3 == pytest.approx(found, rel=1e-5)


def test_the_perceptual_distance_moves_the_picture(encoder: DualEncoder) -> None:
    picture = drawn(1, 3).requires_grad_()
    perceptual_distance(encoder, drawn(1, 4), picture).backward()  # type: ignore[no-untyped-call]
    assert picture.grad is not None and (picture.grad.abs().amax(1) > 0).all()


def test_the_shipped_shape_is_small() -> None:
    weights = sum(weight.numel() for weight in DualEncoder(DualEncoderConfig(vocabulary=1_800)).parameters())
    assert weights <= 800_000


def test_every_weight_learns(vocabulary: Vocabulary) -> None:
    trained = stage(vocabulary)
    trained.losses(0, trained.batch(0))["loss"].backward()  # type: ignore[no-untyped-call]
    for name, weight in trained.module.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_every_weight_is_in_one_group_and_only_matrices_decay(vocabulary: Vocabulary) -> None:
    trained = stage(vocabulary)
    (optimizer,) = trained.optimizers(0.1)
    held = [weight for group in optimizer.param_groups for weight in group["params"]]
    assert {id(weight) for weight in held} == {id(weight) for weight in trained.module.parameters()}
    assert len(held) == len(list(trained.module.parameters()))
    for group in optimizer.param_groups:
        assert all((weight.ndim >= 2) == (group["weight_decay"] > 0) for weight in group["params"])


def test_a_batch_is_a_function_of_its_step(vocabulary: Vocabulary) -> None:
    forth, back = stage(vocabulary), stage(vocabulary)
    first = [forth.batch(step) for step in (0, 1, 2)]
    second = [back.batch(step) for step in (2, 1, 0)][::-1]
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert forth.told(0) != forth.told(1) and not torch.equal(first[0]["seed"], first[1]["seed"])


def test_a_batch_holds_different_pictures_each_with_its_own_text(vocabulary: Vocabulary) -> None:
    made = stage(vocabulary)
    batch, told_texts = made.batch(1), made.told(1)
    for number, (text, _) in enumerate(told_texts):
        record = swatch(8 + number)
        assert np.array_equal(batch["pictures"][number].numpy(), record.pixels())
        assert set(text.split()) <= set(" ".join(record.captions()).split())
        ids, mask = batch["ids"][number], batch["mask"][number]
        assert vocabulary.decode(ids[mask].tolist()) == text


def test_altered_texts_stand_behind_the_texts(vocabulary: Vocabulary) -> None:
    made = stage(vocabulary)
    batch, told_texts = made.batch(0), made.told(0)
    for number, (text, wrong) in enumerate(told_texts):
        ids, mask = batch["ids"][8 + number], batch["mask"][8 + number]
        assert vocabulary.decode(ids[mask].tolist()) == wrong
        assert bool(batch["same"][number]) == (text == wrong)


def test_noise_stays_within_its_bound(vocabulary: Vocabulary) -> None:
    made = stage(vocabulary, noise=0.1)
    clean = torch.zeros(8, 3, 16, 16)
    noisy = made._noisy(clean, 3)
    deviations = (noisy - clean).square().mean((1, 2, 3)).sqrt()
    assert (deviations < 0.11).all() and deviations.max() > 0.02
    assert made._noisy(clean + 1, 3).max() <= 1 and torch.equal(noisy, made._noisy(clean, 3))
    assert not torch.equal(noisy, made._noisy(clean, 4))


def test_equal_scores_cost_the_logarithm_of_the_choices() -> None:
    none = torch.zeros(3, 3, dtype=torch.bool)
    found = contrasted(torch.zeros(3, 3), torch.zeros(3), none)
    assert found["pictures"].item() == pytest.approx(math.log(4)) and found["texts"].item() == pytest.approx(
        math.log(3)
    )
    assert found["loss"].item() == pytest.approx((math.log(4) + math.log(3)) / 2)
    unaltered = contrasted(torch.zeros(3, 3), torch.full((3,), -math.inf), none)
    assert unaltered["pictures"].item() == pytest.approx(math.log(3))


def test_copies_of_a_text_are_no_wrong_answers() -> None:
    copies = torch.zeros(3, 3, dtype=torch.bool)
    copies[0, 1] = copies[1, 0] = True
    found = contrasted(torch.zeros(3, 3), torch.full((3,), -math.inf), copies)
    wanted = (2 * math.log(2) + math.log(3)) / 3
    assert found["pictures"].item() == pytest.approx(wanted) and found["texts"].item() == pytest.approx(wanted)


def test_copies_in_a_batch_are_found(vocabulary: Vocabulary) -> None:
    def same(number: int) -> Record:
        return swatch(0 if number < 2 else number)

    recipe = DualEncoderRecipe(batch=8, read=8, joined=1.0)
    made = DualEncoderStage(built(), vocabulary, same, recipe, compiled=False)
    losses = made.losses(0, made.batch(0))
    assert all(math.isfinite(value.item()) for value in losses.values())


def test_pictures_and_texts_that_agree_cost_nothing() -> None:
    scores = 50 * torch.eye(4)
    found = contrasted(scores, torch.zeros(4), torch.zeros(4, 4, dtype=torch.bool))
    assert found["loss"].item() < 1e-6 and found["right"].item() == 1 and found["told_apart"].item() == 1
    turned = contrasted(scores.roll(1, 0), torch.full((4,), 60.0), torch.zeros(4, 4, dtype=torch.bool))
    assert turned["loss"].item() > 40 and turned["right"].item() == 0 and turned["told_apart"].item() == 0


def test_the_texts_loss_looks_for_pictures_and_the_pictures_loss_for_texts() -> None:
    scores = torch.tensor([[5.0, 5.0], [0.0, 5.0]])  # picture 0 takes both texts for its own
    found = contrasted(scores, torch.full((2,), -math.inf), torch.zeros(2, 2, dtype=torch.bool))
    near, even = math.log(1 + math.exp(-5)), math.log(2)
    assert found["pictures"].item() == pytest.approx((even + near) / 2)
    assert found["texts"].item() == pytest.approx((near + even) / 2)
    lone = contrasted(scores.T, torch.tensor([5.0, -math.inf]), torch.zeros(2, 2, dtype=torch.bool))
    assert lone["pictures"].item() > lone["texts"].item()


def test_words_of_a_kind_are_those_that_stand_in_the_same_gaps() -> None:
    found = kinds(caption for number in range(200) for caption in training_record(number).captions())
    assert {"blue", "green", "yellow"} <= set(found["red"])
    assert {"circle", "star", "ring"} <= set(found["square"])
    assert not set(found["red"]) & {"circle", "small", "top", "beige"}
    assert set(found["left"]) == {"right"}
    assert all(word in found[other] for word, others in found.items() for other in others)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000))
def test_an_altered_text_differs_by_one_word_or_by_two_exchanged(number: int, seed: int) -> None:
    caption = training_record(number).captions()[-1]
    alike = {"red": ("blue", "green"), "blue": ("red", "green"), "green": ("red", "blue"), "top": ("bottom",)}
    found = altered(caption, alike, random.Random(seed))
    before, after = caption.replace(",", "").split(), found.replace(",", "").split()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) <= 2 and all(b.strip(".;") in alike[a.strip(".;")] for a, b in changed)
    if len(changed) == 2:
        assert changed[0] == changed[1][::-1]
    assert bool(changed) == any(word.strip(".;") in alike for word in before)


def test_both_ways_of_altering_occur() -> None:
    alike = {"red": ("blue",), "blue": ("red",)}
    found = Counter(altered("a red star, a blue ring", alike, random.Random(seed)) for seed in range(200))
    assert set(found) == {"a blue star, a blue ring", "a red star, a red ring", "a blue star, a red ring"}
    assert found["a blue star, a red ring"] == pytest.approx(100, abs=30)


def test_a_text_is_one_caption_or_two_different_ones() -> None:
    captions = ("a", "b", "c")
    texts = Counter(told(captions, 0.3, random.Random(seed)) for seed in range(2_000))
    assert set(texts) == {"a", "b", "c", "a b", "b a", "a c", "c a", "b c", "c b"}
    assert sum(count for text, count in texts.items() if " " in text) == pytest.approx(600, abs=100)
    assert told(("a",), 1.0, random.Random(0)) == "a"


@pytest.mark.slow
def test_training_finds_each_picture_by_its_words(vocabulary: Vocabulary, tmp_path: Path) -> None:
    trained = stage(vocabulary)
    train(trained, Schedule(steps=120, rate=5e-3, warmup=10), tmp_path)
    embedder = DualEmbedder(trained.module, vocabulary)  # type: ignore[arg-type]
    pictures = embedder.pictures([swatch(number).pixels() for number in range(8)])
    for caption in (0, 1):
        texts = embedder.texts([swatch(number).captions()[caption] for number in range(8)])
        assert (texts @ pictures.T).argmax(1).tolist() == list(range(8))
