"""Laws of the published models behind `-m cm3leon:NAME`, on small random ones that transformers saved."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cm3leon.adapter import Cm3leon
from cm3leon.chameleon import prepared
from cm3leon.checkpoints import Checkpoint
from cm3leon.decoding import Sampling
from cm3leon.entry import cm3leon_model
from evalkit.cli import main
from evalkit.errors import UsageError, WeightsError
from evalkit.images import Pixels, image_of, pixels
from evalkit.models.prompts import CAPTION_PROMPT
from evalkit.progress import Bar, Silent
from evalkit.types import Boxes, Failure, Generation, Image, Job, Part, Request, Text
from evalkit.workspace import Workspace

from .tiny_chameleon import CODES, IMAGE_CONFIG, chameleon_tokenizer, hf_model, save_hf, unmasked, vqgan_of

CELLS = IMAGE_CONFIG.grid**2
IDS = chameleon_tokenizer().get_vocab()
START, END, OPEN, CLOSE, TURN = (IDS[name] for name in ("<s>", "</s>", "<racm3:break>", "<eoss>", "<reserved08706>"))


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The model as transformers runs it."""
    return hf_model(kv_heads=2)


@pytest.fixture(scope="module")
def folder(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as transformers saves it; beside it, in `vqgan`, the image tokenizer with its decoder."""
    folder = save_hf(theirs, tmp_path_factory.mktemp("hf"))
    (folder / "vqgan").mkdir()
    torch.save({"state_dict": vqgan_of(theirs)}, folder / "vqgan" / "vqgan.ckpt")
    return folder


def built(folder: Path, name: str = "chameleon-7b", **options: str) -> Cm3leon:
    given = {"weights": str(folder), "shape": "any", "precision": "fp32", **options}
    return cm3leon_model(Workspace(cache=folder), name, given)


@pytest.fixture(scope="module")
def anole(folder: Path) -> Cm3leon:
    return built(folder, "anole-7b", vqgan=str(folder / "vqgan"))


def drawn(seed: int, side: int = 40) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side + 9, 3), dtype=np.uint8)


def asked(job: Job, seed: int = 0, text: str = "a man on a plan?", **knobs: Any) -> Request:
    parts: dict[str, tuple[Part, ...]] = {
        "captioning": (image_of(drawn(seed), "source"),),
        "vqa": (image_of(drawn(seed), "source"), Text(text)),
        "text-to-image": (Text(text),),
        "text-guided-editing": (image_of(drawn(seed), "source"), Text(text)),
    }
    plain = Request(task="t@1", sample_id=f"s{seed}", job=job, parts=parts[job], seed=seed)
    return replace(plain, **knobs)


def answer(model: Cm3leon, request: Request) -> Generation:
    ((_, found),) = model.generate([request])
    assert isinstance(found, Generation), found
    return found


def shown(model: Any, seed: int) -> list[int]:
    """Return a picture as transformers puts it into a prompt."""
    with torch.inference_mode():
        codes = model.get_image_tokens(prepared(drawn(seed), IMAGE_CONFIG.pixels)[None])[0].tolist()
    return [OPEN, *codes, CLOSE]


def said(text: str) -> list[int]:
    return list(chameleon_tokenizer().encode(text, add_special_tokens=False).ids)


# --------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("end", [None, "<reserved08706>", "</s>"])
def test_greedy_captions_are_those_of_transformers(theirs: Any, tmp_path: Path, end: str | None) -> None:
    model = theirs
    if end is not None:
        model = hf_model(kv_heads=2)
        with torch.no_grad():
            model.lm_head.weight[IDS[end]] *= 4
    ours = built(save_hf(model, tmp_path))
    no_text = [token for token in range(len(IDS)) if not ours.checkpoint.vocabulary.is_text(token)]
    kept = {"do_sample": False, "eos_token_id": [TURN, END], "pad_token_id": 1, "max_new_tokens": 24}
    suppressed = [token for token in no_text if token not in (TURN, END)]
    ends = set()
    for seed in range(4):
        ids = torch.tensor([[START, *shown(model, seed), *said(CAPTION_PROMPT), TURN]])
        made = model.generate(ids, attention_mask=torch.ones_like(ids), suppress_tokens=suppressed, **kept)
        written = made[0, ids.shape[1] :].tolist()
        ended = written[-1] in (TURN, END)
        words = written[:-1] if ended else written
        found = answer(ours, asked("captioning", seed, max_tokens=24))
        assert found.parts == (Text(ours.checkpoint.vocabulary.decode(words).strip()),)
        assert found.finish == ("stop" if ended else "length")
        ends.add(written[-1])
    assert end is None or IDS[end] in ends


def test_questions_are_asked_in_chameleons_layout(theirs: Any, folder: Path) -> None:
    ours = built(folder, vqa_prompt=r"{question}\nShort!")
    ((stream),) = ours._layout.streams(asked("vqa", 3), ())
    assert list(stream) == [START, *shown(theirs, 3), *said("a man on a plan?\nShort!"), TURN]


def test_words_are_drawn_where_a_temperature_is_named(folder: Path) -> None:
    ours = built(folder)
    greedy = {answer(ours, asked("vqa", 1, max_tokens=8, temperature=t)).parts for t in (None, 0.0)}
    drawn_ = {answer(ours, replace(asked("vqa", 1, max_tokens=8, temperature=2.0), seed=s)).parts for s in range(4)}
    assert len(greedy) == 1 and len(drawn_) > 1


# ------------------------------------------------------------------------------------------------------------ pictures


@torch.inference_mode()
def guided_codes(model: Any, streams: Sequence[Sequence[int]], image: float, text: float, count: int) -> list[int]:
    """Return the likeliest codes that follow, one after the other, by transformers' logits before it masks them."""
    codes = torch.arange(4, 4 + CODES)  # in the order of their ids
    written: list[int] = []
    for _ in range(count):
        full, only, none = (unmasked(model, torch.tensor([[*s, *written]]))[0, -1, codes].double() for s in streams)
        written.append(int(codes[(none + image * (only - none) + text * (full - only)).argmax()]))
    return written


@pytest.mark.parametrize("job", ["text-to-image", "text-guided-editing"])
def test_pictures_are_guided_as_metas_code_guides_them(theirs: Any, anole: Cm3leon, job: Job) -> None:
    request = asked(job, 5, temperature=0.0)
    picture = shown(theirs, 5) if job == "text-guided-editing" else []
    wish = [START, *picture, *said("a man on a plan?"), TURN, OPEN]
    streams = (wish, [START, *picture, OPEN], [START, OPEN])
    (found,) = anole._wishes(0, request)
    ((_, codes),) = anole._generator.pictures([found.prompt])
    ids = anole.checkpoint.vocabulary.image(codes)
    assert len(ids) == CELLS and set(ids) <= set(range(4, 4 + CODES))
    assert ids[:10] == guided_codes(theirs, streams, image=1.2, text=3.0, count=10)
    assert ids[:10] != guided_codes(theirs, streams, image=1.2, text=1.0, count=10)
    (part,) = answer(anole, request).parts
    assert isinstance(part, Image) and np.array_equal(pixels(part), anole._decoded(codes))


def test_what_is_drawn_is_drawn_with_the_published_settings(anole: Cm3leon) -> None:
    for job, guidance in (("text-to-image", (3.0,)), ("text-guided-editing", (1.2, 3.0))):
        (wish,) = anole._wishes(0, asked(job))  # type: ignore[arg-type]
        assert wish.prompt.sampling == Sampling("top-p", 0.7, 0.9)
        assert wish.prompt.weights == guidance
    (wish,) = anole._wishes(0, asked("text-to-image", negative_prompt="an ant"))
    assert list(wish.prompt.streams[1]) == [START, *said("an ant"), TURN, OPEN]


@pytest.mark.parametrize("seed", range(3))
def test_every_code_that_is_drawn_is_a_picture_code(anole: Cm3leon, seed: int) -> None:
    (wish,) = anole._wishes(0, asked("text-to-image", seed, temperature=5.0, top_p=1.0))
    ((_, codes),) = anole._generator.pictures([wish.prompt])
    assert len(codes) == CELLS and min(codes) >= 0 and max(codes) < CODES and len(set(codes)) > CODES / 2


def test_no_answer_depends_on_its_company(folder: Path) -> None:
    anole = built(folder, "anole-7b", vqgan=str(folder / "vqgan"), rows="3")
    jobs: tuple[Job, ...] = ("captioning", "vqa", "text-to-image", "text-guided-editing")
    requests = [asked(job, seed, temperature=1.0) for seed in (1, 2) for job in jobs]
    requests = [replace(r, max_tokens=12) if r.job in ("captioning", "vqa") else r for r in requests]
    together = dict(anole.generate(requests))
    backwards = dict(anole.generate(requests[::-1]))
    assert len({str(found) for found in together.values()}) == len(requests)
    for position, request in enumerate(requests):
        assert answer(anole, request) == together[position] == backwards[len(requests) - 1 - position]


class Elsewhere(nn.Module):
    """An image tokenizer on a device that holds no numbers: what it is given must be there too."""

    def __init__(self, real: Any) -> None:
        super().__init__()
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(1, 1, device="meta")})
        self.real = real

    def encode(self, x: Tensor) -> Tensor:
        assert x.device.type == "meta"
        return torch.zeros(1, CELLS, dtype=torch.long)

    def decode(self, codes: Tensor) -> Tensor:
        assert codes.device.type == "meta"
        return torch.zeros(1, 3, 32, 32)


