"""GenEval's numbers: each picture judged once, six task means and the mean of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from evalkit.errors import WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.detections import COCO_CATEGORIES
from evalkit.features.encoder import Encoder
from evalkit.features.segmenter import Segmenter
from evalkit.features.segments import Segments
from evalkit.images import pixels
from evalkit.interfaces import MetricResult, Scored
from evalkit.metrics.chosen import chosen_names
from evalkit.metrics.means import Fields, Judged, MeanMetric, MeanState, Measure, Tally, judged_elsewhere
from evalkit.metrics.pictures.scores import answered_picture
from evalkit.metrics.pictures.similarity import feature_cache
from evalkit.types import Image
from evalkit.workspace import Workspace
from evalkit_tasks.geneval_colours import GREY, TEMPLATES, colours, crop
from evalkit_tasks.geneval_judging import (
    COUNTING_THRESHOLD,
    MARGIN,
    MOST,
    TAGS,
    THRESHOLD,
    Item,
    Seen,
    class_names,
    is_right,
    kept,
)

PROTOCOL = "geneval"
VERSION = 1
"""Raised whenever any of these numbers changes."""
COLOURED = ("colors", "color_attr")
"""The tasks that ask CLIP."""


def measures(name: str) -> tuple[Measure, ...]:
    """Return the mean of the six task means and each of them; `name` says who looked."""
    overall = Measure(f"geneval[{name}]", parts=TAGS)
    return (overall, *(Measure(f"{tag}[{name}]", parts=(tag,)) for tag in TAGS))


class GenEvalMetric:
    """Judges each answered picture by GenEval's rule."""

    estimator: Literal["mean", "corpus", "distribution"] = "mean"

    def __init__(
        self,
        fields: Fields,
        workspace: Workspace,
        segmenter: Segmenter,
        clip: Encoder,
        items: Mapping[str, Item],
        estimates: Collection[str] | None = None,
    ) -> None:
        """Judge by `items`, which are known by sample id.

        Raises:
            UsageError: `estimates` holds an unknown name.
        """
        self._fields = dict(fields)
        self._workspace = workspace
        self._segmenter = segmenter
        self._clip = clip
        self._items = items
        self._measures = measures(segmenter.name)
        self._names = chosen_names([measure.name for measure in self._measures], estimates)
        self._classes = class_names(COCO_CATEGORIES)

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, in the order that they are shown in."""
        return self._names

    def only(self, names: Collection[str]) -> GenEvalMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return GenEvalMetric(self._fields, self._workspace, self._segmenter, self._clip, self._items, names)

    def prepare(self) -> None:
        """Find the detector and, where a colour is asked for, CLIP.

        Raises:
            WeightsError: weights cannot be had; the message says which numbers can be made without.
            UsageError: a package is missing.
        """
        self._segmenter.prepare()
        if not self._coloured:
            return
        try:
            self._clip.prepare(texts=True)
        except WeightsError as error:
            plain = [m.name for m in self._measures if not set(m.tallies) & set(COLOURED)]
            raise WeightsError(f"{error}\nWithout it: --metrics '{','.join(plain)}'") from error

    @property
    def _coloured(self) -> bool:
        return any(set(one.tallies) & set(COLOURED) for one in self._measures if one.name in self._names)

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the answers."""
        return 0

    def start(self) -> MeanState:
        """Return the state of no samples."""
        return MeanState()

    def update(self, state: MeanState, scored: Sequence[Scored]) -> MeanState:
        """Return `state` with these samples judged; a task that no chosen number is of is not judged.

        Raises:
            RunError: an answer does not hold one picture.
            CacheError: a picture cannot be read, or the cache is damaged.
        """
        wanted = {tag for one in self._measures if one.name in self._names for tag in one.tallies}
        looked = [one for one in scored if self._items[one.sample.id].tag in wanted]
        with feature_cache(self._workspace) as cache:
            found = self._segmenter.pictures([answered_picture(one) for one in looked], cache)
            right = {one.sample.id: self._right(one, seen, cache) for one, seen in zip(looked, found, strict=True)}
        for one in scored:
            name, cluster = one.sample.id, one.sample.cluster or one.sample.id
            tallies = {self._items[name].tag: Tally(float(right[name]))} if name in right else {}
            state.judged.append(Judged(name, cluster, one.sample.strata, tallies))
        return state

    def _right(self, scored: Scored, found: Segments, cache: FeatureCache) -> bool:
        item, picture = self._items[scored.sample.id], answered_picture(scored)
        seen = kept(found.found, self._classes, item.tag)
        return is_right(item, seen, lambda mine, name: self._colours(picture, found, mine, name, cache))

    def _colours(
        self, picture: Image, found: Segments, mine: Sequence[Seen], name: str, cache: FeatureCache
    ) -> list[str]:
        whole = pixels(picture)
        crops = [crop(whole, one, found.inside(one.number)) for one in mine]
        return colours(self._clip, name, crops, cache)

    def merge(self, left: MeanState, right: MeanState) -> MeanState:
        """Return the state of both sides' samples."""
        return MeanState(left.judged + right.judged)

    def finish(self, state: MeanState) -> MetricResult:
        """Return the estimates.

        Raises:
            NotEnoughSamples: there are no answers.
            RunError: a sample was scored twice.
        """
        own: dict[str, str | int | float | bool | None] = {
            "score_version": VERSION,
            "threshold": THRESHOLD,
            "counting_threshold": COUNTING_THRESHOLD,
            "objects_per_class": MOST,
            "position_margin": MARGIN,
            "suppression": "none",
            **self._segmenter.protocol_fields,
        }
        if self._coloured:
            own |= {"colour_background": f"#{GREY:02x}{GREY:02x}{GREY:02x}", "colour_texts": "; ".join(TEMPLATES)}
            own |= dict(self._clip.protocol_fields)
        means = MeanMetric(PROTOCOL, {**self._fields, **own}, self._measures, judged_elsewhere, self._names)
        return means.finish(state)
