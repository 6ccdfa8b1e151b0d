"""METEOR through its jar equals pycocoevalcap's, and what is missing is an error that says how to get it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pycocoevalcap.meteor.meteor import Meteor as TheirMeteor

from evalkit import stats
from evalkit.errors import RunError, WeightsError
from evalkit.interfaces import Scored
from evalkit.metrics.captions.jars import JarMetric, JarScores, Meteor, _interval
from evalkit.metrics.captions.spice import Spice, spice_scores
from evalkit.types import Estimate, Generation, Sample, Text
from tests.evalkit.metrics.captions.reference import real_captions

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no Java to run METEOR with")


def real(data: Path, images: int) -> list[Scored]:
    """Each photo's last human caption against the others."""
    return [
        Scored(Sample(str(image), (), tuple(map(Text, texts[:-1]))), Generation((Text(texts[-1]),)))
        for image, texts in list(real_captions(data).items())[:images]
    ]


@needs_java
@pytest.mark.slow
def test_meteor_is_pycocoevalcap_s(shared_data: Path) -> None:
    metric = JarMetric(Meteor(), {"data": "coco"})
    metric.prepare()
    scored = real(shared_data, 40)
    left, right = metric.update(metric.start(), scored[25:]), metric.update(metric.start(), scored[:25])
    found = metric.finish(metric.merge(left, right))
    estimate = found.estimates["meteor"]
    assert isinstance(estimate, Estimate)
    truth = {
        one.sample.id: [metric.tokens(p.text) for p in one.sample.references if isinstance(p, Text)] for one in scored
    }
    said = {
        one.sample.id: [metric.tokens(p.text) for p in one.generation.parts if isinstance(p, Text)] for one in scored
    }
    theirs = TheirMeteor()
    corpus, each = theirs.compute_score(truth, said)
    theirs.meteor_p.stdin.close()
    theirs.meteor_p.stdout.close()
    theirs.meteor_p.stderr.close()
    assert estimate.value == pytest.approx(corpus, abs=1e-6)
    assert found.per_sample["meteor"] == pytest.approx(dict(zip(truth, each, strict=True)), abs=1e-6)
    assert estimate.value != pytest.approx(sum(each) / len(each), abs=1e-4), "the corpus score is no mean"


@needs_java
@pytest.mark.slow
def test_meteor_s_interval_is_of_the_scores_without_each_caption(shared_data: Path) -> None:
    metric = JarMetric(Meteor(), {})
    scored = real(shared_data, 3)
    found = metric.finish(metric.update(metric.start(), scored))
    whole = found.estimates["meteor"]
    assert isinstance(whole, Estimate) and whole.interval is not None
    without = []
    for place in range(len(scored)):  # the program itself is asked without each of them
        rest = metric.finish(metric.update(metric.start(), scored[:place] + scored[place + 1 :])).estimates["meteor"]
        assert isinstance(rest, Estimate)
        without.append(rest.value)
    expected = stats.jackknife_interval(whole.value, np.array(without))
    assert (whole.interval.low, whole.interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    influence = stats.jackknife_influence(np.array(without)).tolist()
    told = dict(zip([one.sample.id for one in scored], influence, strict=True))
    assert found.per_sample["meteor_influence"] == pytest.approx(told, abs=1e-9)


def test_captions_of_one_picture_move_together_and_those_without_a_score_not_at_all() -> None:
    known = np.array([0.1, 0.3, 0.2, 0.6])
    scores = JarScores(0.3, np.append(known, np.nan), np.append(known - 0.3, np.nan))
    clustered = _interval(scores, ["a", "a", "b", "b", "c"])
    expected = stats.mean_interval(known, ["a", "a", "b", "b"])
    assert clustered is not None
    assert (clustered.low, clustered.high) == pytest.approx((expected.low, expected.high))
    assert _interval(scores, ["a"] * 5) is None


@needs_java
def test_a_text_cannot_end_another_one_s_place() -> None:
    sample = Sample("1", (), (Text("a cat ||| a dog"), Text("a cat")))
    metric = JarMetric(Meteor(), {})
    odd = metric.finish(metric.update(metric.start(), [Scored(sample, Generation((Text("a ||| cat"),)))]))
    estimate = odd.estimates["meteor"]
    assert isinstance(estimate, Estimate) and 0 < estimate.value <= 1
    assert estimate.interval is None, "of one caption there is none"


def test_what_is_missing_is_an_error_before_anything_is_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeightsError, match="meteor cannot be made: no Java on this machine: install"):
        JarMetric(Meteor(), {}).prepare()


@needs_java
def test_spice_says_which_models_it_lacks() -> None:
    if not Spice().missing():
        pytest.skip("SPICE's models are here")
    with pytest.raises(WeightsError, match=r"stanford-corenlp-3\.6\.0-models\.jar: .*384\.5 MB, GPL-3\.0.*https://"):
        JarMetric(Spice(), {}).only(["spice"]).prepare()


def test_spice_s_mean_leaves_out_what_is_not_a_number() -> None:
    rows = ('{"image_id": "a", "scores": {"All": {"f": 0.5}}}', '{"image_id": "b", "scores": {"All": {"f": NaN}}}')
    corpus, each = spice_scores(f"[{', '.join(rows)}]", ["b", "a"])
    assert (corpus, each[1], str(each[0])) == (0.5, 0.5, "nan")
    with pytest.raises(RunError, match="something else than scores"):
        spice_scores("{}", ["a"])
