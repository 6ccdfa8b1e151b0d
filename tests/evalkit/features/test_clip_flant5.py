"""CLIP-FlanT5: a small random one in the official layout, against transformers' modules put together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from evalkit.downloads import file_sha256
from evalkit.errors import UsageError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.clip_flant5 import SYSTEM, ClipFlanT5, FlanT5Shape
from evalkit.features.t5_tokens import read_t5_tokens
from evalkit.images import image_of
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like
from tests.evalkit.features.flant5_files import (
    SPARE,
    XL,
    XXL,
    Reference,
    model,
    reference_model,
    save,
    save_in_parts,
    state,
)

PROMPTS = (
    "a cat",
    "a sign that says \"Yes\" and {} 'braces'",
    "",
    "  two\n\nlines,\tmany   spaces ",
    "naïve café 日本 🙂",
    "not an <image> </s> here",
    "word " * 2500,
)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_model()


@pytest.fixture
def saved(tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `weights` hold both files."""
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    save(reference, tmp_path / "weights")
    return tmp_path


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


def test_tensors_in_several_files_are_those_of_one(reference: Reference, saved: Path) -> None:
    save_in_parts(reference, saved / "weights")
    picture = photo_like(3, 40, 50)
    assert model(saved, name=XXL).score(picture, "a cat") == model(saved).score(picture, "a cat")


def test_every_file_of_several_stands_in_the_digest(reference: Reference, saved: Path) -> None:
    save_in_parts(reference, saved / "weights")
    before = model(saved, name=XXL).protocol_fields["weights"]
    path = saved / "weights" / "pytorch_model-00002-of-00002.bin"
    tensors = torch.load(path)
    torch.save({**tensors, next(iter(tensors)): torch.zeros(2, 2)}, path)
    assert model(saved, name=XXL).protocol_fields["weights"] != before


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not an index of weight files"),
        ('{"weight_map": ["a"]}', "is not an index of weight files"),
        ('{"weight_map": {"a": {}}}', "is not an index of weight files"),
        ('{"weight_map": {}}', "names no weight file"),
        ('{"weight_map": {"a": 1}}', "names 1, which is not a file beside it"),
        ('{"weight_map": {"a": "../pytorch_model.bin"}}', "names '../pytorch_model.bin', which is not a file beside"),
        ('{"weight_map": {"a": "gone.bin"}}', "names gone.bin, which is not in "),
    ],
)
def test_a_bad_index_is_an_error_that_names_it(content: str, complaint: str, saved: Path) -> None:
    path = saved / "weights" / "pytorch_model.bin.index.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(WeightsError, match=f"{re.escape(str(path))} {re.escape(complaint)}"):
        model(saved, name=XXL).prepare()


def test_the_largest_is_not_fetched_and_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # other tools may have left them in the real one
    wanted = ClipFlanT5(Workspace(cache=tmp_path / "cache", offline=True), XXL)
    with pytest.raises(WeightsError, match="hf download zhiqiulin/clip-flant5-xxl --local-dir clip-flant5-xxl"):
        wanted.prepare()


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
