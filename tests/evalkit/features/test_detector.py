"""Detectors: small random ones in the official layout, against torchvision's own forward and preprocessing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from torchvision.models import detection, get_model_weights

from evalkit.downloads import file_sha256
from evalkit.errors import UsageError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import COCO_CATEGORIES, COCO_IDS, Detections, ordered, packed, unpacked
from evalkit.features.detector import Detector, detector
from evalkit.features.detectors import DETECTORS, DetectorSpec
from evalkit.features.pictures import identities
from evalkit.images import image_of
from evalkit.weight_files import Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

SMALL = DetectorSpec(
    "small",
    "small",
    "torchvision",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    20,
    {"min_size": 96, "max_size": 160, "box_score_thresh": 0.0, "box_detections_per_img": 20},
)
"""The same kind of network, smaller, that keeps whatever it sees."""
PIXELS = [photo_like(seed, height, width) for seed, (height, width) in enumerate([(90, 120), (64, 64), (200, 50)])]


def _table(path: Path) -> Mapping[str, Weight]:
    file = WeightFile(path.name, file_sha256(path), path.stat().st_size, "detector-torchvision", "boxes", "none")
    return {"small": Weight("small", "a small random one", (file,))}


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """The network that the file is made of; its scores are spread, so that their order is sure."""
    torch.manual_seed(5)
    made = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=91, **SMALL.settings
    )
    with torch.no_grad():
        made.roi_heads.box_predictor.cls_score.weight.mul_(40)
    network: torch.nn.Module = made.eval()
    return network


@pytest.fixture(scope="module")
def saved(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That network as torchvision saves one: its state dict."""
    path = tmp_path_factory.mktemp("detector") / "small.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def small(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Detector:
    monkeypatch.setenv("EVALKIT_WEIGHTS_SMALL", str(saved))
    return Detector(Workspace(cache=tmp_path), SMALL, _table(saved))


