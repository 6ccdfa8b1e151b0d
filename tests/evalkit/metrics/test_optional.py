"""A metric that lacks something is left out and says why; one that is asked for by name is not left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import WeightsError
from evalkit.features.encoder import encoder
from evalkit.images import image_of
from evalkit.interfaces import Scored
from evalkit.metrics.captions.jars import JarMetric, Meteor
from evalkit.metrics.means import MeanMetric, MeanState, Measure, Tally
from evalkit.metrics.optional import OptionalMetric
from evalkit.metrics.pictures.clipscore import clipscore_metrics
from evalkit.scoring import Scoring
from evalkit.types import Estimate, Generation, Sample, Text, Unavailable
from evalkit.workspace import Workspace

ANSWERED = Scored(
    Sample("1", (image_of(np.zeros((4, 4, 3), np.uint8)),), (Text("a cat"),)), Generation((Text("a cat"),))
)


def lengths(missing: Callable[[], str]) -> OptionalMetric[MeanState]:
    return OptionalMetric(MeanMetric("p", {}, [Measure("parts")], lambda _: {"parts": Tally(1.0)}), missing)


def test_with_all_at_hand_it_is_the_metric_itself() -> None:
    with Scoring([lengths(lambda: "")]) as scoring:
        scoring.add(ANSWERED)
        found = scoring.finish()[0].estimates["parts"]
    assert isinstance(found, Estimate)
    assert (found.value, found.n) == (1.0, 1)


def test_what_is_missing_stands_in_the_place_of_the_number_and_the_others_are_made() -> None:
    with Scoring([lengths(lambda: "no Java"), lengths(lambda: "")]) as scoring:
        scoring.add(ANSWERED)
        left_out, made = scoring.finish()
    assert left_out.estimates == {"parts": Unavailable("no Java")}
    assert isinstance(made.estimates["parts"], Estimate)


def test_a_reason_is_said_once_and_not_again_for_every_breakdown() -> None:
    measures = [Measure("parts", by=("kind", "size")), Measure("others")]
    metric = OptionalMetric(MeanMetric("p", {}, measures, lambda _: {"parts": Tally(1.0)}), lambda: "no Java")
    metric.prepare()
    assert metric.names == ("parts", "parts_by_kind", "parts_by_size", "others")
    assert list(metric.finish(metric.start()).estimates) == ["parts", "others"]


def test_meteor_without_java_is_left_out_or_an_error_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    metric = OptionalMetric(JarMetric(Meteor(), {}), Meteor().missing)
    metric.prepare()
    found = metric.finish(metric.update(metric.start(), [ANSWERED])).estimates["meteor"]
    assert isinstance(found, Unavailable) and "no Java" in found.reason
    with pytest.raises(WeightsError, match="meteor cannot be made: no Java"):
        metric.only(["meteor"]).prepare()


def test_clipscore_without_weights_is_left_out_or_an_error_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # other tools may have left them in the real one
    here = Workspace(cache=tmp_path / "cache", offline=True)
    clip = encoder(here, "openai-vit-l14-336")
    (plain, _) = clipscore_metrics(here, clip, "captions", {})
    metric = OptionalMetric(plain, lambda: clip.missing(texts=True))
    with Scoring([metric]) as scoring:
        scoring.add(ANSWERED)
        (found,) = scoring.finish()[0].estimates.values()
    assert isinstance(found, Unavailable)
    assert "the weights clip-openai-vit-l14-336 and clip-merges; get them with `evalkit fetch" in found.reason
    with pytest.raises(WeightsError, match=r"ViT-L-14-336px\.pt: 934,088,680 bytes"):
        metric.only(["clipscore[openai-vit-l14-336]"]).prepare()
