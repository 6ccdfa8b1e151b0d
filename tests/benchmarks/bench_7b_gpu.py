"""Prints what pictures of 1,024 tokens cost a 7B-shaped model on one GPU, beside what the card's memory allows.

    PYTHONPATH=.:reference_model python3 tests/benchmarks/bench_7b_gpu.py [--budget-seconds 70] [--device cuda]

Random weights, drawn on the card. The bound of a step is the larger of its bytes (weights of the layers, the head's
picture rows, and the keys and values that its sequences hold on average) over the measured rate of a copy, and its
products over the measured rate of a large one. Tokens a second are whole pictures, reading the prompt and recording the
graph included; `marginal` leaves those out. A measurement that fails says so, and the next one is made.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from cm3leon.config import CONFIGS, TransformerConfig
from cm3leon.decoding import Sampling
from cm3leon.generate import Generator, Prompt
from cm3leon.places import PlaceTable
from cm3leon.quantisation import Int8Linear, quantise, rounded
from cm3leon.transformer import Transformer

START = time.perf_counter()
FIRST_CODE, CODES, END, BREAK = 4, 8192, 8196, 8197
PROMPT = 28


@dataclass(frozen=True, slots=True)
class Card:
    """What was measured: bytes a second of a copy, counting both ways, and operations a second of a product."""

    bytes_a_second: float
    operations_a_second: float


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    shape: str
    precision: str
    batch: int
    streams: int

    @property
    def name(self) -> str:
        return f"{self.shape:13} {self.precision:5} batch {self.batch:2} x {self.streams} streams"


def said(text: str) -> None:
    """Print at once, with the seconds since the start."""
    print(f"[{time.perf_counter() - START:5.1f} s] {text}", flush=True)


def tried(what: str, work: Callable[[], None]) -> None:
    """Do `work`; if it fails, say so."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  (one measurement must not cost the others)
        said(f"{what}: FAILED, {type(error).__name__}: {str(error)[:600]}")
        traceback.print_exc(limit=-4, file=sys.stdout)


