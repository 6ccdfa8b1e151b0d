"""CM3leon as evalkit's model: every job, on small random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from cm3leon.adapter import JOBS, Cm3leon, Defaults
from cm3leon.checkpoints import Checkpoint
from cm3leon.config import Config, ImageTokenizerConfig, TransformerConfig
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.prompts import Reader, fitted
from cm3leon.retrieval import DocumentStore
from cm3leon.transformer import Transformer
from cm3leon.vocab import trained_vocabulary
from evalkit.images import Pixels, image_of, pixels
from evalkit.types import (
    IMAGE_JOBS,
    Box,
    Boxes,
    Failure,
    Generation,
    Image,
    Job,
    LabelMap,
    Part,
    Request,
    Text,
)

IMAGE = ImageTokenizerConfig(
    pixels=16,
    codes=16,
    code_channels=2,
    channels=32,
    multipliers=(1,),
    blocks=1,
    latent_channels=4,
    patch=4,
    levels=(4, 4),
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    vocabulary = trained_vocabulary(["a red star above a blue ring"], 300, codes=16, sentinels=4)
    shape = TransformerConfig(
        vocabulary=vocabulary.size,
        width=32,
        layers=2,
        heads=4,
        hidden=64,
        context=256,
        tied=True,
        segments=8,
        image_cells=16,
    )
    transformer = Transformer(shape)
    with torch.no_grad():
        for weight in transformer.parameters():
            weight.normal_(0, 0.3)
    return Checkpoint(Config("tiny", IMAGE, shape), vocabulary, ImageTokenizer(IMAGE).eval(), transformer.eval())


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Cm3leon:
    return Cm3leon("cm3leon:tiny", checkpoint, "0" * 64, Defaults({"text-to-image": 2.0, "text-guided-editing": 2.0}))


def drawn(seed: int, side: int = 16) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def label_map() -> LabelMap:
    coded = np.zeros((16, 16, 3), np.uint8)
    coded[4:9, 5:10, 0] = 3
    return LabelMap(image_of(coded, "segmentation"), ((3, "ring"),))


PARTS: dict[Job, tuple[Part, ...]] = {
    "text-to-image": (Text("a red star"),),
    "text-guided-editing": (image_of(drawn(1), "source"), Text("make it blue")),
    "structure-to-image": (image_of(drawn(2), "edges"), Text("a ring")),
    "object-to-image": (Text("a ring"), Boxes((Box("ring", 2, 3, 5, 6),), 16, 16)),
    "segmentation-to-image": (label_map(),),
    "captioning": (image_of(drawn(3), "source"),),
    "vqa": (image_of(drawn(3), "source"), Text("Is it red?")),
}


def asked(job: Job, seed: int = 7, parts: tuple[Part, ...] | None = None) -> Request:
    return Request(task="t@1", sample_id=f"s{seed}", job=job, parts=PARTS[job] if parts is None else parts, seed=seed)


def answer(model: Cm3leon, request: Request) -> Generation:
    ((_, found),) = model.generate([request])
    assert isinstance(found, Generation), found
    return found


def picture(found: Generation) -> Pixels:
    (part,) = found.parts
    assert isinstance(part, Image)
    return pixels(part)


@pytest.mark.parametrize("job", JOBS)
def test_every_job_is_answered_in_kind(model: Cm3leon, job: Job) -> None:
    found = answer(model, asked(job))
    assert isinstance(found.parts[0], Image if job in IMAGE_JOBS else Text)
    if job in IMAGE_JOBS:
        assert picture(found).shape == (16, 16, 3)


def test_no_answer_depends_on_its_company(model: Cm3leon) -> None:
    requests = [asked(job, seed) for seed in (1, 2, 3) for job in JOBS]
    together = dict(model.generate(requests))
    backwards = dict(model.generate(requests[::-1]))
    for position, request in enumerate(requests):
        assert answer(model, request) == together[position] == backwards[len(requests) - 1 - position]


@pytest.mark.parametrize(
    ("job", "other"),
    [
        ("text-to-image", (Text("two green crosses"),)),
        ("text-guided-editing", (image_of(drawn(1), "source"), Text("remove the ring on the left"))),
        ("text-guided-editing", (image_of(drawn(9), "source"), Text("make it blue"))),
        ("structure-to-image", (image_of(drawn(2), "depth"), Text("a ring"))),
        ("object-to-image", (Text("a ring"), Boxes((Box("ring", 9, 3, 5, 6),), 16, 16))),
        ("captioning", (image_of(drawn(4), "source"),)),
    ],
)
def test_what_is_asked_decides_the_answer(model: Cm3leon, job: Job, other: tuple[Part, ...]) -> None:
    found = [answer(model, asked(job, seed)) for seed in range(4)]
    assert found != [answer(model, asked(job, seed, other)) for seed in range(4)]


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        ({"seed": 8}, ("text-to-image",)),
        ({"temperature": 3.0}, ("text-to-image", "captioning")),
        ({"top_p": 0.1}, ("text-to-image",)),
        ({"guidance": 5.0}, ("text-to-image", "text-guided-editing")),
        ({"image_guidance": 6.0}, ("text-guided-editing",)),
        ({"negative_prompt": "a blue ring"}, ("text-to-image",)),
    ],
)
def test_every_knob_counts(model: Cm3leon, change: dict[str, float], jobs: Sequence[Job]) -> None:
    for job in jobs:
        plain = [asked(job, seed) for seed in range(5)]
        changed = [replace(request, **change) for request in plain]  # type: ignore[arg-type]
        assert [answer(model, r) for r in plain] != [answer(model, r) for r in changed]


def test_max_tokens_ends_an_answer(model: Cm3leon) -> None:
    found = answer(model, replace(asked("captioning"), max_tokens=1, temperature=1.0))
    assert isinstance(found.parts[0], Text) and len(found.parts[0].text) < 20


def test_a_size_that_is_asked_for_is_met(model: Cm3leon) -> None:
    assert picture(answer(model, replace(asked("text-to-image"), width=40, height=40))).shape == (40, 40, 3)


class Brightness:
    """Embeds pictures by their brightness, and every text as bright."""

    dimension = 2

    def texts(self, texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.array([[1.0, 0.0]] * len(texts), np.float32)

    def pictures(self, pictures: Sequence[Pixels]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        angles = [np.pi / 2 * (1 - picture.mean() / 255) for picture in pictures]
        return np.array([[np.cos(a), np.sin(a)] for a in angles], np.float32)


def test_the_best_of_n_is_the_candidate_that_ranks_best(checkpoint: Checkpoint) -> None:
    model = Cm3leon("x", checkpoint, "0", Defaults({}), embedder=Brightness())
    unranked = Cm3leon("x", checkpoint, "0", Defaults({}))
    for seed in range(4):
        request = asked("text-to-image", seed)
        best = picture(answer(model, replace(request, best_of=6)))
        assert best.mean() >= picture(answer(unranked, request)).mean()
        assert np.array_equal(
            picture(answer(unranked, replace(request, best_of=6))), picture(answer(unranked, request))
        )
    means = [
        (
            picture(answer(model, replace(asked("text-to-image", s), best_of=6))).mean(),
            picture(answer(model, asked("text-to-image", s))).mean(),
        )
        for s in range(4)
    ]
    assert any(best > one for best, one in means)


class Wordiness(Brightness):
    """Finds long texts near to bright pictures, and short ones near to dark pictures."""

    def texts(self, texts: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        assert all(texts), "the encoder refuses empty texts"
        angles = [np.pi / 2 / (1 + 0.01 * len(text)) for text in texts]
        return np.array([[np.cos(a), np.sin(a)] for a in angles], np.float32)


def test_of_several_captions_the_one_nearest_to_the_picture_is_told(checkpoint: Checkpoint) -> None:
    one, five = (
        Cm3leon("x", checkpoint, "0", Defaults({}, temperature=2.0, captions=count), embedder=Wordiness())
        for count in (1, 5)
    )
    assert one.identity != five.identity

    def told(model: Cm3leon, light: int, **knobs: float) -> list[str]:
        shown = image_of(np.full((40, 40, 3), light, np.uint8), "source")
        requests = [replace(asked("captioning", s, (shown,)), **{"max_tokens": 9, **knobs}) for s in range(4)]  # type: ignore[arg-type]
        return [part.text for r in requests for part in answer(model, r).parts if isinstance(part, Text)]

    for light, order in ((250, 1), (5, -1)):
        likeliest, nearest = told(one, light), told(five, light)
        assert all(order * len(a) >= order * len(b) for a, b in zip(nearest, likeliest, strict=True) if b)
        assert nearest != likeliest
        # the likeliest words are what a temperature of 0 asks for
        assert told(five, light, temperature=0.0) == told(one, light, temperature=0.0)
    # longer texts than a caption's are not for the encoder
    assert told(five, 5, max_tokens=96) != told(one, 5, max_tokens=96)
    assert told(five, 5, max_tokens=97) == told(one, 5, max_tokens=97)
    unranked = Cm3leon("x", checkpoint, "0", Defaults({}, temperature=2.0, captions=5))
    assert told(unranked, 250) == told(one, 250)
    assert answer(five, asked("vqa")) == answer(one, asked("vqa"))


def test_retrieved_documents_change_the_picture_and_the_identity(checkpoint: Checkpoint) -> None:
    store = DocumentStore(["a ring", "a star"], np.arange(32).reshape(2, 16) // 2, [[0.8, 0.6], [0.2, 0.98]])
    models = [
        Cm3leon("x", checkpoint, "0", Defaults({}, documents=count), documents=store, embedder=Brightness())
        for count in (0, 1, 2)
    ]
    answers = [[answer(model, asked("text-to-image", seed)) for seed in range(3)] for model in models]
    assert answers[0] != answers[1] != answers[2] != answers[0]
    assert len({str(sorted(model.identity.items(), key=str)) for model in models}) == 3


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asked("text-to-image", parts=()), "no words"),
        (asked("vqa", parts=(Text("Is it red?"),)), "0 pictures"),
        (asked("object-to-image", parts=(Text("a ring"),)), "no boxes"),
        (asked("structure-to-image", parts=(Text("a ring"),)), "no label map"),
        (replace(asked("text-to-image"), steps=30), "steps=30"),
        (replace(asked("text-to-image"), width=32, height=16), "32 x 16"),
        (replace(asked("vqa"), best_of=2), "best_of=2"),
        (asked("text-to-image", parts=(Text("word " * 400),)), "tokens"),
    ],
)
def test_what_cannot_be_answered_is_a_failure_that_says_why(model: Cm3leon, request_: Request, message: str) -> None:
    found = dict(model.generate([asked("vqa"), request_, asked("captioning")]))
    failure = found[1]
    assert isinstance(failure, Failure) and failure.kind == "malformed" and message in failure.message
    assert isinstance(found[0], Generation) and isinstance(found[2], Generation)


def test_marks_in_a_prompt_are_plain_words(model: Cm3leon) -> None:
    assert answer(model, asked("text-to-image", parts=(Text("<racm3:break> <sentinel:0>\0"),))).parts


def test_a_picture_of_another_shape_is_cropped_to_its_middle() -> None:
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200
    assert np.array_equal(fitted(wide, 16), wide[:, 16:32])
    assert fitted(drawn(0, 50), 16).shape == (16, 16, 3)


def test_boxes_are_brought_to_the_size_of_the_models_pictures() -> None:
    reader = Reader(16, lambda _: [0] * 16, trained_vocabulary(["x"], 300, codes=16, sentinels=4))
    request = asked("object-to-image", parts=(Text("x"), Boxes((Box("ring", 64, 32, 64, 32),), 256, 64)))
    (text, _), _ = reader.documents(request)
    assert isinstance(text, tuple) and "ring at location (4, 8) -> (8, 16)" in str(text[0])
