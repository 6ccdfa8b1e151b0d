"""Mask2Former: a small random one saved in the hub's layout, against transformers' own forward and preprocessing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Mask2FormerForUniversalSegmentation
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil

from evalkit.downloads import file_sha256
from evalkit.errors import CacheError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import COCO_IDS
from evalkit.features.mask2former_instances import fed, instances, mask2former
from evalkit.features.mask2former_network import SWIN_S_COCO, configuration
from evalkit.features.segmenter import MASK2FORMER, Mask2Former
from evalkit.features.segments import encoded, segments_of
from evalkit.images import image_of
from evalkit.weight_files import Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

SMALL = replace(
    SWIN_S_COCO,
    embedding=8,
    depths=(1, 1, 1, 1),
    heads=(1, 2, 2, 4),
    window=4,
    features=32,
    pixel_layers=1,
    decoder_layers=3,
    queries=12,
)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(2)
    return Mask2FormerForUniversalSegmentation(configuration(SMALL)).eval()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def saved(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network's file as the hub has it: the names that the library saves under are those of the official file."""
    from safetensors.torch import load_file

    folder = tmp_path_factory.mktemp("hub")
    network.save_pretrained(folder)  # type: ignore[operator]
    tensors = load_file(folder / "model.safetensors")
    assert "model.pixel_level_module.encoder.encoder.layers.0.blocks.0.attention.self.query.weight" in tensors
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


def _file(path: Path) -> WeightFile:
    size, sha256 = path.stat().st_size, file_sha256(path)
    return WeightFile(path.name, sha256, size, "mask2former-transformers", "objects", "none")


def test_logits_and_boxes_are_those_of_the_library(network: torch.nn.Module, saved: Path) -> None:
    picture = photo_like(3, 60, 90)
    ours = mask2former(Found("m", saved, _file(saved), ""), "cpu", SMALL)(picture)
    planes, _ = fed(picture)
    with torch.inference_mode():
        made = network(pixel_values=torch.from_numpy(planes)[None])
        masks = torch.nn.functional.interpolate(made.masks_queries_logits, planes.shape[1:], mode="bilinear")
        masks = torch.nn.functional.interpolate(masks[:, :, :800, :1200], (60, 90), mode="bilinear")[0]
        theirs = instances(made.class_queries_logits[0], masks)
    assert (ours.height, ours.width) == (60, 90)
    np.testing.assert_allclose(ours.found.scores, theirs.found.scores, rtol=1e-4)
    assert ours.found.boxes.tolist() == theirs.found.boxes.tolist()
    assert ours.packs == theirs.packs


@pytest.mark.parametrize(("height", "width", "sized"), [(64, 64, (800, 800)), (60, 90, (800, 1200))])
def test_what_is_fed_is_what_the_library_s_processor_makes(height: int, width: int, sized: tuple[int, int]) -> None:
    """The library stretches a picture to a multiple of 32 where mmdetection pads it: so it is told the size."""
    picture = photo_like(1, height, width)
    processor = Mask2FormerImageProcessorPil(size={"height": sized[0], "width": sized[1]}, size_divisor=0)
    theirs = processor(picture, return_tensors="np")["pixel_values"][0]
    ours, inner = fed(picture)
    assert inner == sized
    assert ours.shape == (3, math.ceil(sized[0] / 32) * 32, math.ceil(sized[1] / 32) * 32)
    np.testing.assert_allclose(ours[:, : inner[0], : inner[1]], theirs, atol=1e-4)
    assert not ours[:, inner[0] :].any() and not ours[:, :, inner[1] :].any()


def _logits(rows: list[tuple[int, float]], inside: list[tuple[slice, slice]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of queries that are of one class with a probability and lie in one rectangle of 20 x 30."""
    classes = torch.full((len(rows), 81), -40.0)
    masks = torch.full((len(rows), 20, 30), -2.0)
    for query, ((label, share), (down, across)) in enumerate(zip(rows, inside, strict=True)):
        classes[query, label] = math.log(share)
        classes[query, 80] = math.log(1 - share)
        masks[query, down, across] = math.log(3)
    return classes, masks


def test_a_score_is_the_class_s_times_the_mask_s_and_the_box_is_around_the_mask() -> None:
    classes, masks = _logits([(0, 0.5), (79, 0.8)], [(slice(2, 6), slice(3, 9)), (slice(0, 20), slice(29, 30))])
    made = instances(classes, masks)
    np.testing.assert_allclose(made.found.scores, [0.6, 0.375], rtol=1e-5, err_msg="sigmoid(log 3) is .75")
    assert made.found.categories.tolist() == [COCO_IDS[79], COCO_IDS[0]]
    assert made.found.boxes.tolist() == [[29, 0, 30, 20], [3, 2, 9, 6]]
    inside = made.inside(1)
    assert inside is not None
    assert inside[2:6, 3:9].all() and inside.sum() == 24


def test_a_query_without_a_mask_or_a_score_is_no_object() -> None:
    classes, masks = _logits([(0, 0.9), (1, 0.06)], [(slice(0, 0), slice(0, 0)), (slice(0, 4), slice(0, 4))])
    assert len(instances(classes, masks).found) == 0


@pytest.fixture
def small(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Weight]:
    monkeypatch.setenv(WEIGHTS[MASK2FORMER].variable, str(saved))
    return {MASK2FORMER: Weight(MASK2FORMER, "a small random one", (_file(saved),))}


def test_a_file_of_another_size_is_refused(small: Mapping[str, Weight], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"lacks \d+ tensors of Mask2Former.*another architecture"):
        Mask2Former(Workspace(cache=tmp_path), small).pictures([image_of(photo_like(0, 8, 8))])


def test_a_missing_weight_says_what_it_is_and_where_it_can_be_had(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        Mask2Former(Workspace(cache=tmp_path, offline=True)).prepare()
    file = WEIGHTS[MASK2FORMER].files[0]
    for needed in (file.file, "about 276 MB", "SHA-256 not published", file.licence, *file.urls):
        assert needed in str(caught.value)


def test_objects_are_kept_with_their_masks_and_damage_is_told(small: Mapping[str, Weight], tmp_path: Path) -> None:
    classes, masks = _logits([(0, 0.5), (2, 0.8)], [(slice(2, 6), slice(3, 9)), (slice(0, 20), slice(29, 30))])
    made = instances(classes, masks)
    back = segments_of(made.arrays())
    assert back.packs == made.packs
    assert back.found.boxes.tolist() == made.found.boxes.tolist()
    assert (back.height, back.width) == (20, 30)
    detector = Mask2Former(Workspace(cache=tmp_path), small)
    image = image_of(photo_like(0, 8, 8))
    with FeatureCache(tmp_path / "features") as cache:
        from evalkit.keys import digest

        key = digest([f"pixels:{image.digest}", detector.fingerprint])
        cache.put_statistics(key, made.arrays())
        assert detector.pictures([image], cache)[0].packs == made.packs, "found without the network"
        cache.put_statistics(key, {**made.arrays(), "packs": np.zeros(3, np.uint8)})
        with pytest.raises(CacheError, match="damaged"):
            detector.pictures([image], cache)


def test_masks_are_coded_and_decoded_whole() -> None:
    inside = photo_like(4, 13, 7)[:, :, 0] > 128
    made = instances(*_logits([(0, 0.9)], [(slice(0, 2), slice(0, 2))]))
    back = replace(made, height=13, width=7, packs=(encoded(inside),)).inside(0)
    assert back is not None and (back == inside).all()
