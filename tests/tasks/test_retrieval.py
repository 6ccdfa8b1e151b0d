"""The laws of the retrieval baseline."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evalkit.cache import Cache
from evalkit.errors import DataError, UsageError
from evalkit.features.pictures import FilePicture, load
from evalkit.images import image_of, pixels
from evalkit.registry import build_task
from evalkit.runner import RunSettings, run
from evalkit.types import Estimate, Failure, Generation, Image, Job, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks.retrieval import Library, Retrieval, retrieval
from tests.tasks.coco_files import CAPTIONS, file_name, picture_bytes, write_split
from tests.tasks.question_files import write_vqa


def asked(prompt: str, width: int | None = None, height: int | None = None) -> Request:
    return Request("coco_fid@1", "1-1", "text-to-image", (Text(prompt),), seed=0, width=width, height=height)


def library(model: Retrieval) -> Library:
    assert model.library is not None
    return model.library


def answer(model: Retrieval, request: Request) -> Image:
    ((_, found),) = list(model.generate([request]))
    assert isinstance(found, Generation)
    (picture,) = found.parts
    assert isinstance(picture, Image)
    return picture


def trained(tmp_path: Path, zipped: bool = False, split: str = "train2017") -> Retrieval:
    directory = write_split(tmp_path / "coco", split, zipped=zipped)
    return retrieval(Workspace(cache=tmp_path / "cache", data="coco", data_dir=directory), "", {})


def true_pixels(tmp_path: Path, image_id: int) -> np.ndarray:
    path = tmp_path / f"{image_id}.png"
    path.write_bytes(picture_bytes(image_id))
    return load(FilePicture(path))


@pytest.mark.parametrize("zipped", [False, True])
def test_a_training_caption_finds_its_own_picture(tmp_path: Path, zipped: bool) -> None:
    model = trained(tmp_path, zipped)
    for image_id, captions in CAPTIONS.items():
        for _, text in captions:
            found = answer(model, asked(text))
            assert (pixels(found) == true_pixels(tmp_path, image_id)).all()
            assert found.role == "generated"


def test_the_nearest_caption_is_that_of_the_largest_cosine(tmp_path: Path) -> None:
    # an independent TF-IDF: raw counts times ln((1 + n) / (1 + df)) + 1, vectors of unit length
    model = trained(tmp_path)
    texts = library(model).corpus.captions

    def words(text: str) -> list[str]:
        return re.findall(r"\b\w\w+\b", text.lower())

    df = Counter(word for text in texts for word in set(words(text)))
    idf = {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in df.items()}

    def vector(text: str) -> dict[str, float]:
        raw = {word: count * idf[word] for word, count in Counter(words(text)).items() if word in idf}
        norm = math.sqrt(sum(x * x for x in raw.values())) or 1.0
        return {word: x / norm for word, x in raw.items()}

    prompts = ["the blue cat", "dogs on a mat", "green boat lake", "running running dogs"]
    for prompt, found in zip(prompts, library(model).nearest(prompts), strict=True):
        q = vector(prompt)
        cosines = [sum(q.get(word, 0.0) * x for word, x in vector(text).items()) for text in texts]
        assert cosines[found] == pytest.approx(max(cosines), abs=1e-12)


def test_a_rare_word_outweighs_a_common_one_that_stands_twice(tmp_path: Path) -> None:
    # idf of cat in 10 of 11 captions: ln(12/11) + 1 = 1.09, of zebra in one: ln(12/2) + 1 = 2.79 > 2 * 1.09
    captions = {i: ((i, "cat"),) for i in range(1, 11)} | {11: ((11, "zebra"),)}
    directory = write_split(tmp_path / "coco", "train2017", captions)
    model = retrieval(Workspace(cache=tmp_path, data="coco", data_dir=directory), "", {})
    assert library(model).nearest(["cat cat zebra", "cat cat cat zebra"]) == [10, 0]


def test_of_equal_captions_the_lowest_id_wins(tmp_path: Path) -> None:
    captions = {8: ((30, "a cat"),), 3: ((10, "a cat"), (40, "a dog")), 5: ((20, "a cat"),)}
    directory = write_split(tmp_path / "coco", "train2017", captions)
    model = retrieval(Workspace(cache=tmp_path, data="coco", data_dir=directory), "", {})
    assert (pixels(answer(model, asked("cat"))) == true_pixels(tmp_path, 3)).all()


def test_a_prompt_without_a_known_word_is_answered_by_the_first_caption(tmp_path: Path) -> None:
    model = trained(tmp_path)
    lowest = min((id_, image_id) for image_id, entries in CAPTIONS.items() for id_, _ in entries)[1]
    for prompt in ("zzz qqq", "", "?!"):
        assert (pixels(answer(model, asked(prompt))) == true_pixels(tmp_path, lowest)).all()


def test_the_answer_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    model = trained(tmp_path)
    requests = [asked(text) for entries in CAPTIONS.values() for _, text in entries]
    together = dict(model.generate(requests))
    for position, request in enumerate(requests):
        assert together[position] == next(iter(model.generate([request])))[1]
    assert list(model.generate([])) == []


def test_a_size_that_is_asked_for_is_met(tmp_path: Path) -> None:
    model = trained(tmp_path)
    native = answer(model, asked("cat"))
    assert (native.width, native.height) == (30, 20)
    for width, height, size in [(8, 8, (8, 8)), (15, None, (15, 10)), (None, 40, (60, 40)), (30, 20, (30, 20))]:
        found = answer(model, asked("cat", width, height))
        assert (found.width, found.height) == size
        assert pixels(found).shape == (size[1], size[0], 3)
    assert answer(model, asked("cat", 30, 20)).content == native.content, "a picture of that size stays as it is"


def test_a_damaged_picture_is_a_failure_of_that_request_alone(tmp_path: Path) -> None:
    model = trained(tmp_path)
    (tmp_path / "coco" / "train2017" / file_name("train2017", 42)).write_bytes(b"gone bad")
    answers = dict(model.generate([asked("cat"), asked("boat")]))
    bad = answers[0]
    assert isinstance(bad, Failure)
    assert "000000000042.jpg" in bad.message
    assert isinstance(answers[1], Generation)


def test_the_identity_follows_captions_and_pictures(tmp_path: Path) -> None:
    first = trained(tmp_path / "a").identity
    assert trained(tmp_path / "b").identity == first
    assert trained(tmp_path / "c", zipped=True).identity == first, "a zip read in place is the same corpus"
    directory = write_split(tmp_path / "d", "train2017")
    (directory / "train2017" / file_name("train2017", 42)).write_bytes(picture_bytes(43))
    changed = retrieval(Workspace(cache=tmp_path, data="coco", data_dir=directory), "", {})
    assert changed.identity != first
    other = write_split(tmp_path / "e", "train2017", {**CAPTIONS, 5: ((1, "Two dogs."),)})
    assert retrieval(Workspace(cache=tmp_path, data="coco", data_dir=other), "", {}).identity != first


def test_a_smaller_corpus_is_another_model(tmp_path: Path) -> None:
    directory = write_split(tmp_path / "coco", "train2017")
    workspace = Workspace(cache=tmp_path, data="coco", data_dir=directory)
    whole, part = retrieval(workspace, "", {}), retrieval(workspace, "", {"size": "2"})
    assert len(library(part).corpus.pictures) == 2
    assert part.identity != whole.identity
    with pytest.raises(UsageError, match="size=none"):
        retrieval(workspace, "", {"size": "none"})


def test_another_folder_may_hold_the_corpus(tmp_path: Path) -> None:
    directory = write_split(tmp_path / "elsewhere", "train2014")
    workspace = Workspace(cache=tmp_path, data="blocksworld")
    model = retrieval(workspace, "", {"corpus": str(directory)})
    assert library(model).corpus.name == "coco train2014"


def test_no_training_captions_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    with pytest.raises(DataError, match=r"annotations/captions_train2014\.json.*fetch coco.*-a corpus=DIR"):
        retrieval(Workspace(cache=tmp_path, data="coco", data_dir=tmp_path), "", {})
    (tmp_path / "train2017").mkdir()
    with pytest.raises(DataError, match=r"no annotations/captions_train2017\.json"):
        retrieval(Workspace(cache=tmp_path, data="coco", data_dir=tmp_path), "", {})


def test_the_photos_of_val2014_are_never_in_the_corpus_unasked(tmp_path: Path) -> None:
    write_split(tmp_path, "val2014")
    write_split(tmp_path, "train2017")
    workspace = Workspace(cache=tmp_path / "cache", data="coco", data_dir=tmp_path)
    for _ in range(2):
        with pytest.raises(DataError, match="train2017, which holds most photos of val2014"):
            retrieval(workspace, "", {})
        # the photos count, not their captions: Karpathy's splits bring their own
        (tmp_path / "annotations" / "captions_val2014.json").unlink(missing_ok=True)
    assert library(retrieval(workspace, "", {"split": "train2017"})).corpus.name == "coco train2017"
    write_split(tmp_path, "train2014")
    assert library(retrieval(workspace, "", {})).corpus.name == "coco train2014"


def test_blocksworld_is_answered_from_training_scenes(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path, data="blocksworld")
    model = retrieval(workspace, "", {"size": "30"})
    assert len(library(model).corpus.pictures) == 30
    assert model.identity == retrieval(workspace, "", {"size": "30"}).identity
    found = answer(model, asked(library(model).corpus.captions[-1]))
    assert found == library(model).corpus.pictures[library(model).corpus.positions[-1]]
    assert retrieval(workspace, "", {"size": "31"}).identity != model.identity


def test_real_captions_find_real_training_photos(shared_data: Path, tmp_path: Path) -> None:
    mini = shared_data / "coco-mini"
    model = retrieval(Workspace(cache=tmp_path, data="coco", data_dir=mini), "", {})
    assert (len(library(model).corpus.pictures), len(library(model).corpus.captions)) == (80, 400)
    prompts = ["A man is in a kitchen making pizzas.", "a giraffe eats leaves"]
    first = [library(model).corpus.captions[i] for i in library(model).nearest(prompts)]
    assert "kitchen" in first[0] or "pizza" in first[0]
    shutil.copytree(mini / "train2017", tmp_path / "train2017")
    shutil.copy(mini / "annotations" / "captions_train2017.json", tmp_path)
    copied = retrieval(Workspace(cache=tmp_path, data="coco", data_dir=tmp_path), "", {})
    assert copied.identity == model.identity
    for (_, one), (_, other) in itertools.zip_longest(
        model.generate(list(map(asked, prompts))), copied.generate(list(map(asked, prompts)))
    ):
        assert one == other


def shown(picture: Image, job: Job = "captioning", words: tuple[Text, ...] = ()) -> Request:
    return Request("coco_caption@1", "1", job, (picture, *words), seed=0)


def test_a_training_picture_is_captioned_by_its_own_first_caption(tmp_path: Path) -> None:
    model = trained(tmp_path)
    pictures = [image_of(true_pixels(tmp_path, image_id), "source") for image_id in CAPTIONS]
    answers = dict(model.generate([shown(picture) for picture in pictures]))
    first = [min(captions)[1] for captions in CAPTIONS.values()]
    assert [answers[i] for i in range(len(first))] == [Generation((Text(text),)) for text in first]


def test_jobs_may_be_mixed_and_what_cannot_be_looked_up_is_a_failure(tmp_path: Path) -> None:
    model = trained(tmp_path)
    assert model.capabilities == {"text-to-image", "captioning"}
    picture = image_of(true_pixels(tmp_path, 5), "source")
    requests = [
        asked("a cat"),
        shown(picture),
        Request("t", "1", "captioning", (Text("no picture"),), 0),
        asked("dogs"),
    ]
    answers = dict(model.generate([*requests, shown(picture, "vqa", (Text("what?"),))]))
    assert [type(answers[i]) for i in range(5)] == [Generation, Generation, Failure, Generation, Failure]


def test_on_questions_alone_it_needs_no_captions(tmp_path: Path) -> None:
    write_vqa(tmp_path, "train")
    model = retrieval(Workspace(cache=tmp_path / "cache", data="vqav2", data_dir=tmp_path), "", {})
    assert model.capabilities == {"vqa"}
    assert model.identity["answers"] == "vqav2 train"
    picture = image_of(np.zeros((2, 2, 3), np.uint8), "source")
    question = Text("How many dogs?\nAnswer the question using a single word or phrase.")
    assert dict(model.generate([shown(picture, "vqa", (question,))]))[0] == Generation((Text("2"),))


@pytest.mark.slow
def test_its_baselines_on_blocksworld_are_those_of_the_readme(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path / "cache")
    found: dict[str, float] = {}
    for name in ("blocksworld_caption", "blocksworld_vqa"):
        task = build_task(name, workspace, None, {})
        with Cache(tmp_path / "cache") as cache:
            run_, _ = run(task, retrieval(task.workspace, "", {}), cache, RunSettings(), tmp_path / "runs")
        found |= {key: one.value for key, one in run_.estimates.items() if isinstance(one, Estimate)}
    assert found["cider"] == pytest.approx(0.307, abs=5e-4)
    assert found["attribute_precision"] == pytest.approx(0.307, abs=5e-4)
    assert found["block_recall"] == pytest.approx(0.042, abs=5e-4)
    assert found["vqa_accuracy"] == pytest.approx(38.52, abs=5e-3)
