"""Generation: what the cache answers is what whole sequences answer, and no answer depends on its company."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from cm3leon.config import TransformerConfig
from cm3leon.decoding import Mode, Sampling
from cm3leon.generate import ROWS, Generator, Prompt
from cm3leon.packed import packed
from cm3leon.places import PlaceTable
from cm3leon.transformer import Places, Transformer

CODES = list(range(8, 24))
END = 3
KINDS = np.array([2] * 8 + [1] * 16 + [0] * 16, np.int8)
TABLE = PlaceTable(KINDS, pad=0, break_=2, cells=9)
CONFIG = TransformerConfig(
    vocabulary=40, width=32, layers=2, heads=4, hidden=64, context=128, tied=True, segments=6, image_cells=9
)
GREEDY = Sampling("greedy")


def randomised(model: Transformer) -> Transformer:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    return randomised(Transformer(CONFIG))


@pytest.fixture(scope="module")
def generator(transformer: Transformer) -> Generator:
    return Generator(transformer, TABLE, CODES, (END,))


def drawn_prompts(count: int, streams: int = 2, seed: int = 0) -> list[Prompt]:
    rng = np.random.default_rng(seed)
    return [
        Prompt(
            tuple((1, *rng.integers(24, 40, size=rng.integers(1, 40)).tolist(), 2) for _ in range(streams)),
            tuple(float(rng.uniform(1, 3)) for _ in range(streams - 1)),
            Sampling("top-p", temperature=0.9, top_p=0.9),
            seed=int(rng.integers(2**62)),
        )
        for _ in range(count)
    ]


def logits_of(transformer: Transformer, ids: list[int]) -> torch.Tensor:
    row = np.array([ids])
    offset, segment, cell = (torch.from_numpy(part) for part in TABLE.of(row))
    with torch.inference_mode():
        logits: torch.Tensor = transformer(
            torch.from_numpy(row), Places(torch.arange(len(ids))[None], offset, segment, cell)
        )
    return logits[0, -1]


def test_greedy_codes_are_those_of_whole_sequences(transformer: Transformer, generator: Generator) -> None:
    for prompt in drawn_prompts(6, streams=1):
        (_, codes), *_ = generator.pictures([replace(prompt, sampling=GREEDY)])
        ids = list(prompt.streams[0])
        for code in codes:
            assert int(logits_of(transformer, ids)[CODES].argmax()) == code
            ids.append(CODES[code])
        assert len(codes) == 9


def test_a_long_picture_is_that_of_whole_sequences() -> None:
    """The cache is read in growing parts; this goes through several, with rotary positions."""
    config = replace(CONFIG, segments=0, image_cells=0, norm="rms-norm", position="rotary", mlp="swiglu", qk_norm=True)
    model, table = randomised(Transformer(config)), replace(TABLE, cells=50)
    for prompt in drawn_prompts(3, streams=1, seed=2):
        (_, codes), *_ = Generator(model, table, CODES, (END,)).pictures([replace(prompt, sampling=GREEDY)])
        ids = [*prompt.streams[0], *(CODES[code] for code in codes)]
        for step in range(0, 50, 7):
            before = len(prompt.streams[0]) + step
            assert int(logits_of(model, ids[:before])[CODES].argmax()) == codes[step]
        assert len(set(codes)) > 3


def test_guidance_is_between_the_streams(transformer: Transformer, generator: Generator) -> None:
    for streams in (2, 3):
        for prompt in drawn_prompts(4, streams=streams):
            (_, codes), *_ = generator.pictures([replace(prompt, sampling=GREEDY)])
            told = [list(stream) for stream in prompt.streams]
            for code in codes:
                full, *others = (logits_of(transformer, ids)[CODES].double() for ids in told)
                if streams == 2:
                    wanted = others[0] + prompt.weights[0] * (full - others[0])
                else:
                    image, nothing = others
                    wanted = nothing + prompt.weights[0] * (image - nothing) + prompt.weights[1] * (full - image)
                assert int(wanted.argmax()) == code
                for ids in told:
                    ids.append(CODES[code])


def test_no_answer_depends_on_its_company(generator: Generator) -> None:
    prompts = drawn_prompts(ROWS + 5)
    together = dict(generator.pictures(prompts))
    assert sorted(together) == list(range(ROWS + 5))
    backwards = dict(generator.pictures(prompts[::-1]))
    for position, prompt in enumerate(prompts):
        ((_, alone),) = generator.pictures([prompt])
        assert alone == together[position] == backwards[len(prompts) - 1 - position]


def test_the_last_layer_is_the_same_to_the_last_bit_in_every_row(transformer: Transformer) -> None:
    """Sampling hides small differences; this looks at what is sampled from."""
    from cm3leon.generate import _Batch, _Run

    first, *others = [prompt for prompt in drawn_prompts(60, 1) if len(prompt.streams[0]) <= 32][:ROWS]
    rows = [first, *others]
    with torch.inference_mode():
        runs = [_Run(transformer, TABLE, _Batch(tuple(rows[-turn:] + rows[:-turn]), 32), 9) for turn in (0, 3, 15)]
        hidden = [run.read()[turn] for run, turn in zip(runs, (0, 3, 15), strict=True)]
        behind = [run.write(torch.full((ROWS,), 9))[turn] for run, turn in zip(runs, (0, 3, 15), strict=True)]
    for found in (hidden, behind):
        assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_the_last_layer_is_the_same_to_the_last_bit_at_the_shipped_models_size() -> None:
    """Products of this size take other kernels, on packed weights."""
    from cm3leon.generate import _Batch, _Run

    config = replace(CONFIG, width=320, heads=10, hidden=1280, layers=1)
    model = packed(randomised(Transformer(config)), 2 * ROWS)
    rows = [prompt for prompt in drawn_prompts(90, 2) if max(map(len, prompt.streams)) <= 32][:ROWS]
    found = []
    with torch.inference_mode():
        for turn in (0, 5, 15):
            run = _Run(model, TABLE, _Batch(tuple(rows[-turn:] + rows[:-turn]), 32), 9)
            steps = [run.read(), run.write(torch.full((ROWS,), 9)), run.write(torch.full((ROWS,), 11))]
            found.append(torch.stack(steps).view(3, 2, ROWS, -1).roll(-turn, dims=2))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what waits for a device, or moves something to or from it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [part for part in tree_flatten((args, kwargs, out))[0] if isinstance(part, torch.Tensor)]
        if (
            len({tensor.device.type for tensor in tensors}) > 1
            or "_local_scalar" in str(func)
            or "nonzero" in str(func)
        ):
            self.found.append(str(func))
        return out


@pytest.mark.parametrize("mode", ["greedy", "top-p", "cd-k"])
@pytest.mark.parametrize("streams", [2, 3])
def test_a_step_on_a_gpu_waits_for_nothing(mode: Mode, streams: int) -> None:
    """Else no CUDA graph could hold it. The GPU is one that only knows shapes, so this runs anywhere."""
    from cm3leon.generate import _Batch, _Choice, _Run

    batch = _Batch(tuple(replace(p, sampling=Sampling(mode, top_p=0.9)) for p in drawn_prompts(4, streams)), 64)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        model = Transformer(CONFIG).eval()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(), Waits() as waits:
        run, choice = _Run(model, TABLE, batch, 9, CODES[0]), _Choice(model, batch, torch.tensor(CODES), 9, ())
        run._gap = None  # Triton's kernels take no tensors that are but shapes
        assert waits.found, "laying out a batch moves it to the device"
        choice.choose(run.read())
        waits.found.clear()
        for _ in range(2):
            choice.choose(run.write(choice.tokens))
    assert choice.tokens.device.type == "cuda" and waits.found == []


def test_another_seed_gives_another_picture(generator: Generator) -> None:
    prompt = replace(drawn_prompts(1)[0], sampling=Sampling("top-p", temperature=4.0))
    answers = {tuple(codes) for _, codes in generator.pictures([replace(prompt, seed=seed) for seed in range(12)])}
    assert len(answers) > 6


def test_words_end_where_the_model_ends_them(transformer: Transformer, generator: Generator) -> None:
    for prompt in drawn_prompts(8, streams=1, seed=4):
        ((_, words, ended),) = generator.words([replace(prompt, sampling=GREEDY)], longest=12)
        ids = list(prompt.streams[0])
        may = [i for i in range(40) if KINDS[i] == 0 or i == END]
        for word in [*words, *([END] if ended else [])]:
            assert may[int(logits_of(transformer, ids)[may].argmax())] == word
            ids.append(word)
        assert ended or len(words) == 12


def test_contrastive_rows_may_stand_beside_others(generator: Generator) -> None:
    prompts = drawn_prompts(6)
    mixed = [replace(p, sampling=Sampling("cd-k", alpha=0.1, k=3)) if i % 2 else p for i, p in enumerate(prompts)]
    together = dict(generator.pictures(mixed))
    plain = dict(generator.pictures(prompts))
    assert all(together[i] == plain[i] for i in (0, 2, 4))
    assert any(together[i] != plain[i] for i in (1, 3, 5))


def test_a_prompt_that_does_not_fit_is_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match="128"):
        list(generator.pictures([Prompt(((1, *[30] * 120),), (), GREEDY, 0)]))


@pytest.mark.parametrize(("streams", "weights"), [((), ()), (((1,), ()), (1.0,)), (((1,), (1,)), ())])
def test_streams_and_weights_must_fit(streams: tuple[tuple[int, ...], ...], weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="streams"):
        Prompt(streams, weights, GREEDY, 0)


def test_the_mark_that_ends_words_is_not_among_them(generator: Generator) -> None:
    prompt = replace(drawn_prompts(1, streams=1)[0], sampling=Sampling("top-p", temperature=20.0))
    answers = [(words, ended) for _, words, ended in generator.words([replace(prompt, seed=s) for s in range(40)], 12)]
    assert {ended for _, ended in answers} == {True, False}
    for words, ended in answers:
        assert END not in words and (len(words) < 12 if ended else len(words) == 12)
