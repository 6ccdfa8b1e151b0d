"""Average precision: closed forms, pycocotools' COCOeval, and the laws of weights and of the metric around it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evalkit.errors import NotEnoughSamples, RunError, UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import Detections, ordered
from evalkit.features.pictures import Picture
from evalkit.images import image_of
from evalkit.interfaces import Scored
from evalkit.metrics.pictures.average_precision import Objects, Ranking, matches
from evalkit.metrics.pictures.boxes import BoxMetric, Looked, leave_one_out
from evalkit.types import Estimate, Generation, Image, JsonScalar, Sample, Unavailable
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like

Box = tuple[float, float, float, float]


def objects(*boxes: Box, categories: Sequence[int] | None = None, ignored: Sequence[bool] | None = None) -> Objects:
    """Objects by left, top, width and height."""
    n = len(boxes)
    out = np.array(ignored if ignored is not None else [False] * n, np.bool_)
    kinds = np.array(categories if categories is not None else [1] * n, np.int64)
    return Objects(np.array(boxes, np.float64).reshape(-1, 4), kinds, out, np.zeros(n, np.bool_))


def found(*boxes: Box, scores: Sequence[float], categories: Sequence[int] | None = None) -> Detections:
    """Detections by left, top, width and height."""
    table = np.array(boxes, np.float32).reshape(-1, 4)
    corners = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:]], axis=1)
    kinds = np.array(categories if categories is not None else [1] * len(boxes), np.int64)
    return ordered(corners, np.array(scores, np.float32), kinds, 100)


def ap(objects_: Objects, seen: Detections, columns: slice = slice(None)) -> float | None:
    return Ranking([matches(objects_, seen)]).precision(np.ones(1), columns)


A, B, C = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 10.0, 10.0), (0.0, 50.0, 10.0, 10.0)


def test_what_is_found_where_it_is_has_an_ap_of_one_and_what_is_not_of_none() -> None:
    assert ap(objects(A, B), found(A, B, scores=[0.2, 0.9])) == pytest.approx(1.0)
    assert ap(objects(A, B), found(scores=[])) == 0.0
    assert ap(objects(), found(A, scores=[0.5])) is None


def test_a_wrong_box_between_two_right_ones_costs_what_the_curve_says() -> None:
    # Right, wrong, right: 51 of the 101 recalls at precision 1, the other 50 at 2/3.
    value = ap(objects(A, B), found(A, C, B, scores=[0.9, 0.8, 0.7]))
    assert value == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_counts_up_to_the_threshold_that_it_overlaps_by() -> None:
    # Shifted by 2 of 10: IoU 8/12 = .667, right at .50 to .65, four of the ten thresholds.
    shifted = (2.0, 0.0, 10.0, 10.0)
    assert ap(objects(A), found(shifted, scores=[0.5])) == pytest.approx(0.4)
    assert ap(objects(A), found(shifted, scores=[0.5]), slice(0, 1)) == pytest.approx(1.0)


def test_what_lies_on_an_ignored_object_is_neither_right_nor_wrong() -> None:
    both = found(B, A, scores=[0.9, 0.8])
    assert ap(objects(A), both) == pytest.approx(0.5)
    assert ap(objects(A, B, ignored=[False, True]), both) == pytest.approx(1.0)
    assert ap(objects(B, ignored=[True]), both) is None


def test_categories_weigh_the_same_whatever_their_number() -> None:
    three = objects(A, B, C, categories=[1, 1, 2])
    assert ap(three, found(A, B, scores=[0.9, 0.8], categories=[1, 1])) == pytest.approx(0.5)


COORDINATE = st.integers(0, 12).map(float)
SIDE = st.integers(1, 8).map(float)
OBJECT = st.tuples(
    COORDINATE, COORDINATE, SIDE, SIDE, st.integers(1, 2), st.sampled_from(["plain", "ignored", "crowd"])
)
SEEN = st.tuples(COORDINATE, COORDINATE, SIDE, SIDE, st.integers(1, 2), st.integers(1, 9).map(lambda n: n / 16))
PICTURE = st.tuples(st.lists(OBJECT, max_size=5), st.lists(SEEN, max_size=6))
Drawn = tuple[list[tuple[float, float, float, float, int, str]], list[tuple[float, float, float, float, int, float]]]


def reference(pictures: Sequence[Drawn]) -> tuple[float, float]:
    """AP and AP50 of pycocotools. Its area range leaves out what is larger than 1e10: that is what is ignored here."""
    annotations: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for image, (own, seen) in enumerate(pictures, start=1):
        for x, y, w, h, kind, what in own:
            area = 1e11 if what == "ignored" else w * h
            crowd = int(what == "crowd")
            one = {"id": len(annotations) + 1, "image_id": image, "category_id": kind, "iscrowd": crowd}
            annotations.append({**one, "bbox": [x, y, w, h], "area": area})
        results += [
            {"image_id": image, "category_id": kind, "bbox": [x, y, w, h], "score": score}
            for x, y, w, h, kind, score in seen
        ]
    dataset = {"images": [{"id": i + 1} for i in range(len(pictures))], "categories": [{"id": 1}, {"id": 2}]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {**dataset, "annotations": annotations, "info": {}}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def matched(pictures: Sequence[Drawn]) -> Ranking:
    made = []
    for own, seen in pictures:
        boxes = np.array([one[:4] for one in own], np.float64).reshape(-1, 4)
        crowds = np.array([one[5] == "crowd" for one in own], np.bool_)
        ignored = np.array([one[5] != "plain" for one in own], np.bool_)
        asked = Objects(boxes, np.array([one[4] for one in own], np.int64), ignored, crowds)
        boxed = [one[:4] for one in seen]
        kinds = [one[4] for one in seen]
        made.append(matches(asked, found(*boxed, scores=[one[5] for one in seen], categories=kinds)))
    return Ranking(made)


@settings(deadline=None, max_examples=60)
@given(st.lists(PICTURE, min_size=1, max_size=4).filter(lambda drawn: any(seen for _, seen in drawn)))
def test_ap_is_that_of_pycocotools(drawn: list[Drawn]) -> None:
    ranking = matched(drawn)
    ours = [ranking.precision(np.ones(len(drawn)), columns) for columns in (slice(None), slice(0, 1))]
    theirs = reference(drawn)
    assert [-1.0 if value is None else value for value in ours] == pytest.approx(list(theirs), abs=1e-12)


CROWD: Drawn = (
    [(0, 0, 4, 4, 1, "plain"), (6, 0, 12, 12, 1, "crowd")],
    [(6, 0, 3, 3, 1, 0.9), (9, 3, 3, 3, 1, 0.8), (0, 0, 4, 4, 1, 0.7)],
)
"""Two detections in one crowd, both surer than the one that is right."""
TIE: Drawn = (
    [(0, 0, 10, 10, 1, "plain"), (2, 0, 10, 10, 1, "plain")],
    [(1, 0, 10, 10, 1, 0.9), (0, 0, 10, 10, 1, 0.8)],
)
"""A detection between two objects, and one that is on the first of them."""
COVERED: Drawn = (
    [(0, 0, 10, 10, 1, "ignored"), (2, 0, 10, 10, 1, "plain")],
    [(0, 0, 10, 10, 1, 0.9)],
)
"""A detection just on something ignored, and rather on an object that counts."""


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [(CROWD, 1.0), (TIE, 0.7 + 0.3 * 0.5 * 51 / 101), (COVERED, 0.4)],
    ids=["crowd", "tie", "covered"],
)
def test_who_takes_an_object_is_as_pycocotools_has_it(drawn: Drawn, expected: float) -> None:
    assert reference([drawn])[0] == pytest.approx(expected, abs=1e-12)
    assert matched([drawn]).precision(np.ones(1)) == pytest.approx(expected, abs=1e-12)


def ranked(picture: Drawn) -> bool:
    """Return whether no two detections of one category have the same score, so that there is one order of them."""
    looks = [(category, score) for *_, category, score in picture[1]]
    return len(looks) == len(set(looks))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.tuples(PICTURE, st.integers(0, 1)),
            st.tuples(PICTURE.filter(ranked), st.integers(2, 3)),  # a copy begins anew within equal scores
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_weight_is_a_repetition(drawn: list[tuple[Drawn, int]]) -> None:
    weighted = matched([picture for picture, _ in drawn]).precision(np.array([float(w) for _, w in drawn]))
    repeated = [picture for picture, weight in drawn for _ in range(weight)]
    expected = matched(repeated).precision(np.ones(len(repeated))) if repeated else None
    assert (weighted is None) == (expected is None)
    assert weighted == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.lists(PICTURE, min_size=2, max_size=5))
def test_leaving_one_out_is_ranking_the_others(drawn: list[Drawn]) -> None:
    ranking = matched(drawn)
    if ranking.precision(np.ones(len(drawn))) is None:
        return
    without = leave_one_out(ranking, [[place] for place in range(len(drawn))])
    for place in range(len(drawn)):
        rest = drawn[:place] + drawn[place + 1 :]
        expected = matched(rest).precision(np.ones(len(rest)))
        if expected is not None:
            assert without[place] == pytest.approx(expected, abs=1e-12)


PICTURES = [image_of(photo_like(seed, 10, 10)) for seed in range(8)]
ASKED = objects(A, B, categories=[1, 2])


class Scripted:
    """Finds what it was told to, by the picture's digest."""

    name = "scripted"
    protocol_fields: Mapping[str, JsonScalar] = {"detector": "scripted"}

    def __init__(self, script: Mapping[str, Detections]) -> None:
        self.script = script
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def pictures(self, pictures: Sequence[Picture], cache: FeatureCache | None = None) -> list[Detections]:
        return [self.script[one.digest] for one in pictures if isinstance(one, Image)]


