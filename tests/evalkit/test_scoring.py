"""Laws of scoring beside generating: it never falls behind without end, and says what runs without a weight."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from evalkit.errors import UsageError, WeightsError
from evalkit.features.encoder import encoder
from evalkit.interfaces import AnyMetric, Scored
from evalkit.metrics.means import MeanMetric, Measure, Tally
from evalkit.metrics.optional import OptionalMetric
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.similarity import TextSimilarity
from evalkit.scoring import CHUNK, WAITING, Scoring
from evalkit.types import Generation, Sample
from evalkit.workspace import Workspace
from tests.fakes import MeanBrightness


class Held(MeanBrightness):
    """A metric that scores nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def update(self, state: dict[str, float], scored: Sequence[Scored]) -> dict[str, float]:
        self.go.wait(30)
        return state | {item.sample.id: 0.0 for item in scored}


def test_generating_waits_where_scoring_falls_behind() -> None:
    metric, added = Held(), []
    with Scoring([metric]) as scoring:

        def add() -> None:
            for number in range(2 * WAITING * CHUNK):
                scoring.add(Scored(Sample(str(number), ()), Generation(())))
                added.append(number)

        thread = threading.Thread(target=add)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert len(added) <= (WAITING + 1) * CHUNK
        metric.go.set()
        thread.join(30)
        (result,) = scoring.finish()
    assert len(result.per_sample["brightness"]) == 2 * WAITING * CHUNK


class WithoutItsPackage(MeanBrightness):
    """A metric that lacks something else than weights."""

    names: tuple[str, ...] = ("unpacked",)

    def only(self, names: object) -> MeanBrightness:
        return self

    def prepare(self) -> None:
        raise UsageError("the package is not installed")


def clip(folder: Path, backbone: str, label: str) -> ScoreMetric:
    here = Workspace(cache=folder / "cache", offline=True)
    return ScoreMetric("p", {}, TextSimilarity(here, encoder(here, backbone), label, lambda _: "a cat"))


def lengths(name: str) -> MeanMetric:
    return MeanMetric("p", {}, [Measure(name)], lambda _: {name: Tally(1.0)})


def test_only_what_runs_without_a_missing_weight_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # other tools may have left weights in the real one
    same, other = clip(tmp_path, "openai-vit-b32", "clipscore"), clip(tmp_path, "openai-vit-l14", "clip_i")
    first = clip(tmp_path, "openai-vit-b32", "clip_t")
    metrics: list[AnyMetric] = [
        lengths("before"),
        first,
        same,
        OptionalMetric(other, lambda: "not on this machine"),
        OptionalMetric(lengths("optional"), lambda: ""),
        WithoutItsPackage(),
        lengths("after"),
    ]
    with pytest.raises(WeightsError, match=r"clip_t\[openai-vit-b32\]: .*") as raised, Scoring(metrics):
        raise AssertionError("nothing may be generated")
    assert str(raised.value).splitlines()[-1] == "Without it: --metrics 'before,optional,after'"
    with pytest.raises(WeightsError) as alone, Scoring([first, same]):
        raise AssertionError("nothing may be generated")
    assert "Without it" not in str(alone.value)


def test_nothing_is_fetched_for_the_offer_of_an_optional_metric(tmp_path: Path) -> None:
    class Fetching(MeanBrightness):
        def prepare(self) -> None:
            raise AssertionError("it would have been fetched")

    metrics: list[AnyMetric] = [clip(tmp_path, "openai-vit-b16", "clip_t"), OptionalMetric(Fetching(), lambda: "no")]
    with pytest.raises(WeightsError, match=r"ViT-B-16\.pt"), Scoring(metrics):
        raise AssertionError("nothing may be generated")