def test_what_is_found_is_what_torchvision_finds(small: Detector, network: torch.nn.Module) -> None:
    preset = detection.FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.DEFAULT.transforms()
    for pixels, found in zip(PIXELS, small.pictures([image_of(p) for p in PIXELS]), strict=True):
        with torch.inference_mode():
            (theirs,) = network([preset(PillowImage.fromarray(pixels))])
        assert len(found) > 3, "a detector that finds nothing tests nothing"
        np.testing.assert_allclose(found.scores, theirs["scores"].numpy(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.boxes, theirs["boxes"].numpy(), rtol=1e-4, atol=1e-2)
        assert found.categories.tolist() == theirs["labels"].tolist()


def test_each_picture_is_looked_at_once_whatever_it_stands_with(small: Detector, tmp_path: Path) -> None:
    images = [image_of(pixels) for pixels in PIXELS]
    with FeatureCache(tmp_path / "features") as cache:
        first = small.pictures([images[2], images[0], images[0]], cache)
        assert cache.missing(identities(images, cache), small.fingerprint) == 1
        again = small.pictures(images, cache)
        assert cache.missing(identities(images, cache), small.fingerprint) == 0
    alone = [small.of_pixels(pixels) for pixels in PIXELS]
    for a, b in [(first[0], alone[2]), (first[1], alone[0]), (first[2], alone[0]), *zip(again, alone, strict=True)]:
        assert a.boxes.tobytes() == b.boxes.tobytes()
        assert a.scores.tobytes() == b.scores.tobytes()
        assert a.categories.tolist() == b.categories.tolist()


def test_another_setting_or_file_is_another_extractor(small: Detector, saved: Path, tmp_path: Path) -> None:
    stricter = dataclasses.replace(SMALL, settings={**SMALL.settings, "box_score_thresh": 0.5})
    other = Detector(Workspace(cache=tmp_path), stricter, _table(saved))
    assert other.fingerprint != small.fingerprint
    assert other.protocol_fields["detector_box_score_thresh"] == 0.5
    assert small.protocol_fields["detector_weights"] == file_sha256(saved)


def test_weights_of_another_architecture_are_refused(saved: Path, tmp_path: Path, small: Detector) -> None:
    wrong = dataclasses.replace(SMALL, categories=7)
    with pytest.raises(WeightsError, match="does not fit fasterrcnn_mobilenet_v3_large_320_fpn"):
        Detector(Workspace(cache=tmp_path), wrong, _table(saved)).of_pixels(PIXELS[0])


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_a_missing_weight_says_file_size_digest_and_licence(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        detector(Workspace(cache=tmp_path, offline=True), name).prepare()
    file = WEIGHTS[name].files[0]
    for needed in (file.file, f"{file.size:,} bytes", file.sha256, file.licence, file.command or file.urls[0]):
        assert needed in str(caught.value)


def test_an_unknown_detector_is_offered_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'fasterrcnn-resnet50-fpn-v2'"):
        detector(Workspace(cache=tmp_path), "fasterrcnn-resnet50-fpn")


@pytest.mark.parametrize("name", ["fasterrcnn-resnet50-fpn-v2", "retinanet-resnet50-fpn-v2"])
def test_the_table_has_torchvision_s_own_file_and_settings(name: str) -> None:
    spec, file = DETECTORS[name], WEIGHTS[name].files[0]
    weights = get_model_weights(spec.builder).COCO_V1
    assert (weights.url,) == file.urls
    assert weights.meta["_file_size"] == pytest.approx(file.size / 2**20, abs=1e-3)
    assert {i: n for i, n in enumerate(weights.meta["categories"]) if n not in {"N/A", "__background__"}} == dict(
        COCO_CATEGORIES
    )
    with torch.device("meta"):
        build = getattr(detection, spec.builder)
        default = build(weights=None, weights_backbone=None, num_classes=91)
        ours = build(weights=None, weights_backbone=None, num_classes=91, **dict(spec.settings))
    assert _settings(ours) == _settings(default)
    stored = sum(4 * tensor.numel() for tensor in ours.state_dict().values())
    assert stored == pytest.approx(file.size, rel=0.01), "the file holds this network's tensors and little else"


def _settings(network: Any) -> list[object]:
    heads = getattr(network, "roi_heads", network)
    names = ("score_thresh", "nms_thresh", "detections_per_img")
    return [getattr(heads, name) for name in names] + [network.transform.min_size, network.transform.max_size]


def test_categories_are_those_of_the_official_file(shared_data: Path) -> None:
    path = shared_data / "coco-mini" / "annotations" / "instances_val2017.json"
    listed = json.loads(path.read_text(encoding="utf-8"))["categories"]
    assert {one["id"]: one["name"] for one in listed} == dict(COCO_CATEGORIES)
    assert [one["id"] for one in listed] == list(COCO_IDS)


FOUND = st.lists(
    st.tuples(*[st.floats(0, 2000, width=32)] * 4, st.floats(0, 1, width=32), st.sampled_from(COCO_IDS)), max_size=8
)


@given(FOUND, st.integers(8, 20))
def test_what_is_kept_comes_back_the_surest_first(found: list[tuple[float, ...]], limit: int) -> None:
    table = np.array(found, np.float32).reshape(-1, 6)
    made = ordered(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), limit)
    assert made.scores.tolist() == sorted(table[:, 4].tolist(), reverse=True)
    back = unpacked(packed(made, limit))
    assert (back.boxes == made.boxes).all()
    assert (back.scores == made.scores).all()
    assert (back.categories == made.categories).all()


def test_boxes_are_stretched_and_only_they() -> None:
    one = Detections(np.array([[1, 2, 3, 4]], np.float32), np.ones(1, np.float32), np.array([17]))
    assert one.scaled(10, 0.5).boxes.tolist() == [[10, 1, 30, 2]]
    with pytest.raises(ValueError, match="do not fit into 0"):
        packed(one, 0)
