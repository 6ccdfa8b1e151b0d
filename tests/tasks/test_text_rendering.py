"""Writing in pictures: the list, files of prompts, what is asked, and the real OCR on really drawn text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evalkit.cache import Cache
from evalkit.errors import DataError, UsageError
from evalkit.images import pixels
from evalkit.interfaces import Task
from evalkit.keys import request_document, sample_seed
from evalkit.metrics.spelling import normal
from evalkit.registry import build_task
from evalkit.runner import RunSettings, run
from evalkit.types import Estimate, Failure, Generation, Image, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks import TASKS
from evalkit_tasks.blocksworld.model import oracle_model
from evalkit_tasks.drawn_text import drawn_text
from evalkit_tasks.text_prompts import SETTINGS, TEXTS, own_prompts, quoted_text

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "prompt_requests.json"


def built(folder: Path, **options: str) -> Task:
    return build_task("text_rendering", Workspace(cache=folder / "cache", offline=True), None, options)


def test_requests_are_those_of_their_version(tmp_path: Path) -> None:
    made = built(tmp_path)
    asked = [made.request(s, sample_seed(made.name, s.id, 0, 0)) for s in made.samples()[40:43]]
    rendered = json.loads(json.dumps([request_document(request) for request in asked]))
    assert rendered == json.loads(GOLDEN.read_text(encoding="utf-8"))["text_rendering"], f"{made.name} asks otherwise"


def test_the_list_is_that_of_its_version(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))["text_prompts"]
    card = built(tmp_path).data
    assert {card.name: card.digest} == golden, "another list is another version of it: raise `text_prompts.VERSION`"
    assert card.stamps == ()


def test_each_of_a_hundred_texts_is_asked_plainly_and_in_a_setting() -> None:
    prompts = own_prompts()
    assert [len(texts) for texts in TEXTS.values()] == [20] * 5
    assert len({one.text for one in prompts}) == 100
    assert len({one.id for one in prompts}) == len(prompts) == 200
    assert {dict(one.strata)["setting"] for one in prompts} == {"plain", *SETTINGS}
    for one in prompts:
        assert quoted_text(one.prompt) == one.text, "the text is what the prompt quotes"
        assert normal(one.text), "and it can be scored"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ('A sign with the word "Kent" written on it.', "Kent"),
        ("a giraffe, with the words “giraffe” and “tooth brush” in colour", "giraffe tooth brush"),
        ("text ‘it’s late’, in the style of a note", "it’s late"),
        ("a retro ad with the text 'Coffee is what i like'.", "Coffee is what i like"),
        ("a dog's bowl and a cat's bed", ""),
        ("the dogs' bowl with the word 'woof'", "woof"),
        ("a logo for a company called Rust", ""),
        ('an empty "" sign', ""),
    ],
)
def test_the_text_is_what_stands_in_quotation_marks(prompt: str, text: str) -> None:
    assert quoted_text(prompt) == text


def test_a_file_of_prompts_is_asked_line_by_line_and_what_quotes_nothing_is_stamped(tmp_path: Path) -> None:
    path = tmp_path / "1_word.txt"
    path.write_text(
        'Word "coffee" made of beans.\n\na logo for the company EcoGrow\na plate labeled "!?"\n"so"\n', "utf-8"
    )
    made = built(tmp_path, prompts=str(path))
    assert [(one.id, one.references) for one in made.samples()] == [("1", (Text("coffee"),)), ("5", (Text("so"),))]
    assert made.data.name == "prompts of 1_word.txt"
    assert made.data.stamps == ("2 of 4 prompts quote no words and are not asked",)
    path.write_text('Word "coffee" made of beans.\n"so"\n', "utf-8")
    assert built(tmp_path, prompts=str(path)).data.stamps == ()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no words here\n", "holds no prompt with words in quotation marks"),
        (b"", "holds no prompt"),
        (b'a sign "A"\n"' + b"x" * 10_001 + b'"\n', "line 2 has 10,003 characters"),
        (b'a sign "A\x00B"\n', "line 1 holds a NUL"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_bad_file_says_what_is_wrong(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        built(tmp_path, prompts=str(path))
    with pytest.raises(DataError, match=r"absent\.txt cannot be read"):
        built(tmp_path, prompts=str(tmp_path / "absent.txt"))


def test_other_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has its own prompts.*-t prompts=FILE"):
        build_task("text_rendering", Workspace(cache=tmp_path, data="coco"), None, {})


def test_the_spec_names_the_metrics(tmp_path: Path) -> None:
    (spec,) = (one for one in TASKS if one.name == "text_rendering")
    assert [name for metric in built(tmp_path).metrics() for name in metric.names] == list(spec.metrics)


def test_a_text_is_drawn_inside_the_picture_and_as_large_as_it_goes() -> None:
    heights = []
    for text in ("go", "Handle this package with great care", "x" * 60):
        dark = np.argwhere(drawn_text(text, 200, 120).min(axis=2) < 255)
        assert dark.min() > 0 and (dark.max(axis=0) < (119, 199)).all(), "nothing is cut off"
        heights.append(np.ptp(dark[:, 0]))
    assert heights[0] > 20


def test_the_oracle_writes_what_is_quoted_and_nothing_else(tmp_path: Path) -> None:
    oracle = oracle_model(Workspace(cache=tmp_path), "", {})
    made = built(tmp_path)
    asked = made.request(made.samples()[0], 0)
    assert asked.parts == (Text('draw "OPEN"'),)
    ((_, answer),) = oracle.generate([asked])
    assert isinstance(answer, Generation)
    (picture,) = answer.parts
    assert isinstance(picture, Image) and (pixels(picture) == drawn_text("OPEN")).all()
    plain = Request(asked.task, "1", "text-to-image", (Text("draw a door"),), 0)
    ((_, failed),) = oracle.generate([plain])
    assert isinstance(failed, Failure) and "quotes no words" in failed.message


def test_the_real_ocr_reads_what_the_oracle_writes(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra `ocr` is not installed")
    path = tmp_path / "prompts.txt"
    path.write_text('a sign "Coffee Shop"\na cup with "42"\na wall with "GARDEN"\n', encoding="utf-8")
    made = built(tmp_path, prompts=str(path))
    with Cache(tmp_path / "cache") as cache:
        found, _ = run(made, oracle_model(Workspace(), "", {}), cache, RunSettings(), tmp_path / "runs")
    values = {name: one.value for name, one in found.estimates.items() if isinstance(one, Estimate)}
    assert values == {f"{name}[ppocr-v4]": 1.0 for name in ("exact_text", "word_accuracy", "character_accuracy")}
