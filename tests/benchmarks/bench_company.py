"""What an answer owes to its company: rates, and how many answers change with the size of a pass and with its members.

    python tests/benchmarks/bench_company.py --device cuda --width 2048 --layers 24 --channels 320

Random checkpoints are made by the libraries and asked through the backends: 48 questions about noise, 32 tokens each,
and 16 pictures of 8 steps. `other size` counts answers that differ from those made one at a time; `other company`
counts those that differ when the same passes are filled in another order. A trained network is surer of itself than a
random one, so its counts are lower; those of `other company` must be 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evalkit.images import image_of
from evalkit.interfaces import Model
from evalkit.models.diffusers import diffusers_model
from evalkit.models.transformers import transformers_model
from evalkit.types import Generation, Request, Text
from evalkit.workspace import Workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evalkit" / "models"))
from checkpoint_files import save_diffusion, save_llava  # type: ignore[import-not-found]  # beside the tests

TOGETHER = (1, 2, 8)


def questions(count: int) -> list[Request]:
    dice = np.random.default_rng(0)
    made = []
    for i in range(count):
        noise = image_of(dice.integers(0, 256, (64, 64, 3), dtype=np.uint8), "source")
        words = Text("What is it? " * (1 + i % 3))
        made.append(Request("bench@1", str(i), "vqa", (noise, words), i, max_tokens=32))
    return made


def wishes(count: int) -> list[Request]:
    return [Request("bench@1", str(i), "text-to-image", (Text(f"ring {i}"),), i, steps=8) for i in range(count)]


def told(model: Model, requests: Sequence[Request]) -> list[object]:
    found = dict(model.generate(requests))
    parts: list[object] = []
    for position in range(len(requests)):
        answer = found[position]
        assert isinstance(answer, Generation), answer
        parts.append(answer.parts)
    return parts


def table(name: str, models: Sequence[tuple[int, Model]], requests: Sequence[Request]) -> None:
    alone: list[object] = []
    for together, model in models:
        told(model, requests[: 2 * together])  # loads and warms
        started = time.perf_counter()
        found = told(model, requests)
        rate = len(requests) / (time.perf_counter() - started)
        alone = alone or found
        backwards = told(model, requests[::-1])[::-1]
        size = sum(a != b for a, b in zip(found, alone, strict=True))
        company = sum(a != b for a, b in zip(found, backwards, strict=True))
        print(f"{name:<13}{together:>9}{rate:>10.2f}/s{size:>8} of {len(requests)}{company:>10} of {len(requests)}")


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--device", default="cpu")
    flags.add_argument("--precision", default="float32")
    flags.add_argument("--width", type=int, default=32, help="of the language model")
    flags.add_argument("--layers", type=int, default=2, help="of the language model")
    flags.add_argument("--channels", type=int, default=8, help="of the denoiser")
    given = flags.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        workspace = Workspace(cache=folder / "cache", device=given.device)
        save_llava(folder / "llava", width=given.width, layers=given.layers)
        save_diffusion(folder / "diffusion", width=given.channels)
        print(f"{'backend':<13}{'together':>9}{'rate':>12}{'other size':>14}{'other company':>16}")
        common = {"precision": given.precision}
        chats = [
            (n, transformers_model(workspace, str(folder / "llava"), {**common, "together": str(n)})) for n in TOGETHER
        ]
        table("transformers", chats, questions(48))
        pipes = [
            (n, diffusers_model(workspace, str(folder / "diffusion"), {**common, "together": str(n)})) for n in TOGETHER
        ]
        table("diffusers", pipes, wishes(16))


if __name__ == "__main__":
    main()
