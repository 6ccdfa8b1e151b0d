"""Mean IoU and pixel accuracy over a set: closed forms, a literal loop, torchmetrics and scikit-learn as references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from sklearn.metrics import jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex

from evalkit.errors import NotEnoughSamples, RunError, UsageError
from evalkit.features.planes import BytePlane
from evalkit.images import Pixels, image_of, pixels
from evalkit.interfaces import MetricResult, Scored
from evalkit.metrics.pictures.segmentation import IGNORED, Classes, SegmentationMetric, overlaps
from evalkit.types import Estimate, Generation, JsonScalar, LabelMap, Sample
from evalkit.workspace import Workspace

CLASSES = 5


@dataclass
class Red:
    """Reads the class from the red channel, and counts what it reads."""

    name: str = "red"
    read: list[int] = field(default_factory=list)

    def prepare(self) -> None:
        self.read.append(-1)

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        return {"annotator": "red"}

    @property
    def fingerprint(self) -> str:
        return "1" * 64

    def plane(self, picture: Pixels) -> BytePlane:
        self.read.append(len(self.read))
        return picture[:, :, 0].copy()


def in_red(labels: BytePlane) -> Pixels:
    """Labels as a picture; green and blue tell equal maps of different size or sample apart from no one."""
    coded = np.zeros((*labels.shape, 3), np.uint8)
    coded[:, :, 0] = labels
    return coded


def labels_of(scored: Scored) -> BytePlane:
    (part,) = scored.sample.parts
    assert isinstance(part, LabelMap)
    return pixels(part.image)[:, :, 0]


def metric(folder: Path, segmenter: Red | None = None, strata: tuple[str, ...] = ()) -> SegmentationMetric:
    classes = Classes(tuple((label, f"class {label}") for label in range(CLASSES)), strata)
    return SegmentationMetric("test", {"data": "d"}, Workspace(cache=folder), segmenter or Red(), labels_of, classes)


def pairs_of(maps: Sequence[tuple[BytePlane, BytePlane]]) -> list[Scored]:
    return [
        Scored(
            Sample(
                f"s{number:03}",
                (LabelMap(image_of(in_red(asked)), ()),),
                (),
                (("half", str(number % 2)),),
                f"c{number}",
            ),
            Generation((image_of(in_red(read)),)),
        )
        for number, (asked, read) in enumerate(maps)
    ]


def measured(folder: Path, maps: Sequence[tuple[BytePlane, BytePlane]]) -> MetricResult:
    made = metric(folder)
    return made.finish(made.update(made.start(), pairs_of(maps)))


def value(found: MetricResult, name: str) -> float:
    one = found.estimates[name]
    assert isinstance(one, Estimate)
    return one.value


def drawn(seed: int, count: int, ignored: float = 0.2) -> list[tuple[BytePlane, BytePlane]]:
    random = np.random.default_rng(seed)
    maps = []
    for _ in range(count):
        asked = random.integers(0, CLASSES, (6, 7)).astype(np.uint8)
        read = np.where(random.random((6, 7)) < 0.6, asked, random.integers(0, CLASSES, (6, 7))).astype(np.uint8)
        asked[random.random((6, 7)) < ignored] = IGNORED
        maps.append((asked, read))
    return maps


def test_a_case_worked_by_hand(tmp_path: Path) -> None:
    """Class 0: 2 of 4 pixels; class 1: 3 of 6; class 2 is only read, 0 of 1; 3 and 4 are nowhere. 5 of 8 are right."""
    first = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    second = np.array([[0, 0, 1, 1, 255]], np.uint8), np.array([[0, 1, 1, 2, 4]], np.uint8)
    found = measured(tmp_path, [first, second])
    assert value(found, "miou[red]") == pytest.approx((2 / 4 + 3 / 6 + 0 / 1) / 3)
    assert value(found, "pixel_accuracy[red]") == pytest.approx(5 / 8)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_it_is_torchmetrics_and_scikit_learn_s_on_the_joined_pixels(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    maps = drawn(seed, 4)
    found = measured(tmp_path_factory.mktemp("cache"), maps)
    asked, read = (np.concatenate([pair[side].ravel() for pair in maps]).astype(np.int64) for side in (0, 1))
    reference = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=IGNORED)
    expected = reference(torch.from_numpy(read), torch.from_numpy(asked))
    kept = asked != IGNORED
    scores = jaccard_score(asked[kept], read[kept], average="macro")
    assert value(found, "miou[red]") == pytest.approx(float(scores))
    assert value(found, "miou[red]") == pytest.approx(float(expected), abs=1e-6)
    assert value(found, "pixel_accuracy[red]") == pytest.approx((asked[kept] == read[kept]).mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_overlaps_are_those_of_a_loop_over_pixels(seed: int) -> None:
    ((asked, read),) = drawn(seed, 1)
    both, either = [0] * 256, [0] * 256
    for a, b in zip(asked.ravel().tolist(), read.ravel().tolist(), strict=True):
        if a == IGNORED:
            continue
        both[a] += a == b
        for label in {a, b}:
            either[label] += 1
    found = overlaps(asked, read)
    assert {label: (t.got, t.of) for label, t in found.items()} == {
        label: (both[label], either[label]) for label in range(256) if either[label]
    }


def test_ade20k_s_predictions_have_the_published_numbers_of_its_demo(shared_data: Path) -> None:
    """The official demo says of its own three predictions: pixel-wise accuracy 100 %, mean IoU .1000 over 150 classes.

    It counts classes that occur nowhere as 0: 15 of 150 occur, so the mean over those that do is 1.
    """
    folder = shared_data / "ade20k"
    held: set[int] = set()
    for path in sorted((folder / "annotations").iterdir()):
        with PillowImage.open(path) as asked, PillowImage.open(folder / "predictions" / path.name) as read:
            labels = np.array(asked)
            found = overlaps(np.where(labels == 0, IGNORED, labels).astype(np.uint8), np.array(read))
        assert all(tally.got == tally.of for tally in found.values())
        held |= found.keys()
    assert round(len(held) / 150, 4) == 0.1


def test_shards_and_order_do_not_move_a_bit(tmp_path: Path) -> None:
    scored = pairs_of(drawn(3, 7))
    made = metric(tmp_path)
    whole = made.finish(made.update(made.start(), scored))
    left, right = made.update(made.start(), scored[4:][::-1]), made.update(made.start(), scored[:4])
    assert made.finish(made.merge(left, right)) == whole
    with pytest.raises(RunError, match="more than once"):
        made.finish(made.merge(made.update(made.start(), scored[:2]), made.update(made.start(), scored[1:3])))
    with pytest.raises(NotEnoughSamples):
        made.finish(made.start())


def test_the_interval_is_about_as_wide_as_a_bootstrap_s(tmp_path: Path) -> None:
    maps = drawn(11, 60)
    found = measured(tmp_path, maps)
    one = found.estimates["miou[red]"]
    assert isinstance(one, Estimate)
    assert one.interval is not None
    tables = np.zeros((len(maps), CLASSES, 2))
    for number, (asked, read) in enumerate(maps):
        for label, tally in overlaps(asked, read).items():
            tables[number, label] = tally.got, tally.of
    random = np.random.default_rng(0)
    draws = []
    for _ in range(600):
        total = tables[random.integers(0, len(maps), len(maps))].sum(axis=0)
        draws.append((total[:, 0] / total[:, 1]).mean())
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (one.interval.high - one.interval.low) / (high - low) == pytest.approx(1, abs=0.2)
    assert one.interval.low < one.value < one.interval.high


def test_each_answer_is_read_once_for_both_numbers(tmp_path: Path) -> None:
    segmenter = Red()
    made = metric(tmp_path, segmenter)
    scored = pairs_of(drawn(5, 3))
    made.update(made.start(), scored)
    made.update(made.start(), scored)
    assert len(segmenter.read) == 3


def test_an_answer_of_another_size_is_brought_to_the_map_s(tmp_path: Path) -> None:
    asked = np.repeat(np.array([[0, 3]], np.uint8), 2, axis=0)
    large = np.repeat(np.repeat(np.array([[0, 3]], np.uint8), 8, axis=0), 4, axis=1)
    assert value(measured(tmp_path, [(asked, large)]), "pixel_accuracy[red]") == 1


def test_breakdowns_and_choices(tmp_path: Path) -> None:
    made = metric(tmp_path, strata=("half",))
    assert made.names == (*("miou[red]", "miou[red]_by_half", "pixel_accuracy[red]", "pixel_accuracy[red]_by_half"),)
    only = made.only({"miou[red]_by_half"})
    found = only.finish(only.update(only.start(), pairs_of(drawn(1, 4))))
    assert set(found.estimates) == {"miou[red][half=0]", "miou[red][half=1]"}
    with pytest.raises(UsageError, match="no estimate named 'miuo'"):
        made.only({"miuo"})
    fields = dict(found.protocols[0].fields)
    assert (fields["classes"], fields["ignored_label"], fields["annotator"]) == (CLASSES, 255, "red")
