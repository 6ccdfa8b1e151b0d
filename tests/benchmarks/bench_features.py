"""Prints pictures a second of Inception features: evalkit's, torch-fidelity's, and the bare forward pass.

    python tests/benchmarks/bench_features.py [PICTURES [ROUNDS]]

The three take turns in one process, on the same files, and the best round of each counts. The pictures are photos of
MS-COCO where they lie beside the project, cropped to 256 x 256 by both, else drawn ones. Nothing comes from a cache.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch_fidelity.datasets import ImagesPathDataset, TransformPILtoRGBTensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.utils import get_featuresdict_from_dataset
from torchvision import transforms

from evalkit.features.inception import BATCH, InceptionExtractor, inception
from evalkit.features.pictures import FilePicture
from evalkit.workspace import Workspace

Vectors = npt.NDArray[np.float32]

SIDE = 256
PHOTOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "coco-mini"


def files(folder: Path, n: int) -> list[Path]:
    """Photos if there are so many, else drawn pictures in `folder`."""
    photos = sorted(PHOTOS.rglob("*.jpg"))
    if len(photos) >= n:
        return photos[:n]
    drawn = [folder / f"{i:04}.jpg" for i in range(n)]
    for number, path in enumerate(drawn):
        rng = np.random.default_rng(number)
        coarse = PillowImage.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        coarse.resize((640, 480), PillowImage.Resampling.BICUBIC).save(path, quality=90)
    return drawn


def torch_fidelity(extractor: InceptionExtractor, folder: Path) -> FeatureExtractorInceptionV3:
    """torch-fidelity's own extractor with the tensors of ours; a missing classifier is zeros, and not used."""
    state: dict[str, torch.Tensor] = {}
    for name, conv in extractor._tensors.convolutions.items():
        state[f"{name}.conv.weight"] = torch.from_numpy(conv.weight.copy())
        state[f"{name}.bn.weight"] = torch.from_numpy(conv.scale.copy())
        state[f"{name}.bn.bias"] = torch.from_numpy(conv.shift.copy())
        state[f"{name}.bn.running_mean"] = torch.from_numpy(conv.mean.copy())
        state[f"{name}.bn.running_var"] = torch.from_numpy(conv.variance.copy())
        state[f"{name}.bn.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    state["fc.weight"], state["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    torch.save(state, folder / "state.pth")
    return FeatureExtractorInceptionV3("reference", ["2048"], str(folder / "state.pth"))


def their_vectors(reference: FeatureExtractorInceptionV3, dataset: ImagesPathDataset) -> Vectors:
    """Return what torch-fidelity computes with its defaults: batches of 64, and processes that decode."""
    vectors: Vectors = get_featuresdict_from_dataset(dataset, reference, 64, False, False, False)["2048"].numpy()
    return vectors


def bare(extractor: InceptionExtractor, n: int) -> Vectors:
    """Return what the network alone makes of `n` inputs that are in memory."""
    batch = np.zeros((BATCH, 3, 299, 299), np.float32)
    with extractor._network.threads() as pool:
        return np.concatenate(list(pool.map(extractor._network, [batch] * (n // BATCH))))


def measured(rounds: int, ways: dict[str, Callable[[], Vectors]]) -> tuple[dict[str, float], dict[str, Vectors]]:
    """Return the least seconds of each way, the ways taking turns, and what each returned."""
    vectors = {name: way() for name, way in ways.items()}  # warms up
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds, vectors


def main(n: int = 64, rounds: int = 3) -> None:
    """Print the three rates, their ratios, and the largest difference between features."""
    ours = inception(Workspace(), "torch-fidelity", f"resize-crop-{SIDE}")
    ours.prepare()
    with tempfile.TemporaryDirectory() as name:
        paths = files(Path(name), n)
        reference = torch_fidelity(ours, Path(name))
        crop = [transforms.Resize(SIDE), transforms.CenterCrop(SIDE), TransformPILtoRGBTensor()]
        dataset = ImagesPathDataset(paths, transforms.Compose(crop))
        pictures = [FilePicture(path) for path in paths]
        ways: dict[str, Callable[[], Vectors]] = {
            "evalkit": lambda: ours.extract(pictures, logits=False).vectors,
            "torch-fidelity": lambda: their_vectors(reference, dataset),
            "bare forward pass": lambda: bare(ours, n),
        }
        seconds, vectors = measured(rounds, ways)
    for way, spent in seconds.items():
        print(f"{way:20} {n / spent:7.2f} images/s")
    print(f"{'ratio':20} {seconds['torch-fidelity'] / seconds['evalkit']:7.2f}")
    print(f"{'share of forward':20} {100 * seconds['bare forward pass'] / seconds['evalkit']:7.1f} %")
    print(f"{'largest difference':20} {np.abs(vectors['evalkit'] - vectors['torch-fidelity']).max():.1e}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
