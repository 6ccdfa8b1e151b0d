"""Mean IoU and pixel accuracy of a segmenter's reading of the answers against the label maps that were asked for.

Both are numbers of the whole set: pixels of the intersection and of the union of each class are summed over all
answers, a class's IoU is the ratio of its sums, and the mean is over the classes that stand in a map or a reading
somewhere; a class in neither has no IoU. Pixels whose asked label is ignored take no part, whatever is read there.

Intervals and influences are those of ratios of totals, clustered by picture (`evalkit.metrics.means`).

Source: Everingham et al. 2010, doi:10.1007/s11263-009-0275-4; mmsegmentation's `IoUMetric` (`mIoU` and `aAcc`), which
ControlNet++ calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from evalkit.features.planes import Annotator, BytePlane, plane_cache, plane_of
from evalkit.interfaces import MetricResult, Scored
from evalkit.metrics.chosen import chosen_names
from evalkit.metrics.means import Fields, Judged, MeanMetric, MeanState, Measure, Tally, judged_elsewhere
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.workspace import Workspace

VERSION = 1
"""Raised whenever either number changes."""
IGNORED = 255
"""The label of pixels that take no part."""

AskedLabels: TypeAlias = Callable[[Scored], BytePlane]
"""Gives the label map `(H, W)` that a sample asks for."""


def overlaps(asked: BytePlane, read: BytePlane) -> dict[int, Tally]:
    """Return the pixels of the intersection and the union of each class in two label maps `(H, W)`.

    >>> overlaps(np.array([[1, 1, 2, 255]], np.uint8), np.array([[1, 2, 2, 3]], np.uint8))
    {1: Tally(got=1, of=2), 2: Tally(got=1, of=2)}
    """
    counted = asked != IGNORED
    asked, read = asked[counted], read[counted]
    both = np.bincount(asked[asked == read], minlength=256)
    either = np.bincount(asked, minlength=256) + np.bincount(read, minlength=256) - both
    return {int(label): Tally(int(both[label]), int(either[label])) for label in np.flatnonzero(either)}


@dataclass(frozen=True, slots=True)
class Classes:
    """What a label map may hold, and the strata that the numbers are broken down by."""

    names: tuple[tuple[int, str], ...]
    strata: tuple[str, ...] = ()


class SegmentationMetric:
    """Mean IoU and pixel accuracy by one segmenter, which reads each answer once for both."""

    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def __init__(
        self,
        protocol_name: str,
        fields: Fields,
        workspace: Workspace,
        segmenter: Annotator,
        asked: AskedLabels,
        classes: Classes,
        estimates: Collection[str] | None = None,
    ) -> None:
        """Compare with what `asked` gives; `fields` are the task's own choices, which go into every protocol.

        Raises:
            UsageError: `estimates` holds an unknown name.
        """
        self._protocol_name = protocol_name
        self._fields = dict(fields)
        self._workspace = workspace
        self._segmenter = segmenter
        self._asked = asked
        self._classes = classes
        self._measures = _measures(segmenter.name, classes)
        self._names = chosen_names([name for measure in self._measures for name in measure.names], estimates)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes."""
        return self._names

    def only(self, names: Collection[str]) -> SegmentationMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        parts = (self._workspace, self._segmenter, self._asked, self._classes)
        return SegmentationMetric(self._protocol_name, self._fields, *parts, names)

    def prepare(self) -> None:
        """Find the segmenter's weights.

        Raises:
            WeightsError: they cannot be had.
        """
        self._segmenter.prepare()

    def backlog(self) -> int:
        """Return 0: the label maps come with the samples."""
        return 0

    def start(self) -> MeanState:
        """Return the state of no samples."""
        return MeanState()

    def update(self, state: MeanState, scored: Sequence[Scored]) -> MeanState:
        """Return `state` with these samples' answers read.

        Raises:
            RunError: an answer does not hold exactly one picture.
            CacheError: a picture or map cannot be read or written.
        """
        for one in scored:
            sample = one.sample
            state.judged.append(Judged(sample.id, sample.cluster or sample.id, sample.strata, self._tallies(one)))
        return state

    def _tallies(self, scored: Scored) -> dict[str, Tally]:
        asked = self._asked(scored)
        height, width = asked.shape
        cache = plane_cache(self._workspace)
        read = plane_of(self._segmenter, answered_picture(scored), width, height, cache)
        found = overlaps(asked, read)
        counted = int(np.count_nonzero(asked != IGNORED))
        right = sum(tally.got for tally in found.values())
        accuracy = {f"pixel_accuracy[{self._segmenter.name}]": Tally(right, counted)}
        return {**{f"class {label}": tally for label, tally in found.items()}, **accuracy}

    def merge(self, left: MeanState, right: MeanState) -> MeanState:
        """Return the state of both sides' samples."""
        return MeanState(left.judged + right.judged)

    def finish(self, state: MeanState) -> MetricResult:
        """Return the estimates.

        Raises:
            NotEnoughSamples: there are no answers.
            RunError: a sample was scored twice.
        """
        own: Fields = {
            "score_version": VERSION,
            "classes": len(self._classes.names),
            "absent_classes": "left out of the mean",
            "ignored_label": IGNORED,
            "answer_resize": "bicubic-pil",
        }
        fields = {**self._fields, **self._segmenter.protocol_fields, **own}
        means = MeanMetric(self._protocol_name, fields, self._measures, judged_elsewhere, self._names)
        return means.finish(state)


def _measures(segmenter: str, classes: Classes) -> tuple[Measure, ...]:
    parts = tuple(f"class {label}" for label, _ in classes.names)
    return (
        Measure(f"miou[{segmenter}]", pooled=True, parts=parts, by=classes.strata),
        Measure(f"pixel_accuracy[{segmenter}]", pooled=True, by=classes.strata),
    )
