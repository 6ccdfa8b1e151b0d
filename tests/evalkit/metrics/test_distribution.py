"""Laws of FID as a metric: order and shards do not show, the cache is right, and what cannot be had says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from evalkit.errors import CacheError, DataError, NotEnoughSamples, RunError, UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.inception import Features
from evalkit.features.pictures import FilePicture, Picture, identities, load
from evalkit.images import image_of
from evalkit.interfaces import MetricResult, Scored
from evalkit.metrics.distribution import DistributionMetric, DistributionState, distribution_metric
from evalkit.metrics.family import ESTIMATES
from evalkit.metrics.frechet import frechet_distance_of_features
from evalkit.metrics.kernel import KidConvention, kid
from evalkit.metrics.manifold import manifold
from evalkit.progress import Progress
from evalkit.types import Estimate, Generation, Image, JsonScalar, Sample, Text, Unavailable
from evalkit.workspace import Workspace

Singles = npt.NDArray[np.float32]
PROJECTION = np.random.default_rng(7).normal(size=(4 * 4 * 3, 16)) / 7


@dataclass
class Projection:
    """An extractor that needs no weights: pixels of 4 x 4 pictures, projected; it counts what it is asked."""

    classifier: bool = True
    fingerprint: str = "projection"
    asked: Counter[str] = field(default_factory=Counter)
    prepared: int = 0

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        return {"extractor": self.fingerprint, "resize": "none"}

    def prepare(self) -> None:
        self.prepared += 1

    def extract(
        self,
        pictures: Sequence[Picture],
        cache: FeatureCache | None = None,
        progress: Progress | None = None,
        *,
        logits: bool = True,
    ) -> Features:
        names = identities(pictures, cache)
        self.asked.update(names)
        rows = [np.maximum(load(picture).reshape(-1) / 64.0 @ PROJECTION, 0) for picture in pictures]
        vectors = np.array(rows, np.float32)
        return Features(vectors, vectors[:, :5] if logits and self.classifier else None, tuple(names))


def _pictures(n: int, seed: int) -> list[Image]:
    random = np.random.default_rng(seed)
    return [image_of(random.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for _ in range(n)]


def _scored(pictures: Sequence[Image]) -> list[Scored]:
    return [Scored(Sample(f"s{i:03}", ()), Generation((picture,))) for i, picture in enumerate(pictures)]


def _metric(
    folder: Path, extractor: Projection | None = None, reference: Sequence[Picture] | None = None, **chosen: object
) -> DistributionMetric:
    known = _pictures(60, 1) if reference is None else reference
    fields = {"captions": "one a picture"}
    return DistributionMetric(
        Workspace(cache=folder),
        extractor or Projection(),
        known,
        "torch-fidelity",
        fields,
        **chosen,  # type: ignore[arg-type]  # the tests pass what it takes
    )


def _result(metric: DistributionMetric, scored: Sequence[Scored]) -> MetricResult:
    metric.prepare()
    return metric.finish(metric.update(metric.start(), scored))


def _vectors(pictures: Sequence[Picture]) -> Singles:
    return Projection().extract(pictures).vectors


def _value(result: MetricResult, name: str) -> float:
    estimate = result.estimates[name]
    assert isinstance(estimate, Estimate), estimate
    return estimate.value


def test_estimates_are_the_family_s_own_numbers(tmp_path: Path) -> None:
    drawn, known = _pictures(50, 0), _pictures(60, 1)
    result = _result(_metric(tmp_path), _scored(drawn))
    x, y = _vectors(drawn), _vectors(known)
    assert tuple(result.estimates) == ESTIMATES
    assert _value(result, "fid") == frechet_distance_of_features(x, y)
    assert _value(result, "kid") == kid(x, y, KidConvention("torch-fidelity", subset_size=50)).mean
    overlap = manifold(x, y)
    for name in ("precision", "recall", "density", "coverage"):
        assert _value(result, name) == getattr(overlap, name)
    assert _value(result, "inception_score") >= 1
    assert _value(result, "fid_infinity") == pytest.approx(_value(result, "fid"), rel=1)


def test_arrival_batches_and_shards_do_not_move_a_bit(tmp_path: Path) -> None:
    scored = _scored(_pictures(50, 0))
    plain = _result(_metric(tmp_path / "a"), scored)
    metric = _metric(tmp_path / "b")
    metric.prepare()
    shuffled = [scored[i] for i in np.random.default_rng(0).permutation(50)]
    states: list[DistributionState] = []
    for start, stop in ((0, 7), (7, 8), (8, 31), (31, 50)):
        state = metric.start()
        for one in shuffled[start:stop]:
            state = metric.update(state, [one])
        states.append(state)
    merged = metric.merge(metric.merge(states[3], states[1]), metric.merge(states[0], metric.update(states[2], [])))
    assert metric.finish(merged) == plain


def test_what_was_found_once_is_not_computed_again(tmp_path: Path) -> None:
    scored, first, second = _scored(_pictures(50, 0)), Projection(), Projection()
    before = _result(_metric(tmp_path, first), scored)
    after = _result(_metric(tmp_path, second), scored)
    assert after == before
    assert len(first.asked) == 110
    assert len(second.asked) == 50, "the reference was not needed again"


def test_another_reference_extractor_or_answer_is_another_finding(tmp_path: Path) -> None:
    drawn = _pictures(50, 0)
    found = {
        _value(_result(_metric(tmp_path), _scored(drawn)), "fid"),
        _value(_result(_metric(tmp_path, reference=_pictures(60, 2)), _scored(drawn)), "fid"),
        _value(_result(_metric(tmp_path), _scored([*drawn[:-1], *_pictures(1, 5)])), "fid"),
    }
    assert len(found) == 3
    other = Projection(fingerprint="another")
    _result(_metric(tmp_path, other), _scored(drawn))
    assert len(other.asked) == 110


def test_a_second_model_needs_the_reference_s_gaussian_and_radii_only_once(tmp_path: Path) -> None:
    _result(_metric(tmp_path), _scored(_pictures(50, 0)))
    statistics = tmp_path / "features" / "statistics"
    before = len(list(statistics.iterdir()))
    _result(_metric(tmp_path), _scored(_pictures(50, 3)))
    assert len(list(statistics.iterdir())) - before == before - 2


def test_a_damaged_finding_is_an_error_not_a_miss(tmp_path: Path) -> None:
    scored = _scored(_pictures(50, 0))
    _result(_metric(tmp_path), scored)
    for path in sorted((tmp_path / "features" / "statistics").iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CacheError, match="damaged"):
        _result(_metric(tmp_path), scored)


def test_a_finding_of_other_arrays_is_an_error_that_names_them(tmp_path: Path) -> None:
    scored = _scored(_pictures(50, 0))
    _result(_metric(tmp_path), scored)
    with FeatureCache(tmp_path / "features") as cache:
        for path in (tmp_path / "features" / "statistics").iterdir():
            cache.put_statistics(path.stem, {"other": np.ones(3)})
    with pytest.raises(CacheError, match=r"hold \['other'\].*delete the file"):
        _result(_metric(tmp_path), scored)


def test_every_estimate_names_its_protocol_with_every_choice(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path), _scored(_pictures(50, 0)))
    by_digest = {made.digest: made for made in result.protocols}
    assert len(by_digest) == len(ESTIMATES)
    for name, estimate in result.estimates.items():
        assert isinstance(estimate, Estimate)
        made = by_digest[estimate.protocol]
        fields = dict(made.fields)
        assert made.name == "torch-fidelity"
        assert fields["statistic"] == name
        assert (fields["n_generated"], fields["n_real"]) == (50, 60)
        assert (fields["captions"], fields["extractor"], fields["resize"]) == ("one a picture", "projection", "none")
        assert isinstance(fields["reference_digest"], str)
        assert estimate.n == 50
        assert estimate.higher_is_better is (name not in {"fid", "kid", "fid_infinity"})
    assert dict(by_digest[_protocol(result, "kid")].fields)["kid_subset_size"] == 50


def _protocol(result: MetricResult, name: str) -> str:
    estimate = result.estimates[name]
    assert isinstance(estimate, Estimate)
    return estimate.protocol


def test_another_reference_is_another_protocol(tmp_path: Path) -> None:
    scored = _scored(_pictures(50, 0))
    digests = [_protocol(_result(_metric(tmp_path, reference=_pictures(60, s)), scored), "fid") for s in (1, 2)]
    assert digests[0] != digests[1]


def test_fid_has_an_interval_and_each_sample_s_influence(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path), _scored(_pictures(50, 0)))
    estimate = result.estimates["fid"]
    assert isinstance(estimate, Estimate)
    assert estimate.interval is not None
    assert estimate.interval.low < estimate.value < estimate.interval.high
    assert estimate.interval.method == "delete-one jackknife"
    influence = result.per_sample["fid_influence"]
    assert list(influence) == [f"s{i:03}" for i in range(50)]
    assert sum(influence.values()) == pytest.approx(0, abs=1e-9)


def test_the_others_have_intervals_too_and_what_a_sample_adds(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path), _scored(_pictures(50, 0)))
    for name in ("kid", "precision", "recall", "density", "coverage"):
        estimate = result.estimates[name]
        assert isinstance(estimate, Estimate)
        assert estimate.interval is not None
        assert estimate.interval.low <= estimate.value <= estimate.interval.high
    for name in ("precision", "density"):
        estimate = result.estimates[name]
        assert isinstance(estimate, Estimate)
        assert np.mean(list(result.per_sample[name].values())) == pytest.approx(estimate.value)
    for name in ("kid", "recall", "coverage"):
        assert sum(result.per_sample[f"{name}_influence"].values()) == pytest.approx(0, abs=1e-9)


def test_the_curve_by_n_ends_at_the_estimate(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path), _scored(_pictures(50, 0)))
    n, last = result.series["fid_by_n"][-1]
    assert n == 50
    assert last == pytest.approx(_value(result, "fid"))
    assert [n for n, _ in result.series["fid_by_n_fit"]] == [n for n, _ in result.series["fid_by_n"]]


def _warnings(result: MetricResult, name: str) -> str:
    estimate = result.estimates[name]
    assert isinstance(estimate, Estimate)
    return "\n".join(estimate.warnings)


def test_fewer_samples_than_dimensions_are_warned_of(tmp_path: Path) -> None:
    few = _result(_metric(tmp_path), _scored(_pictures(16, 0)))
    assert "n = 16 is fewer than 17: the covariance has rank below 16 and FID is biased upwards" in _warnings(
        few, "fid"
    )
    assert "compare only at equal n" in _warnings(few, "fid")
    assert _warnings(_result(_metric(tmp_path), _scored(_pictures(17, 0))), "fid") == ""
    small = _result(_metric(tmp_path, reference=_pictures(16, 1)), _scored(_pictures(17, 0)))
    assert "the reference's n = 16" in _warnings(small, "fid")


def test_smaller_kid_subsets_are_warned_of(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path), _scored(_pictures(50, 0)))
    assert _warnings(result, "kid") == "KID drew subsets of 50, not 1000: there are no more samples"


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_pictures_are_not_enough(n: int, tmp_path: Path) -> None:
    with pytest.raises(NotEnoughSamples, match=f"not {n} and 60"):
        _result(_metric(tmp_path), _scored(_pictures(n, 0)))
    with pytest.raises(NotEnoughSamples, match=f"2 reference pictures, not {n}"):
        _metric(tmp_path, reference=_pictures(n, 1)).prepare()


def test_two_pictures_have_a_distance_and_the_others_say_what_they_lack(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path), _scored(_pictures(2, 0)))
    fid = result.estimates["fid"]
    assert isinstance(fid, Estimate)
    assert fid.interval is None
    for name in ("precision", "recall", "density", "coverage", "inception_score", "fid_infinity"):
        reason = result.estimates[name]
        assert isinstance(reason, Unavailable), name
        assert "2" in reason.reason
        assert "add" in reason.reason


def test_without_a_classifier_the_inception_score_names_the_file_that_has_it(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path, Projection(classifier=False)), _scored(_pictures(50, 0)))
    missing = result.estimates["inception_score"]
    assert isinstance(missing, Unavailable)
    assert "inception-2015-12-05-6726825d.pth" in missing.reason
    assert isinstance(result.estimates["fid"], Estimate)


def test_only_what_is_wanted_is_made(tmp_path: Path) -> None:
    result = _result(_metric(tmp_path, estimates=("fid", "recall")), _scored(_pictures(50, 0)))
    assert tuple(result.estimates) == ("fid", "recall")
    assert len(result.protocols) == 2
    with pytest.raises(UsageError, match="no estimate named 'recal'; did you mean 'recall'"):
        _metric(tmp_path, estimates=("recal",))


@pytest.mark.parametrize("parts", [(Text("no picture"),), tuple(_pictures(2, 0))])
def test_an_answer_without_exactly_one_picture_is_an_error(parts: tuple[Text | Image, ...], tmp_path: Path) -> None:
    metric = _metric(tmp_path)
    with pytest.raises(RunError, match="sample 'x' holds"):
        metric.update(metric.start(), [Scored(Sample("x", ()), Generation(parts))])


def test_a_sample_scored_twice_is_an_error(tmp_path: Path) -> None:
    scored = _scored(_pictures(5, 0))
    with pytest.raises(RunError, match="'s003' was scored more than once"):
        _result(_metric(tmp_path), [*scored, scored[3]])


def test_a_task_field_that_contradicts_the_extractor_is_refused(tmp_path: Path) -> None:
    metric = DistributionMetric(
        Workspace(cache=tmp_path), Projection(), _pictures(9, 1), "torch-fidelity", {"resize": "bicubic"}
    )
    with pytest.raises(ValueError, match="resize='bicubic' contradicts"):
        _result(metric, _scored(_pictures(9, 0)))


def test_preparing_finds_the_weights_and_the_references(tmp_path: Path) -> None:
    extractor = Projection()
    _metric(tmp_path, extractor).prepare()
    assert extractor.prepared == 1
    assert not extractor.asked
    with pytest.raises(DataError, match=r"gone\.png"):
        _metric(tmp_path, reference=[FilePicture(tmp_path / "gone.png")] * 2).prepare()


def test_the_backlog_is_the_references_without_features(tmp_path: Path) -> None:
    reference = _pictures(5, 1)
    metric = _metric(tmp_path, reference=reference)
    assert metric.backlog() == 5
    with FeatureCache(tmp_path / "features") as cache:
        names = identities(reference, cache)
        cache.put_many(names[:2], Projection().fingerprint, np.zeros((2, 16), np.float32))
    assert metric.backlog() == 3


def test_only_the_estimates_asked_for_are_made(tmp_path: Path) -> None:
    asked = _metric(tmp_path).only({"kid", "fid"})
    assert asked.names == ("fid", "kid")
    assert tuple(_result(asked, _scored(_pictures(9, 0))).estimates) == ("fid", "kid")


def test_a_named_protocol_has_its_tools_extractor(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path, offline=True)
    metric = distribution_metric(workspace, "coco-256", _pictures(3, 0), {})
    assert (metric.names, metric.estimator) == (ESTIMATES, "distribution")
    with pytest.raises(UsageError, match="no FID protocol named 'coco256'"):
        distribution_metric(workspace, "coco256", _pictures(3, 0), {})
