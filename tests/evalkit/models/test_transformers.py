"""Laws of the transformers backend, with checkpoints that the library saved and photos of COCO."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PillowImage
from transformers import AutoModelForImageTextToText, AutoProcessor

from evalkit.errors import UsageError, WeightsError
from evalkit.images import pixels
from evalkit.keys import request_key
from evalkit.models.decoding import draws
from evalkit.models.transformers import ImageTextModel, transformers_model
from evalkit.types import Box, Boxes, Generation, Image, Request, Text
from evalkit.workspace import Workspace

from .asking import answers, failure, photos, request, text
from .checkpoint_files import save_llava

Build = Callable[..., ImageTextModel]
QUESTIONS = ("What is it?", "How many people stand left of the bench, or is there nobody at all?", "red?")


@pytest.fixture
def build(tmp_path: Path, llava: Path) -> Build:
    def built(folder: Path = llava, **options: str) -> ImageTextModel:
        return transformers_model(Workspace(cache=tmp_path / "cache"), str(folder), options)

    return built


@pytest.fixture
def questions(shared_data: Path) -> list[Request]:
    """Questions of several lengths about twelve photos, so that padding differs."""
    shown = photos(shared_data, 12)
    return [request("vqa", photo, Text(QUESTIONS[i % 3]), seed=i, sample=str(i)) for i, photo in enumerate(shown)]


def test_the_answer_is_what_the_library_itself_decodes(build: Build, llava: Path, questions: list[Request]) -> None:
    processor = AutoProcessor.from_pretrained(llava)
    network = AutoModelForImageTextToText.from_pretrained(llava).eval()
    (photo, question) = questions[0].parts
    assert isinstance(photo, Image)
    assert isinstance(question, Text)
    words = f"user: <image> {question.text}\nAnswer the question using a single word or phrase.assistant:"
    tensors = processor(images=PillowImage.fromarray(pixels(photo)), text=words, return_tensors="pt")
    with torch.inference_mode():
        made = network.generate(**tensors, do_sample=False, max_new_tokens=12)
    expected = processor.tokenizer.decode(made[0, tensors["input_ids"].shape[1] :], skip_special_tokens=True)
    assert text(answers(build(), [replace(questions[0], max_tokens=12)])[0]) == expected.strip()


def test_picture_question_and_prompt_each_decide_the_answer(build: Build, questions: list[Request]) -> None:
    first, second = questions[0], questions[1]
    other_picture = replace(first, parts=(second.parts[0], first.parts[1]))
    other_question = replace(first, parts=(first.parts[0], second.parts[1]))
    told = [text(found) for found in answers(build(), [first, other_picture, other_question])]
    spelt = build(vqa_prompt=r"{question}\nAnswer the question using a single word or phrase.")
    assert spelt.identity == build().identity
    bare = text(answers(build(vqa_prompt="{question}"), [first])[0])
    assert len({*told, bare}) == 4


@pytest.mark.parametrize("together", ["1", "2", "8"])
@pytest.mark.parametrize("temperature", [None, 1.0])
def test_an_answer_does_not_depend_on_its_company(
    build: Build, questions: list[Request], together: str, temperature: float | None
) -> None:
    wished = [replace(q, temperature=temperature) for q in questions]
    model = build(together=together)
    forwards = answers(model, wished)
    told = [text(found) for found in forwards]
    assert [text(found) for found in answers(model, wished[::-1])][::-1] == told
    assert [text(answers(model, [q])[0]) for q in wished] == told
    assert len(set(told)) == len(told)


def test_left_padding_gives_the_unpadded_answer(build: Build, questions: list[Request]) -> None:
    alone = [text(found) for found in answers(build(), questions)]
    assert [text(found) for found in answers(build(together="4"), questions)] == alone


def test_a_temperature_draws_by_the_seed_and_zero_is_greedy(build: Build, questions: list[Request]) -> None:
    model, asked = build(), questions[0]
    warm = replace(asked, temperature=1.5)
    told = [text(found) for found in answers(model, [warm, warm, replace(warm, seed=99)])]
    assert told[0] == told[1] != told[2]
    greedy = [text(found) for found in answers(model, [asked, replace(asked, temperature=0.0)])]
    assert greedy[0] == greedy[1] != told[0]


def test_draws_follow_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    process: Any = draws(range(4000), 2.0, None)
    drawn = process(torch.zeros(4000, 1, dtype=torch.long), logits.repeat(4000, 1)).argmax(1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(shares, torch.softmax(logits / 2, 0), atol=0.03)


def test_limit_and_stop_strings_end_an_answer(build: Build, questions: list[Request]) -> None:
    model, asked = build(), questions[0]
    (long,) = answers(model, [replace(asked, max_tokens=20)])
    assert isinstance(long, Generation)
    assert long.finish == "length"
    whole = text(long)
    stop = whole[3:5]
    (short,) = answers(model, [replace(asked, max_tokens=20, stop=(stop,))])
    assert isinstance(short, Generation)
    assert short.finish == "stop"
    assert text(short) == whole[: whole.index(stop)].strip()


def test_several_pictures_and_captions_are_understood(build: Build, shared_data: Path) -> None:
    first, second = photos(shared_data, 2)
    both = request("vqa", first, second, Text("Which is red?"))
    swapped = request("vqa", second, first, Text("Which is red?"))
    caption = request("captioning", first)
    told = [text(found) for found in answers(build(), [both, swapped, caption])]
    assert len(set(told)) == 3
    assert text(answers(build(caption_prompt="Say it."), [caption])[0]) != told[2]


def test_what_it_cannot_be_asked_is_a_failure_that_says_so(build: Build, questions: list[Request]) -> None:
    asked = questions[0]
    odd = [
        (replace(asked, guidance=3.0), "guidance=3.0 means nothing to this model for vqa"),
        (replace(asked, best_of=4), "best_of=4 means nothing"),
        (replace(asked, top_p=0.9), "needs a temperature"),
        (replace(asked, parts=(Boxes((Box("a", 0, 0, 1, 1),), 9, 9),)), "a Boxes cannot be shown"),
    ]
    for wish, complaint in odd:
        found = failure(answers(build(), [wish])[0])
        assert found.kind == "malformed"
        assert complaint in found.message


def test_an_overwritten_checkpoint_is_another_model(build: Build, tmp_path: Path, questions: list[Request]) -> None:
    folder = save_llava(tmp_path / "mine")
    before = build(folder)
    old_key, old_answer = request_key(before.identity, questions[0]), text(answers(before, questions[:1])[0])
    assert request_key(build(folder).identity, questions[0]) == old_key
    save_llava(folder, seed=1)
    after = build(folder)
    assert request_key(after.identity, questions[0]) != old_key
    assert text(answers(after, questions[:1])[0]) != old_answer


def test_equal_files_in_another_folder_are_the_same_model(build: Build, tmp_path: Path, llava: Path) -> None:
    assert build(save_llava(tmp_path / "copy")).identity == build(llava).identity


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "chat_template.jinja", "tokenizer.json"])
def test_each_file_that_decides_answers_is_in_the_identity(build: Build, tmp_path: Path, name: str) -> None:
    folder = save_llava(tmp_path / "mine")
    before = build(folder).identity
    path = folder / name
    path.write_text(path.read_text() + "\n")
    assert build(folder).identity != before


def test_what_training_leaves_beside_the_weights_is_not_in_the_identity(build: Build, tmp_path: Path) -> None:
    folder = save_llava(tmp_path / "mine")
    before = build(folder).identity
    (folder / "trainer_state.json").write_text("{}")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "optimizer.pt").write_bytes(b"x")
    assert build(folder).identity == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("precision", "bfloat16"), ("together", "2"), ("num_beams", "3"), ("chat", "no"), ("system", "Be brief.")],
)
def test_every_option_that_moves_an_answer_is_in_the_identity(build: Build, name: str, value: str) -> None:
    assert build(**{name: value}).identity != build().identity


def test_a_checkpoint_written_to_after_its_digest_was_taken_is_refused(
    build: Build, tmp_path: Path, questions: list[Request]
) -> None:
    folder = save_llava(tmp_path / "mine")
    model = build(folder)
    save_llava(folder, seed=1)
    with pytest.raises(WeightsError, match="was written to while it was loaded"):
        answers(model, questions[:1])


def test_pickles_are_refused_unless_asked_for(build: Build, tmp_path: Path, questions: list[Request]) -> None:
    folder = save_llava(tmp_path / "mine", safe=False)
    with pytest.raises(WeightsError, match=r"pytorch_model.bin is a pickle, which can run code; -a pickle=yes"):
        build(folder)
    assert text(answers(build(folder, pickle="yes"), questions[:1])[0]) == text(answers(build(), questions[:1])[0])


def test_a_checkpoint_that_is_none_is_an_error_of_one_line(build: Build, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(WeightsError, match=r"holds neither config\.json nor"):
        build(empty)
    with pytest.raises(WeightsError, match="neither a folder here nor the name of a hub repository"):
        build(tmp_path / "absent" / "deeper")
    with pytest.raises(UsageError, match="precision=float8 is not known"):
        build(precision="float8")
    with pytest.raises(UsageError, match=r"has no \{question\} in it"):
        build(vqa_prompt="Answer.")


def test_an_adapter_is_refused(build: Build, tmp_path: Path) -> None:
    folder = save_llava(tmp_path / "mine")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(WeightsError, match="is an adapter, whose base lies elsewhere"):
        build(folder)


def test_code_from_another_repository_is_refused_though_code_is_trusted(build: Build, tmp_path: Path) -> None:
    folder = save_llava(tmp_path / "mine")
    (folder / "extra.json").write_text('{"auto_map": {"AutoModel": "other/repo--model.Net"}}')
    with pytest.raises(WeightsError, match="takes its code from other/repo, which may change"):
        build(folder, trust_remote_code="yes")
