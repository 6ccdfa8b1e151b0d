"""The GPU's kernels, run by Triton's interpreter: what they return is what plain torch returns.

The interpreter must be chosen before Triton is imported, so the test runs this file in a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HEADS, CHANNELS, LENGTH = 4, 16, 200


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_of_one_token_return_what_plain_torch_returns() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0 and done.stdout.split() == ["12", "checks"], done.stderr


COMPILED = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from cm3leon import kernels

def compiled(kernel, constants, **types):
    signature = {name: types.get(name, "constexpr" if name in constants else "*bf16") for name in kernel.arg_names}
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    made = triton.compile(ASTSource(kernel, signature, places), target=GPUTarget("cuda", 90, 32))
    assert made.asm["ptx"]

for on in (False, True):
    heads = {"HEADS": 32, "KV_HEADS": 8, "HALF": 64, "NORMED": on, "TURNED": on}
    compiled(kernels._turn_and_keep, heads, at="*i64", length="i32")
whole, sums = dict.fromkeys(("length", "gap_end", "span", "rows", "width", "outputs", "size"), "i32"), "*fp32"
compiled(kernels._attend, {"HEADS": 32, "KV_HEADS": 8, "CHANNELS": 128, "BLOCK": 64}, at="*i64", lengths="*i32",
         mixed=sums, tops=sums, totals=sums, scale="fp32", **whole)
compiled(kernels._join, {"PARTS": 16, "CHANNELS": 128}, mixed=sums, tops=sums, totals=sums)
compiled(kernels._multiply, {"ROWS": 16, "OUTPUTS": 64, "BLOCK": 128}, weight="*i8", scales=sums, **whole)
compiled(kernels._add_parts, {"PARTS": 4, "BLOCK": 1024}, parts=sums, **whole)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_compile_for_a_gpu_that_is_not_here(tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert torch.isfinite(wanted).all() and (found - wanted).norm() <= 1e-5 * wanted.norm()


def one_token(kv_heads: int, *, normed: bool, turned: bool, here: int) -> None:
    """Compare one token of attention behind prompts of 3, 64 and 30 tokens that are filled up to 64."""
    from cm3leon.config import TransformerConfig
    from cm3leon.transformer import Attention, Gap, Transformer

    position = "rotary" if turned else "learned"
    model = Transformer(
        TransformerConfig(50, HEADS * CHANNELS, 1, HEADS, 64, 300, kv_heads, position=position, qk_norm=normed)  # type: ignore[arg-type]
    )
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0, 0.5)
    attention = next(part for part in model.modules() if isinstance(part, Attention))
    caches = [model.caches(3, LENGTH)[0] for _ in range(2)]
    for cache in caches:
        generator = torch.Generator().manual_seed(1)
        for part in (cache.keys, cache.values):
            part.normal_(generator=generator)
    lengths, places, at = torch.tensor([3, 64, 30], dtype=torch.int32), torch.arange(LENGTH), torch.tensor([here])
    hidden = (places >= lengths[:, None]) & (places < 64) | (places > here)
    bias = torch.zeros(3, 1, 1, LENGTH).masked_fill(hidden[:, None, None], -torch.inf)
    x = torch.randn(3, 1, HEADS * CHANNELS)
    turn = model._angles(torch.tensor([[9], [70], [36]]), torch.float32) if turned else None
    wanted = attention(x, turn, bias, caches[0], at)
    close(attention(x, turn, Gap(lengths, 64), caches[1], at), wanted)
    close(caches[1].keys, caches[0].keys)
    close(caches[1].values, caches[0].values)


def product(rows: int, width: int, outputs: int) -> None:
    """Compare a product with weights of eight bits."""
    from cm3leon.kernels import multiplied

    x, scales = torch.randn(rows, width), torch.rand(outputs)
    weight = torch.randint(-127, 128, (outputs, width), dtype=torch.int8)
    close(multiplied(x, weight, scales), x @ (weight.float() * scales[:, None]).T)


@torch.inference_mode()
def checks() -> int:
    """Make every comparison, and return how many there were."""
    torch.manual_seed(0)
    attentions = [
        {"kv_heads": 4, "normed": False, "turned": False, "here": 150},
        {"kv_heads": 4, "normed": True, "turned": True, "here": 150},
        {"kv_heads": 2, "normed": False, "turned": True, "here": 64},
        {"kv_heads": 1, "normed": True, "turned": True, "here": 199},
    ]
    for settings in attentions:
        one_token(**settings)  # type: ignore[arg-type]
    products = [
        (1, 300, 50),
        (4, 1000, 50),
        (5, 4096, 128),
        (16, 512, 100),
        (16, 3000, 100),
        (32, 256, 64),
        (32, 130, 3),
    ]
    for shape in [*products, (64, 128, 65)]:
        product(*shape)
    return len(attentions) + len(products) + 1


if __name__ == "__main__":
    sys.stdout.write(f"{checks()} checks")