def _seen(number: int) -> Detections:
    where = C if number == 5 else A
    return found(where, B, C, scores=[0.9, 0.8 if number % 3 else 0.1, 0.05 * number], categories=[1, 2, 1])


@pytest.fixture
def metric(tmp_path: Path) -> BoxMetric:
    script = Scripted({picture.digest: _seen(number) for number, picture in enumerate(PICTURES)})
    return _metric(script, lambda _: ASKED, Workspace(cache=tmp_path))


def _metric(script: Scripted, asked: Callable[[Scored], Objects], workspace: Workspace) -> BoxMetric:
    def answer(one: Scored) -> tuple[Picture, float, float]:
        (part,) = one.generation.parts
        assert isinstance(part, Image)
        return part, 1.0, 1.0

    looks = (Looked("answer", "", answer), Looked("again", "photo_", answer))
    return BoxMetric("made", {"data": "none"}, workspace, script, looks, asked)


SCORED = [Scored(Sample(str(number), ()), Generation((picture,))) for number, picture in enumerate(PICTURES)]


def test_order_and_shards_change_nothing(metric: BoxMetric) -> None:
    whole = metric.finish(metric.update(metric.start(), SCORED))
    halves = metric.merge(metric.update(metric.start(), SCORED[5:]), metric.update(metric.start(), SCORED[4::-1]))
    assert metric.finish(halves) == whole
    assert tuple(whole.estimates) == ("ap[scripted]", "ap50[scripted]", "photo_ap[scripted]", "photo_ap50[scripted]")
    for name, one in whole.estimates.items():
        assert isinstance(one, Estimate) and one.interval is not None
        assert one.interval.low <= one.value <= one.interval.high
        assert one.n == len(SCORED)
        assert sum(whole.per_sample[f"{name}_influence"].values()) == pytest.approx(0, abs=1e-12)
    assert whole.estimates["ap[scripted]"] != whole.estimates["photo_ap[scripted]"], "their protocols differ"