def test_pictures_are_coded_where_the_checkpoint_is(anole: Cm3leon) -> None:
    tokenizer: Any = Elsewhere(None)
    tokenizer.quantize.embedding = tokenizer.quantize["embedding"]
    held = anole.checkpoint
    moved = replace(anole, checkpoint=Checkpoint(held.config, held.vocabulary, tokenizer, held.transformer))
    assert moved._coded(drawn(0)) == [0] * CELLS
    assert moved._decoded([0] * CELLS).shape == (32, 32, 3)


# -------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asked("text-to-image", text=" "), "no words"),
        (replace(asked("captioning"), parts=()), "0 pictures"),
        (replace(asked("vqa"), parts=asked("vqa").parts[:1]), "no words"),
        (replace(asked("text-guided-editing"), parts=(Text("make it blue"),)), "0 pictures"),
        (replace(asked("text-to-image"), parts=asked("vqa").parts), "takes none"),
        (replace(asked("text-to-image"), parts=(Text("a"), Boxes((), 4, 4))), "Boxes"),
        (replace(asked("text-to-image"), job="object-to-image"), "not made for object-to-image"),
        (asked("text-to-image", text="word " * 4000), "tokens"),
        (asked("vqa", guidance=3.0), "guidance=3.0 means nothing"),
        (asked("vqa", top_p=0.5), "top_p=0.5 needs a temperature"),
        (asked("text-to-image", image_guidance=3.0), "image_guidance=3.0 means nothing"),
    ],
)
def test_what_cannot_be_answered_is_a_failure_that_says_why(anole: Cm3leon, request_: Request, message: str) -> None:
    found = dict(anole.generate([request_, asked("vqa", max_tokens=2)]))
    failure = found[0]
    assert isinstance(failure, Failure) and failure.kind == "malformed" and message in failure.message
    assert isinstance(found[1], Generation)


