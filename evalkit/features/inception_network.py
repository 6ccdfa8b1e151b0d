"""The FID Inception from pixels to pool3, arranged for speed.

Batch norm is folded into the convolutions, the first 1x1 convolutions of a block are one, average pooling follows the
1x1 convolution of its branch rather than leading it (both are linear, and the padding is not counted), and activations
stay channels-last. Features differ from the plain network's by about 1e-5, the largest feature being about 7.

Source: the graph of 2015-12-05 as in pytorch-fid's `inception.py` and torch-fidelity's
`feature_extractor_inceptionv3.py`, with its two peculiarities: average pools do not count the padding, and the last
block pools by maximum.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from evalkit.features.inception_tensors import InceptionTensors


class _Conv:
    """One or more convolutions of the same input and shape, folded, side by side in one; ReLU unless told otherwise."""

    def __init__(self, tensors: InceptionTensors, names: list[str], device: str) -> None:
        folded = [tensors.convolutions[name].folded() for name in names]
        weight = torch.from_numpy(np.concatenate([w for w, _ in folded]))
        self.weight = weight.to(device, memory_format=torch.channels_last)
        self.bias = torch.from_numpy(np.concatenate([b for _, b in folded])).to(device)
        self.channels = [len(b) for _, b in folded]

    def __call__(self, x: Tensor, stride: int = 1, padding: tuple[int, int] = (0, 0), relu: bool = True) -> Tensor:
        y = functional.conv2d(x, self.weight, self.bias, stride, padding)
        return y.relu_() if relu else y


class InceptionNetwork:
    """The network with its weights, on one device."""

    def __init__(self, tensors: InceptionTensors, device: str) -> None:
        self.cores = torch.get_num_threads()
        """Batches that are worth computing at once."""
        self._tensors = tensors
        self._device = device
        self._convolutions: dict[tuple[str, ...], _Conv] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def threads(self) -> Iterator[ThreadPoolExecutor]:
        """Yield a pool with a thread a core, in each of which torch uses that one core alone."""
        pool = ThreadPoolExecutor(self.cores, initializer=torch.set_num_threads, initargs=(1,))
        try:
            with pool:
                yield pool
        finally:
            torch.set_num_threads(self.cores)  # part of that setting is shared by all threads

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return pool3 features `(N, 2048)` of inputs `(N, 3, 299, 299)`; threads may call it at once."""
        alone = self._lock if self._device != "cpu" else contextlib.nullcontext()  # one batch fills a GPU
        with alone, torch.inference_mode(), _full_precision(self._device):
            x = torch.from_numpy(batch).to(self._device).contiguous(memory_format=torch.channels_last)
            features: npt.NDArray[np.float32] = self._pool3(x).float().cpu().numpy()
            return features

    def _conv(self, *names: str) -> _Conv:
        found = self._convolutions.get(names)
        if found is None:
            # Two threads may fold the same tensors at the start; the results are equal.
            found = self._convolutions[names] = _Conv(self._tensors, list(names), self._device)
        return found

    def _pool3(self, x: Tensor) -> Tensor:
        x = self._conv("Conv2d_1a_3x3")(x, stride=2)  # (N, 32, 149, 149)
        x = self._conv("Conv2d_2a_3x3")(x)  # (N, 32, 147, 147)
        x = self._conv("Conv2d_2b_3x3")(x, padding=(1, 1))  # (N, 64, 147, 147)
        x = functional.max_pool2d(x, 3, 2)  # (N, 64, 73, 73)
        x = self._conv("Conv2d_3b_1x1")(x)  # (N, 80, 73, 73)
        x = self._conv("Conv2d_4a_3x3")(x)  # (N, 192, 71, 71)
        x = functional.max_pool2d(x, 3, 2)  # (N, 192, 35, 35)
        for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self._block_a(x, block)  # (N, 256 or 288, 35, 35)
        x = self._block_b(x, "Mixed_6a")  # (N, 768, 17, 17)
        for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self._block_c(x, block)  # (N, 768, 17, 17)
        x = self._block_d(x, "Mixed_7a")  # (N, 1280, 8, 8)
        x = self._block_e(x, "Mixed_7b", self._average_branch(x, "Mixed_7b"))  # (N, 2048, 8, 8)
        largest = functional.max_pool2d(x, 3, 1, 1)
        x = self._block_e(x, "Mixed_7c", self._conv("Mixed_7c.branch_pool")(largest))
        return x.mean((2, 3))  # (N, 2048)

    def _heads(self, x: Tensor, block: str, *branches: str) -> tuple[Tensor, ...]:
        """Return the outputs of the 1x1 convolutions that begin those branches, computed as one."""
        conv = self._conv(*(f"{block}.{branch}" for branch in branches))
        return torch.split(conv(x), conv.channels, 1)

    def _average_branch(self, x: Tensor, block: str) -> Tensor:
        y = self._conv(f"{block}.branch_pool")(x, relu=False)
        return functional.avg_pool2d(y, 3, 1, 1, count_include_pad=False).relu_()

    def _block_a(self, x: Tensor, block: str) -> Tensor:
        one, five, three = self._heads(x, block, "branch1x1", "branch5x5_1", "branch3x3dbl_1")
        five = self._conv(f"{block}.branch5x5_2")(five, padding=(2, 2))
        three = self._conv(f"{block}.branch3x3dbl_2")(three, padding=(1, 1))
        three = self._conv(f"{block}.branch3x3dbl_3")(three, padding=(1, 1))
        return torch.cat([one, five, three, self._average_branch(x, block)], 1)

    def _block_b(self, x: Tensor, block: str) -> Tensor:
        three = self._conv(f"{block}.branch3x3")(x, stride=2)
        double = self._conv(f"{block}.branch3x3dbl_1")(x)
        double = self._conv(f"{block}.branch3x3dbl_2")(double, padding=(1, 1))
        double = self._conv(f"{block}.branch3x3dbl_3")(double, stride=2)
        return torch.cat([three, double, functional.max_pool2d(x, 3, 2)], 1)

    def _block_c(self, x: Tensor, block: str) -> Tensor:
        one, seven, double = self._heads(x, block, "branch1x1", "branch7x7_1", "branch7x7dbl_1")
        across, down = (0, 3), (3, 0)
        seven = self._conv(f"{block}.branch7x7_2")(seven, padding=across)
        seven = self._conv(f"{block}.branch7x7_3")(seven, padding=down)
        for step, padding in ((2, down), (3, across), (4, down), (5, across)):
            double = self._conv(f"{block}.branch7x7dbl_{step}")(double, padding=padding)
        return torch.cat([one, seven, double, self._average_branch(x, block)], 1)

    def _block_d(self, x: Tensor, block: str) -> Tensor:
        three, seven = self._heads(x, block, "branch3x3_1", "branch7x7x3_1")
        three = self._conv(f"{block}.branch3x3_2")(three, stride=2)
        seven = self._conv(f"{block}.branch7x7x3_2")(seven, padding=(0, 3))
        seven = self._conv(f"{block}.branch7x7x3_3")(seven, padding=(3, 0))
        seven = self._conv(f"{block}.branch7x7x3_4")(seven, stride=2)
        return torch.cat([three, seven, functional.max_pool2d(x, 3, 2)], 1)

    def _block_e(self, x: Tensor, block: str, pooled: Tensor) -> Tensor:
        one, three, double = self._heads(x, block, "branch1x1", "branch3x3_1", "branch3x3dbl_1")
        double = self._conv(f"{block}.branch3x3dbl_2")(double, padding=(1, 1))
        return torch.cat(
            [
                one,
                self._conv(f"{block}.branch3x3_2a")(three, padding=(0, 1)),
                self._conv(f"{block}.branch3x3_2b")(three, padding=(1, 0)),
                self._conv(f"{block}.branch3x3dbl_3a")(double, padding=(0, 1)),
                self._conv(f"{block}.branch3x3dbl_3b")(double, padding=(1, 0)),
                pooled,
            ],
            1,
        )


@contextlib.contextmanager
def _full_precision(device: str) -> Iterator[None]:
    """Keep a GPU from rounding float32 to TF32, which moves features by 1e-3."""
    if device == "cpu":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