def test_where_no_photo_moves_ap_nothing_is_known_of_its_spread(tmp_path: Path) -> None:
    all_right = found(A, B, scores=[0.9, 0.8], categories=[1, 2])
    script = Scripted({picture.digest: all_right for picture in PICTURES})
    made = _metric(script, lambda _: ASKED, Workspace(cache=tmp_path))
    one = made.finish(made.update(made.start(), SCORED)).estimates["ap[scripted]"]
    assert isinstance(one, Estimate)
    assert one.value == pytest.approx(1.0)
    assert one.interval is None


def test_only_the_chosen_numbers_are_made(metric: BoxMetric) -> None:
    one = metric.only(["ap50[scripted]"])
    assert one.names == ("ap50[scripted]",)
    assert tuple(one.finish(one.update(one.start(), SCORED)).estimates) == one.names
    with pytest.raises(UsageError, match="no estimate named 'ap75'"):
        metric.only(["ap75"])


def test_what_cannot_be_made_is_said(metric: BoxMetric, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughSamples):
        metric.finish(metric.start())
    with pytest.raises(RunError, match="'0' was scored more than once"):
        metric.finish(metric.update(metric.start(), [SCORED[0], SCORED[0]]))
    script = Scripted({PICTURES[0].digest: _seen(0)})
    empty = _metric(script, lambda _: objects(), Workspace(cache=tmp_path))
    made = empty.finish(empty.update(empty.start(), SCORED[:1]))
    assert all(isinstance(one, Unavailable) for one in made.estimates.values())
    empty.prepare()
    assert script.prepared == 1
