"""The laws of the captioning benchmarks: what they read, the scores of pycocoevalcap, and parts of sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.interfaces import Task
from evalkit.metrics.captions.ptb import CaptionTokeniser
from evalkit.registry import build_task
from evalkit.results import Run
from evalkit.types import Estimate, Text
from evalkit.workspace import Workspace
from tests.evalkit.metrics.captions.reference import coco_scores
from tests.tasks.caption_files import write_flickr30k, write_nocaps
from tests.tasks.coco_files import CAPTIONS, captions_json, write_split
from tests.tasks.question_files import write
from tests.tasks.test_vqav2 import measured, value

WITHOUT_JAVA = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l")
SAID = {"42": "a red cat on a mat", "5": "two dogs running", "900": "a boat"}


def task(name: str, folder: Path, data: str | None = None, **options: str) -> Task:
    return build_task(name, Workspace(cache=folder / "cache", data=data, data_dir=folder), None, options)


def test_every_captioned_picture_is_shown_once_with_the_prompt(tmp_path: Path) -> None:
    made = task("coco_caption", write_split(tmp_path, "val2017", zipped=True))
    samples = made.samples()
    assert [(s.id, s.cluster, len(s.references)) for s in samples] == [
        ("42", "42", 3),
        ("5", "5", 2),
        ("900", "900", 2),
    ]
    (_, words) = made.request(samples[0], 0).parts
    assert words == Text("Provide a one-sentence caption for the provided image.")
    bare = task("coco_caption", tmp_path, prompt="picture-only")
    assert bare.request(samples[0], 0).parts == samples[0].parts
    assert made.data.stamps == ("3 of the 5,000 images of val2017",)


def test_its_scores_are_pycocoevalcap_s_on_real_captions(shared_data: Path, tmp_path: Path) -> None:
    made = build_task(
        "coco_caption", Workspace(cache=tmp_path, data_dir=shared_data / "coco-mini"), None, {"split": "val2017"}
    )
    samples = made.samples()
    assert len(samples) == 197
    # each photo is captioned with the first caption of the next one
    texts = [[part.text for part in s.references if isinstance(part, Text)] for s in samples]
    said = [texts[(place + 1) % len(texts)][0] for place in range(len(texts))]
    found, _ = measured(made, {s.id: text for s, text in zip(samples, said, strict=True)}, tmp_path, WITHOUT_JAVA)
    assert found.stamps == ("197 of the 5,000 images of val2017",)
    tokens = CaptionTokeniser()
    tokenised = [[tokens(text) for text in people] for people in texts]
    for name, ours in (
        ("cider", ("cider",)),
        ("rouge", ("rouge_l",)),
        ("bleu", ("bleu_1", "bleu_2", "bleu_3", "bleu_4")),
    ):
        corpus, _ = coco_scores(name, [tokens(text) for text in said], tokenised)
        assert [value(found, one) for one in ours] == pytest.approx(list(corpus), abs=1e-6)


def test_a_subset_has_other_document_frequencies_in_its_protocol(tmp_path: Path) -> None:
    whole = measured(task("coco_caption", write_split(tmp_path / "a", "val2017")), SAID, tmp_path, WITHOUT_JAVA)[0]
    fewer = {image: texts for image, texts in CAPTIONS.items() if image != 900}
    part = measured(task("coco_caption", write_split(tmp_path / "b", "val2017", fewer)), SAID, tmp_path, WITHOUT_JAVA)[
        0
    ]

    def frequencies(found: Run) -> object:
        one = found.estimates["cider"]
        assert isinstance(one, Estimate)
        return dict(found.protocols[one.protocol].fields)["document_frequency_digest"]

    assert frequencies(whole) != frequencies(part)


def test_karpathys_split_is_taken_where_it_is_at_hand(tmp_path: Path) -> None:
    write_split(tmp_path, "val2014")
    assert task("coco_caption", tmp_path).data.name == "coco val2014"
    listed = captions_json("val2014")["images"]
    assert isinstance(listed, list)
    images = [
        {
            "cocoid": one["id"],
            "filepath": "val2014",
            "filename": one["file_name"],
            "split": "test" if one["id"] != 900 else "restval",
            "sentences": [{"raw": text, "sentid": id_} for id_, text in CAPTIONS[one["id"]]],
        }
        for one in listed
    ]
    write(tmp_path, "dataset_coco.json", {"dataset": "coco", "images": images})
    made = task("coco_caption", tmp_path)
    assert (made.data.name, made.data.stamps) == ("karpathy test", ("2 of the 5,000 images of Karpathy's test",))
    assert task("coco_caption", tmp_path, data="coco").data.name == "coco val2014"


def test_nocaps_has_cider_within_domains(tmp_path: Path) -> None:
    made = task("nocaps", write_nocaps(tmp_path))
    found, _ = measured(made, SAID, tmp_path, ("cider", "cider_by_domain"))
    within = {name: one for name, one in found.estimates.items() if name.startswith("cider[")}
    assert list(within) == ["cider[domain=in-domain]", "cider[domain=out-domain]"]
    tokens = CaptionTokeniser()
    people = [[tokens(text) for _, text in CAPTIONS[image]] for image in (42, 5)]
    corpus, _ = coco_scores("cider", [tokens(SAID[str(image)]) for image in (42, 5)], people)
    assert value(found, "cider[domain=in-domain]") == pytest.approx(corpus[0], abs=1e-6)
    assert value(found, "cider[domain=out-domain]") == 0, "of one image CIDEr-D is 0"
    assert value(found, "cider") > 0


def test_flickr30k_reads_karpathys_test_split_alone(tmp_path: Path) -> None:
    made = task("flickr30k_caption", write_flickr30k(tmp_path))
    assert [sample.id for sample in made.samples()] == ["42", "5"]
    assert made.data.stamps == ("2 of the 1,000 images of Karpathy's test of Flickr30k",)
    with pytest.raises(DataError, match="has no split 'val', only test, train"):
        task("flickr30k_caption", tmp_path, split="val")


@pytest.mark.parametrize("name", ["nocaps", "flickr30k_caption"])
def test_without_its_files_a_task_says_where_they_are_had(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="get it from https://"):
        task(name, tmp_path)
    with pytest.raises(UsageError, match="no data named 'coco' for this task"):
        task(name, tmp_path, data="coco")


def test_missing_pictures_and_ids_that_stand_twice_are_errors(tmp_path: Path) -> None:
    write_nocaps(tmp_path)
    (tmp_path / "val" / f"{5:016x}.jpg").unlink()
    with pytest.raises(DataError, match=rf"1 of the 3 images .* first being {5:016x}\.jpg"):
        task("nocaps", tmp_path)
    write_flickr30k(tmp_path / "f")
    entry = {"imgid": 1, "filename": "1.jpg", "split": "test", "sentences": [{"raw": "a cat", "sentid": 1}]}
    write(tmp_path / "f", "dataset_flickr30k.json", {"images": [entry, entry]})
    with pytest.raises(DataError, match=r"dataset_flickr30k\.json: image id 1 stands twice"):
        task("flickr30k_caption", tmp_path / "f")