def waited(device: torch.device) -> float:
    """Return the time once the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def median_seconds(work: Callable[[], object], device: torch.device, rounds: int = 10) -> float:
    """Return the median time of `work` after a warm-up."""
    for _ in range(3):
        work()
    spent = []
    for _ in range(rounds):
        start = waited(device)
        work()
        spent.append(waited(device) - start)
    return statistics.median(spent)


def measured_card(device: torch.device) -> Card:
    """Return the rates of a large copy and of a large bfloat16 product, and print them."""
    size, side = (2**31, 8192) if device.type == "cuda" else (2**24, 256)
    source = torch.empty(size, dtype=torch.uint8, device=device).random_(0, 255)
    target = torch.empty_like(source)
    copy = 2 * size / median_seconds(lambda: target.copy_(source), device)
    a, b = (torch.empty(side, side, dtype=torch.bfloat16, device=device).normal_() for _ in range(2))
    product = 2 * side**3 / median_seconds(lambda: a @ b, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    said(f"{name}: copy {copy / 1e12:.2f} TB/s read and written, bfloat16 product {product / 1e12:.0f} TFLOP/s")
    return Card(copy, product)


def built(config: TransformerConfig, device: torch.device) -> Transformer:
    """Return a transformer of random bfloat16 weights that lie on the device and were never elsewhere."""
    with torch.device("meta"):
        model = Transformer(config)
    tensors = {}
    for name, weight in model.state_dict().items():
        tensor = torch.empty(weight.shape, dtype=torch.bfloat16, device=device)
        tensors[name] = tensor.fill_(1.0) if "norm.weight" in name else tensor.normal_(0.0, 0.02)
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.eval()


def table(vocabulary: int, cells: int, codes: int) -> PlaceTable:
    """Return a table of picture codes from 4 on, three marks, and text."""
    kinds = np.zeros(vocabulary, np.int8)
    kinds[:FIRST_CODE] = 2
    kinds[FIRST_CODE : FIRST_CODE + codes] = 1
    kinds[[FIRST_CODE + codes, FIRST_CODE + codes + 1]] = 2
    return PlaceTable(kinds, pad=1, break_=FIRST_CODE + codes + 1, cells=cells)


def prompts(case: Case, vocabulary: int) -> list[Prompt]:
    """Return prompts of 28 tokens, and of 2 for the stream that guidance is against."""
    rng = np.random.default_rng(0)
    sampling = Sampling("top-p", temperature=1.0, top_p=0.9)
    return [
        Prompt(
            (tuple(rng.integers(vocabulary // 2, vocabulary, PROMPT).tolist()), (0, 1))[: case.streams],
            (3.0,)[: case.streams - 1],
            sampling,
            seed,
        )
        for seed in range(case.batch)
    ]


def seconds_of(model: Transformer, case: Case, cells: int, codes: int) -> float:
    """Return the time of one batch of pictures of `cells` codes."""
    vocabulary, device = model.config.vocabulary, model.head.device
    generator = Generator(
        model, table(vocabulary, cells, codes), range(FIRST_CODE, FIRST_CODE + codes), (FIRST_CODE + codes,), case.batch
    )
    start = waited(device)
    answers = list(generator.pictures(prompts(case, vocabulary)))
    spent = waited(device) - start
    if len(answers) != case.batch or any(len(row) != cells for _, row in answers):
        raise RuntimeError(f"{len(answers)} answers of {[len(row) for _, row in answers]} codes")
    return spent


def bound(model: Transformer, case: Case, cells: int, codes: int, card: Card) -> tuple[float, float, float]:
    """Return seconds a step by bytes and by operations, and the bytes of keys and values among them."""
    c = model.config
    layers = [*model.layers.parameters(), *model.layers.buffers()]
    weights = sum(tensor.nbytes for tensor in layers) + codes * c.width * model.head.element_size()
    heads = 2 * (c.kv_heads or c.heads) * (c.width // c.heads) * c.layers * 2
    told = PROMPT + (2 if case.streams == 2 else 0)
    cached = heads * case.batch * (told + case.streams * (cells + 1) / 2)
    matrices = sum(tensor.numel() for tensor in layers if tensor.ndim == 2) + codes * c.width
    operations = 2 * matrices * case.batch * case.streams + 2 * cached / 2
    return (weights + cached) / card.bytes_a_second, operations / card.operations_a_second, cached


def measured(model: Transformer, case: Case, cells: int, codes: int, card: Card) -> None:
    """Print one line of the table."""
    device, few = model.head.device, min(32, cells // 2)
    seconds_of(model, case, few, codes)  # compiles the kernels and warms up
    short = seconds_of(model, case, few, codes)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    spent = seconds_of(model, case, cells, codes)
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else float("nan")
    by_bytes, by_operations, cached = bound(model, case, cells, codes, card)
    least = max(by_bytes, by_operations)
    marginal = (spent - short) / (cells - few)
    said(
        f"{case.name}: {case.batch * cells / spent:8.1f} tokens/s (marginal {case.batch / marginal:8.1f}), "
        f"{spent / case.batch:6.2f} s a picture; step {1000 * spent / cells:6.2f} ms "
        f"(marginal {1000 * marginal:6.2f}), "
        f"bound {1000 * least:6.2f} ms by {'bytes' if by_bytes > by_operations else 'operations'}: "
        f"{100 * least * cells / spent:5.1f} % (marginal {100 * least / marginal:5.1f} %); "
        f"cache {cached / 1e9:.1f} GB a step on average, peak memory {peak:.1f} GB"
    )


def profiled(model: Transformer, case: Case, codes: int) -> None:
    """Print which kernels of a few steps take the time."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        seconds_of(model, case, 24, codes)
    said(f"{case.name}: kernels of 24 steps and the prompt")
    rows = [event for event in profile.key_averages() if event.self_device_time_total > 0]
    rows.sort(key=lambda event: -event.self_device_time_total)
    for event in rows[:14]:
        print(f"    {event.self_device_time_total / 1000:9.2f} ms {event.count:6} x  {event.key[:100]}")


def profiles(device: torch.device, codes: int) -> None:
    """Print the profiles of the two ends of the table."""
    model = built(CONFIGS["7b"].transformer, device)
    for batch, streams in ((1, 1), (16, 2)):
        profiled(model, Case("7b", "bf16", batch, streams), codes)


