"""METEOR through its jar equals pycocoevalcap's, and what is missing is an error that says how to get it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pycocoevalcap.meteor.meteor import Meteor as TheirMeteor

from evalkit.errors import RunError, WeightsError
from evalkit.interfaces import Scored
from evalkit.metrics.captions.jars import JarMetric, Meteor, Spice, spice_scores
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
def test_a_text_cannot_end_another_one_s_place() -> None:
    sample = Sample("1", (), (Text("a cat ||| a dog"), Text("a cat")))
    metric = JarMetric(Meteor(), {})
    odd = metric.finish(metric.update(metric.start(), [Scored(sample, Generation((Text("a ||| cat"),)))]))
    estimate = odd.estimates["meteor"]
    assert isinstance(estimate, Estimate) and 0 < estimate.value <= 1


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
