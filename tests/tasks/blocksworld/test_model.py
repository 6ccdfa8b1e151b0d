from __future__ import annotations

import zipfile

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.images import pixels, read_image
from evalkit.types import Answer, Failure, Generation, Image, Job, Part, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks.blocksworld import ORACLE_MODEL
from evalkit_tasks.blocksworld.files import DATA, document
from evalkit_tasks.blocksworld.model import Oracle, Truth, oracle_model


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    built = oracle_model(Workspace(), "", {})
    assert isinstance(built, Oracle)
    return built


def picture(archive: str, member: str) -> Image:
    with zipfile.ZipFile(DATA / archive) as file:
        return read_image(file.read(member), member)


def rows(name: str, key: str) -> list[dict[str, object]]:
    found = document(name)[key]
    assert isinstance(found, list)
    return [dict(row) for row in found if isinstance(row, dict)]


def answer(oracle: Oracle, job: Job, sample: str, *parts: Part, width: int | None = None) -> Answer:
    request = Request("test@1", sample, job, parts, seed=7, width=width, height=width)
    ((position, found),) = oracle.generate([request])
    assert position == 0
    return found


def test_a_caption_is_answered_by_the_true_picture(oracle: Oracle) -> None:
    for row in rows("captions_val.json", "annotations")[::97]:
        caption = Text(str(row["caption"]))
        found = answer(oracle, "text-to-image", f"{row['image_id']}-{row['id']}", caption)
        assert isinstance(found, Generation)
        (made,) = found.parts
        assert isinstance(made, Image)
        assert made.digest == picture("val.zip", f"val/{row['image_id']:012d}.png").digest


def test_a_larger_picture_has_the_size_asked_for(oracle: Oracle) -> None:
    caption = Text(str(rows("captions_val.json", "annotations")[0]["caption"]))
    found = answer(oracle, "text-to-image", "1", caption, width=256)
    assert isinstance(found, Generation)
    (made,) = found.parts
    assert isinstance(made, Image)
    assert pixels(made).shape == (256, 256, 3)
    odd = Request("test@1", "1", "text-to-image", (caption,), seed=7, width=64, height=32)
    ((_, refused),) = oracle.generate([odd])
    assert isinstance(refused, Failure)
    assert refused.kind == "malformed"


def test_a_sample_of_other_data_is_missing(oracle: Oracle) -> None:
    strange = Image("0" * 64, 64, 64)
    for found in (
        answer(oracle, "text-to-image", "139-203564", Text("A woman stands in the dining area at the table.")),
        answer(oracle, "text-to-image", "999999", Text("A red circle.")),
        answer(oracle, "text-to-image", "no number", Text("A red circle.")),
        answer(oracle, "captioning", "1", strange),
        answer(oracle, "vqa", "1000", strange, Text("How many shapes are there?")),
        answer(oracle, "text-guided-editing", "1", strange, Text("Remove the star.")),
    ):
        assert isinstance(found, Failure)
        assert found.kind == "missing"


def test_questions_have_the_majority_answer_whatever_prompt_stands_around_them(oracle: Oracle) -> None:
    told = {row["question_id"]: row["multiple_choice_answer"] for row in rows("answers_val.json", "annotations")}
    for row in rows("questions_val.json", "questions")[::101]:
        shown = picture("val.zip", f"val/{row['image_id']:012d}.png")
        prompt = Text(f"{row['question']}\nAnswer the question using a single word or phrase.")
        assert answer(oracle, "vqa", "any", shown, prompt) == Generation((Text(str(told[row["question_id"]])),))


def test_the_longest_known_question_is_the_one_that_is_asked() -> None:
    shown = Image("0" * 64, 64, 64)
    pairs = [("star?", "a"), ("Is there a star?", "b"), ("a star?", "c")]
    small = Oracle(Truth({}, {}, {}, {}, {shown.digest: pairs}, ""))
    assert answer(small, "vqa", "x", shown, Text("Is there a star?")) == Generation((Text("b"),))


def test_edits_end_in_the_true_target(oracle: Oracle) -> None:
    for row in rows("edits_val.json", "edits")[::41]:
        folder = f"images/{row['img_id']}"
        source = picture("edits.zip", f"{folder}/{row['source_img']}")
        found = answer(oracle, "text-guided-editing", "any", source, Text(str(row["instruction"])))
        assert isinstance(found, Generation)
        (made,) = found.parts
        assert isinstance(made, Image)
        target = picture("edits.zip", f"{folder}/{row['target_img']}")
        assert np.array_equal(pixels(made), pixels(target))


def test_a_picture_is_described_in_fresh_words(oracle: Oracle) -> None:
    references = [str(row["caption"]) for row in rows("captions_val.json", "annotations")]
    found = [answer(oracle, "captioning", "x", picture("val.zip", f"val/{i:012d}.png")) for i in range(1, 11)]
    texts = [part.text for one in found if isinstance(one, Generation) for part in one.parts if isinstance(part, Text)]
    assert len(texts) == 10
    assert any(text not in references for text in texts)


def test_the_oracle_is_what_its_spec_says(oracle: Oracle) -> None:
    assert oracle.name == ORACLE_MODEL.name
    assert oracle.capabilities == set(ORACLE_MODEL.jobs)
    assert set(oracle.identity) == {"model", "code", "data"}
    assert oracle.identity == oracle_model(Workspace(), "", {}).identity


def test_an_argument_or_option_is_an_error() -> None:
    with pytest.raises(UsageError, match="-m oracle"):
        oracle_model(Workspace(), "x", {})
    with pytest.raises(UsageError, match="-m oracle"):
        oracle_model(Workspace(), "", {"size": "3"})
