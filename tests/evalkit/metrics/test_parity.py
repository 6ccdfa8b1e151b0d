"""End to end on real files: our numbers are the tools' own, each run as its users run it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from evalkit.features.cache import FeatureCache
from evalkit.features.inception import inception
from evalkit.features.pictures import FilePicture
from evalkit.images import image_of, read_image
from evalkit.interfaces import MetricResult, Scored
from evalkit.metrics.distribution import distribution_metric
from evalkit.metrics.kernel import KidConvention, kid
from evalkit.types import Estimate, Generation, Image, Sample
from evalkit.workspace import Workspace

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cifar10_256.json"
PHOTOS = 32
WANTED = ("fid", "kid", "precision", "recall")
FidKid = tuple[float, float | None]


@pytest.fixture(scope="module")
def workspace(weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with a cache of its own, and the real weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_WEIGHTS", str(weights_folder))
        yield Workspace(cache=tmp_path_factory.mktemp("cache"), offline=True)


@pytest.fixture(scope="module")
def state(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real weights as the state dict that the tools read, where torch hub has it for pytorch-fid; no classifier."""
    checkpoints = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    tensors: dict[str, torch.Tensor] = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    for name, conv in inception(workspace, "torch-fidelity")._tensors.convolutions.items():
        tensors[f"{name}.conv.weight"] = torch.from_numpy(conv.weight.copy())
        tensors[f"{name}.bn.weight"] = torch.from_numpy(conv.scale.copy())
        tensors[f"{name}.bn.bias"] = torch.from_numpy(conv.shift.copy())
        tensors[f"{name}.bn.running_mean"] = torch.from_numpy(conv.mean.copy())
        tensors[f"{name}.bn.running_var"] = torch.from_numpy(conv.variance.copy())
        tensors[f"{name}.bn.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    path = checkpoints / "pt_inception-2015-12-05-6726825d.pth"
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def folders(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of real photos: training ones as generated, validation ones as reference."""
    made = []
    for part in ("train2017", "val2017"):
        folder = tmp_path_factory.mktemp(part)
        for photo in sorted((shared_data / "coco-mini" / part).glob("*.jpg"))[:PHOTOS]:
            (folder / photo.name).symlink_to(photo)
        made.append(folder)
    return made[0], made[1]


def _ours(
    workspace: Workspace, name: str, drawn: Mapping[str, Image], reference: Sequence[Image | FilePicture]
) -> MetricResult:
    metric = distribution_metric(workspace, name, reference, {}, WANTED)
    metric.prepare()
    scored = [Scored(Sample(key, ()), Generation((picture,))) for key, picture in drawn.items()]
    return metric.finish(metric.update(metric.start(), scored))


def _torch_fidelity(state: Path, drawn: Path, reference: Path) -> FidKid:
    import torch_fidelity

    found = torch_fidelity.calculate_metrics(
        input1=str(drawn),
        input2=str(reference),
        fid=True,
        kid=True,
        kid_subset_size=PHOTOS,
        feature_extractor_weights_path=str(state),
        cuda=False,
        cache=False,
        verbose=False,
        batch_size=1,
    )
    return found["frechet_inception_distance"], found["kernel_inception_distance_mean"]


def _pytorch_fid(state: Path, drawn: Path, reference: Path) -> FidKid:
    from pytorch_fid.fid_score import calculate_activation_statistics, calculate_frechet_distance
    from pytorch_fid.inception import InceptionV3

    torch.hub.set_dir(str(state.parents[1]))
    network = InceptionV3()
    statistics = [
        calculate_activation_statistics(sorted(map(str, folder.iterdir())), network, 1, 2048, "cpu", 0)
        for folder in (drawn, reference)
    ]
    return float(np.real(calculate_frechet_distance(*statistics[0], *statistics[1]))), None


def _clean_fid(state: Path, drawn: Path, reference: Path) -> FidKid:
    """clean-fid's own pipeline; its network is the same one as TorchScript, here torch-fidelity's layers."""
    from cleanfid import fid
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("reference", ["2048"], str(state))

    def features(batch: torch.Tensor) -> torch.Tensor:
        x = (batch - 128) / 128
        for name, layer in network.named_children():
            x = x if name == "fc" else layer(x)
        return x.flatten(1)

    x, y = (
        fid.get_folder_features(
            str(folder), features, num_workers=0, batch_size=8, device=torch.device("cpu"), mode="clean", verbose=False
        )
        for folder in (drawn, reference)
    )
    value = fid.frechet_distance(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))
    return float(np.real(value)), fid.kernel_distance(x, y)


def _torchmetrics(state: Path, drawn: Path, reference: Path) -> FidKid:
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
    from torchmetrics.image.kid import poly_mmd

    network = NoTrainInceptionV3("reference", ["2048"], str(state))
    network.num_features = 2048
    metric = FrechetInceptionDistance(feature=network)
    metric.used_custom_model = False
    vectors: list[list[torch.Tensor]] = [[], []]
    for real, folder in enumerate((drawn, reference)):
        for photo in sorted(folder.iterdir()):
            batch = torch.from_numpy(np.array(PillowImage.open(photo).convert("RGB"))).permute(2, 0, 1)[None]
            metric.update(batch, real=bool(real))
            vectors[real].append(network(batch))
    return float(metric.compute()), float(poly_mmd(torch.cat(vectors[1]), torch.cat(vectors[0])))


TOOLS: Mapping[str, Callable[[Path, Path, Path], FidKid]] = {
    "torch-fidelity": _torch_fidelity,
    "pytorch-fid": _pytorch_fid,
    "clean-fid": _clean_fid,
    "torchmetrics": _torchmetrics,
}


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)  # in the tools
@pytest.mark.parametrize("name", TOOLS)
def test_real_photos_have_the_tool_s_fid_and_kid(
    name: str, workspace: Workspace, state: Path, folders: tuple[Path, Path]
) -> None:
    drawn = {photo.stem: read_image(photo, photo.name, "generated") for photo in sorted(folders[0].iterdir())}
    result = _ours(workspace, name, drawn, [FilePicture(photo) for photo in sorted(folders[1].iterdir())])
    with torch.no_grad():
        fid, kernel = TOOLS[name](state, *folders)
    assert _value(result, "fid") == pytest.approx(fid, abs=1e-3)
    if kernel is not None:
        assert _value(result, "kid") == pytest.approx(kernel, abs=1e-6)


def _value(result: MetricResult, name: str) -> float:
    estimate = result.estimates[name]
    assert isinstance(estimate, Estimate)
    return estimate.value


@pytest.mark.slow
def test_cifar_10_has_torch_fidelity_s_golden_numbers(shared_data: Path, workspace: Workspace) -> None:
    from torch_fidelity.defaults import DEFAULTS
    from torch_fidelity.metric_prc import prc_features_to_metric

    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    with np.load(shared_data / "golden" / "cifar10_256.npz") as stored:
        train, valid = ([image_of(picture) for picture in stored[side]] for side in ("train", "valid"))
    result = _ours(workspace, "torch-fidelity", {f"{i:03}": picture for i, picture in enumerate(train)}, valid)
    assert _value(result, "fid") == pytest.approx(golden["fid"], abs=golden["fid_tolerance"])
    with FeatureCache(workspace.cache / "features") as cache:
        extractor = inception(workspace, "torch-fidelity")
        x, y = (extractor.extract(side, cache, logits=False).vectors for side in (train, valid))
    found = kid(x, y, KidConvention("torch-fidelity", subset_size=64))
    assert found.mean == pytest.approx(golden["kid"], abs=golden["kid_tolerance"])
    theirs = prc_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **{**DEFAULTS, "verbose": False})
    assert _value(result, "precision") == pytest.approx(theirs["precision"], abs=1e-6)
    assert _value(result, "recall") == pytest.approx(theirs["recall"], abs=1e-6)