def agreement(device: torch.device) -> None:
    """Print how far the kernels of one token are from plain attention, and the int8 product from its definition."""
    from cm3leon.generate import _Batch, _Run

    for shape in ("7b", "chameleon-7b"):
        config = replace(CONFIGS[shape].transformer, layers=2, vocabulary=16_384)
        model, case = built(config, device), Case(shape, "bf16", 3, 2)
        torch.manual_seed(0)
        for name, parameter in model.named_parameters():
            if "_norm" in name:
                parameter.data.normal_(1.0, 0.3)
        batch = _Batch(tuple(prompts(case, config.vocabulary)), 32)
        with torch.inference_mode():
            runs = [_Run(model, table(config.vocabulary, 100, CODES), batch, 100, FIRST_CODE) for _ in range(2)]
            runs[1]._gap = None
            outputs = []
            for run in runs:
                run.read()
                for step in range(3):
                    hidden = run.write(torch.tensor([5, 900, 77], device=device) + step)
                outputs.append(hidden.float())
        off = float((outputs[0] - outputs[1]).norm() / outputs[1].norm())
        said(f"{shape}: kernels of one token against plain attention: {off:.1e} apart, kernels: {bool(runs[0]._gap)}")
    for rows in (1, 16, 32):
        product(rows, device)


def product(rows: int, device: torch.device) -> None:
    """Print how far a product with int8 weights is from its definition, and its time beside bfloat16's."""
    weight, x = (torch.randn(n, 4096, device=device, dtype=torch.bfloat16) for n in (12_288, rows))
    whole, scales = rounded(weight)
    wanted = x.double() @ (whole.double() * scales.double()[:, None]).T
    off = float((Int8Linear(whole, scales)(x).double() - wanted).norm() / wanted.norm())
    fast = 1e6 * median_seconds(lambda: Int8Linear(whole, scales)(x), device)
    plain = 1e6 * median_seconds(lambda: torch.nn.functional.linear(x, weight), device)
    said(f"int8 product, {rows} rows of 4096 x 12288: {off:.1e} off; {fast:.0f} us against {plain:.0f} us")


SMALL = TransformerConfig(
    vocabulary=300, width=64, layers=2, heads=4, hidden=128, context=256, norm="rms-norm", position="rotary",
    mlp="swiglu", qk_norm=True,
)  # fmt: skip
ORDER = (
    ("7b", "bf16", ((1, 1), (16, 2), (1, 2), (16, 1))),
    ("7b", "int8", ((1, 1), (16, 2))),
    ("chameleon-7b", "bf16", ((1, 1), (16, 2))),
    ("chameleon-7b", "int8", ((1, 1), (16, 2))),
)


@dataclass(frozen=True, slots=True)
class Session:
    """What all measurements share."""

    device: torch.device
    cells: int
    codes: int
    budget_seconds: float

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.budget_seconds - (time.perf_counter() - START)


def measured_model(
    shape: str, precision: str, sizes: tuple[tuple[int, int], ...], session: Session, card: Card
) -> None:
    """Print the lines of one model, leaving out what there is no time for."""
    model = built(CONFIGS[shape].transformer if session.on_gpu else SMALL, session.device)
    if precision == "int8":
        quantise(model)
    for batch, streams in sizes:
        case = Case(shape, precision, batch, streams)
        likely = 0.0
        if session.on_gpu:
            least, _, _ = bound(model, case, session.cells, session.codes, card)
            likely = 1.25 * least * (session.cells + 64) + 2
        if likely > session.left or session.left < 0:
            said(f"{case.name}: left out, it would take about {likely:.0f} s more")
            continue
        tried(case.name, partial(measured, model, case, session.cells, session.codes, card))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget-seconds", type=float, default=70.0, help="no measurement starts that would end later")
    parser.add_argument("--device", default="cuda", help="cpu runs all of it on a small shape, to see that it runs")
    parser.add_argument("--cells", type=int, default=0, help="codes a picture; 1024")
    parser.add_argument("--shapes", default="7b,chameleon-7b")
    given = parser.parse_args()
    on_gpu = given.device.startswith("cuda")
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device(given.device)
    session = Session(device, given.cells or (1024 if on_gpu else 40), CODES if on_gpu else 64, given.budget_seconds)
    said(f"torch {torch.__version__}, {device}, {os.cpu_count()} cores")
    cards = [Card(3.0e12, 7.5e14)]
    tried("rates of the card", lambda: cards.append(measured_card(device)))
    if on_gpu:
        tried("agreement", lambda: agreement(device))
    for shape, precision, sizes in ORDER:
        if shape in given.shapes.split(","):
            tried(f"{shape} {precision}", partial(measured_model, shape, precision, sizes, session, cards[-1]))
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()
        if on_gpu and (shape, precision) == ("7b", "int8") and session.left > 8:
            tried("profile", lambda: profiles(device, session.codes))
    said("done")


if __name__ == "__main__":
    main()