@dataclass
class Listening:
    """A progress that keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        return Silent().bar(what, total, unit)

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize("name", ["chameleon-7b", "chameleon-30b", "anole-7b"])
def test_licence_is_named_before_a_file_is_opened(tmp_path: Path, name: str) -> None:
    listening = Listening()
    with pytest.raises(WeightsError, match="holds no model"):
        cm3leon_model(Workspace(cache=tmp_path, progress=listening), name, {"weights": str(tmp_path)})
    (line,) = listening.lines
    assert line.startswith(name) and "Chameleon Research License" in line and "non-commercial" in line


@pytest.mark.parametrize(
    ("name", "size", "repository"),
    [
        ("chameleon-7b", "14 GB", "facebook/chameleon-7b"),
        ("chameleon-30b", "69 GB", "facebook/chameleon-30b"),
        ("anole-7b", "14 GB", "GAIR/Anole-7b-v0.1"),
    ],
)
def test_without_weights_it_says_which_files_how_large_under_which_licence_and_how_to_get_them(
    tmp_path: Path, name: str, size: str, repository: str
) -> None:
    with pytest.raises(WeightsError) as caught:
        cm3leon_model(Workspace(cache=tmp_path), name, {})
    message = str(caught.value)
    wanted = ("-a weights=DIR", "model*.safetensors", "vqgan.ckpt", size, "Chameleon Research License", "section 3.2")
    assert all(words in message for words in (*wanted, f"hf download {repository}"))


def test_chameleon_draws_only_where_it_is_told_to(folder: Path) -> None:
    text, drawing = {"captioning", "vqa"}, {"text-to-image", "text-guided-editing"}
    vqgan = str(folder / "vqgan")
    assert built(folder).capabilities == text
    assert built(folder, vqgan=vqgan).capabilities == text
    assert built(folder, draw="yes", vqgan=vqgan).capabilities == text | drawing
    assert built(folder, "anole-7b", vqgan=vqgan).capabilities == text | drawing
    assert built(folder, "anole-7b", draw="no").capabilities == text
    for name, options in (("anole-7b", {}), ("chameleon-7b", {"draw": "yes"})):
        with pytest.raises(WeightsError, match=r"without a decoder.*-a vqgan=PATH.*-a draw=no"):
            built(folder, name, **options)


def test_model_of_another_size_must_be_asked_for(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"is not chameleon-7b: .*transformer\.width is 64, not 4096.*-a shape=any"):
        built(folder, shape="published")
    assert built(folder).name == "cm3leon:chameleon-7b shape=any"


def test_weights_that_are_missing_or_too_many_are_named(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.extra.weight"] = weights.pop("model.layers.0.self_attn.q_proj.weight")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"missing: .*layers\.0\.self_attn\.q_proj.*unexpected: .*mlp\.extra"):
        built(tmp_path)


def test_weights_that_were_cut_short_are_named(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    whole = (folder / "model.safetensors").read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
    (tmp_path / "model.safetensors").write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match=rf"model\.safetensors.*cut short.*before the end of {last};"):
        built(tmp_path)
    for length in (0, 4, 100, 1000):
        (tmp_path / "model.safetensors").write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"model\.safetensors.*cut short"):
            built(tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "said_"),
    [
        ("chameleon-8b", {}, "did you mean 'chameleon-7b'"),
        ("chameleon-7b", {"documents": "2"}, "documents=2 means nothing to cm3leon:chameleon-7b"),
        ("", {"draw": "yes"}, "draw=yes means nothing to cm3leon:blocksworld"),
        ("anole-7b", {"draw": "maybe"}, "draw=maybe is not known"),
        ("anole-7b", {"shape": "small"}, "shape=small is not known"),
        ("anole-7b", {"precision": "int4"}, "precision=int4 is not known"),
        ("anole-7b", {"device": "tpu"}, "not on 'tpu'"),
        ("anole-7b", {"device": "cuda:99"}, "cuda:99 is not here"),
        ("anole-7b", {"rows": "0"}, "rows=0 is not a whole number"),
        ("anole-7b", {"vqa_prompt": "Hm"}, "no {question}"),
    ],
)
def test_wrong_option_is_refused_before_weights_are_looked_for(
    tmp_path: Path, name: str, options: dict[str, str], said_: str
) -> None:
    with pytest.raises(UsageError, match=said_):
        cm3leon_model(Workspace(cache=tmp_path), name, options)


# --------------------------------------------------------------------------------------------------------- identity


def test_whatever_can_change_an_answer_is_another_model(folder: Path) -> None:
    settings: tuple[dict[str, str], ...] = (
        {},
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"precision": "int8"},
        {"rows": "3"},
        {"caption_prompt": "What?"},
        {"vqa_prompt": "{question}"},
        {"vqgan": str(folder / "vqgan")},
    )
    models = [built(folder, **options) for options in settings]
    assert len({str(model.identity) for model in models}) == len(settings)
    assert models[3].identity["precision"] == "bfloat16 int8"
    for model in models[:5]:
        assert answer(model, asked("captioning", max_tokens=4)).parts


def test_prompts_and_rows_of_a_batch_are_as_asked(folder: Path) -> None:
    one = answer(built(folder, caption_prompt="an ant"), asked("captioning", max_tokens=8))
    assert one != answer(built(folder), asked("captioning", max_tokens=8))
    requests = [asked("captioning", seed, max_tokens=8) for seed in range(5)]
    few = built(folder, rows="2")
    together = dict(few.generate(requests))
    assert [answer(few, request) for request in requests] == [together[i] for i in range(5)]


def test_the_command_runs_a_published_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in os.environ:
        if name.startswith("EVALKIT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    words = ["run", "blocksworld_vqa", "-L", "4", "-m", "cm3leon:chameleon-7b", "-a", f"weights={folder}"]
    more = ["--cache", str(tmp_path / "cache"), "--json"]
    assert main([*words, *more]) == 2
    assert "is not chameleon-7b" in capsys.readouterr().err
    assert main([*words, "-a", "shape=any", *more]) == 0
    written = capsys.readouterr().out
    assert "cm3leon:chameleon-7b shape=any" in written and '"asked": 4' in written
