"""Scores of an answer's own map against the one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import BinaryF1Score
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

from evalkit.errors import DataError, RunError
from evalkit.features.canny import CannyAnnotator
from evalkit.features.planes import BytePlane
from evalkit.images import Pixels, image_of
from evalkit.interfaces import Scored
from evalkit.metrics.pictures.differences import ms_ssim_of_torchmetrics
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.structure import MapLikeness, edge_f1, root_mean_square
from evalkit.types import Estimate, Generation, Image, JsonScalar, Sample, Text
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_f1_is_that_of_torchmetrics(seed: int, many: float, more: float) -> None:
    random = np.random.default_rng(seed)
    asked, found = ((random.random((9, 11)) < share).astype(np.uint8) * 255 for share in (many, more))
    expected = BinaryF1Score()(torch.from_numpy(found // 255).flatten(), torch.from_numpy(asked // 255).flatten())
    assert edge_f1(asked, found) == pytest.approx(float(expected), abs=1e-6)


def test_f1_of_no_edges_at_all_is_nothing_and_of_the_same_edges_all() -> None:
    nothing = np.zeros((4, 4), np.uint8)
    some = nothing.copy()
    some[1] = 255
    assert [edge_f1(nothing, nothing), edge_f1(some, nothing), edge_f1(some, some)] == [0, 0, 1]


@pytest.mark.parametrize("side", [176, 177, 256, 333])
def test_ms_ssim_is_that_of_torchmetrics(side: int) -> None:
    a = photo_like(side, side, side + 20)[:, :, 0]
    noise = np.random.default_rng(0).integers(-60, 60, a.shape)
    b = np.clip(a + noise, 0, 255).astype(np.uint8)
    reference = MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0)
    expected = reference(torch.from_numpy(b)[None, None] / 255.0, torch.from_numpy(a)[None, None] / 255.0)
    assert ms_ssim_of_torchmetrics(a, b) == pytest.approx(float(expected), abs=2e-6)
    assert ms_ssim_of_torchmetrics(a, a) == pytest.approx(1)


def test_ms_ssim_of_small_maps_says_what_it_needs() -> None:
    with pytest.raises(DataError, match="at least 176 pixels, not 300 x 175"):
        ms_ssim_of_torchmetrics(np.zeros((175, 300), np.uint8), np.zeros((175, 300), np.uint8))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(-20, 20))
def test_rmse_of_a_shift_of_levels_is_the_shift(seed: int, shift: int) -> None:
    plane = np.random.default_rng(seed).integers(20, 236, (5, 6)).astype(np.uint8)
    assert root_mean_square(plane, (plane.astype(int) + shift).astype(np.uint8)) == pytest.approx(abs(shift))


@dataclass
class Green:
    """The green channel as a map."""

    name: str = "green"

    def prepare(self) -> None:
        return None

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        return {"annotator": "green"}

    @property
    def fingerprint(self) -> str:
        return "0" * 64

    def plane(self, picture: Pixels) -> BytePlane:
        return picture[:, :, 1].copy()


def shown(plane: BytePlane, name: str = "s") -> Sample:
    a_map = image_of(np.repeat(plane[:, :, None], 3, axis=2), "depth")
    return Sample(name, (a_map, Text("a thing")))


def scored(sample: Sample, answer: Pixels) -> Scored:
    return Scored(sample, Generation((image_of(answer),)))


def test_the_answer_s_map_is_compared_with_the_one_shown_at_its_size(tmp_path: Path) -> None:
    score = MapLikeness(Workspace(cache=tmp_path), Green(), "green_rmse", "rmse")
    asked = np.full((6, 8), 100, np.uint8)
    metric = ScoreMetric("test", {"data": "d"}, score)
    answers = [np.full((6, 8, 3), 103, np.uint8), np.full((12, 16, 3), 90, np.uint8)]
    state = metric.start()
    for number, answer in enumerate(answers):
        state = metric.update(state, [scored(shown(asked, str(number)), answer)])
    found = metric.finish(state)
    assert found.per_sample["green_rmse"] == pytest.approx({"0": 3, "1": 10})
    one = found.estimates["green_rmse"]
    assert isinstance(one, Estimate)
    assert one.value == pytest.approx(6.5)
    assert (one.unit, one.higher_is_better) == ("levels of 255", False)
    fields = dict(found.protocols[0].fields)
    assert (fields["annotator"], fields["answer_resize"], fields["data"]) == ("green", "bicubic-pil", "d")


def test_edges_of_the_very_photo_are_found_again(tmp_path: Path) -> None:
    picture = photo_like(3, 60, 60)
    annotator = CannyAnnotator()
    score = MapLikeness(Workspace(cache=tmp_path), annotator, "canny_f1", "f1")
    sample = shown(annotator.plane(picture))
    other = scored(sample, photo_like(4, 60, 60))
    (same,), (wrong,) = score.tallies([scored(sample, picture)]), score.tallies([other])
    assert same.got == 1
    assert 0 < wrong.got < 0.6


def test_a_question_without_a_map_or_an_answer_without_a_picture_is_told(tmp_path: Path) -> None:
    score = MapLikeness(Workspace(cache=tmp_path), Green(), "green_rmse", "rmse")
    answer = image_of(photo_like(1, 5, 5))
    for parts in ((Text("x"),), (image_of(photo_like(1, 5, 5), "source"),)):
        with pytest.raises(DataError, match="shows 0 maps"):
            score.tallies([Scored(Sample("s", parts), Generation((answer,)))])
    wrong: list[tuple[Image | Text, ...]] = [(), (answer, answer), (Text("no"),)]
    for given_parts in wrong:
        with pytest.raises(RunError, match="mend the model"):
            score.tallies([Scored(shown(np.zeros((5, 5), np.uint8)), Generation(given_parts))])
