"""VQAScore: the mean of what a small random CLIP-FlanT5 says of each answered picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import RunError
from evalkit.features.clip_flant5 import ClipFlanT5
from evalkit.images import image_of
from evalkit.interfaces import Scored
from evalkit.metrics.pictures.scores import ScoreMetric
from evalkit.metrics.pictures.vqascore import VqaScore
from evalkit.types import Estimate, Generation, Sample, Text
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import photo_like
from tests.evalkit.features.flant5_files import model, reference_model, save

NAME = "vqascore[clip-flant5-xl]"
PROMPTS = ("a cat", 'a "quoted" dog', "a cat on the other side of a very long word")


def _prompt(scored: Scored) -> str:
    (part,) = scored.sample.parts
    assert isinstance(part, Text)
    return part.text


def test_it_is_the_mean_probability_of_yes_by_prompt_and_category(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    reference = reference_model()
    save(reference, tmp_path / "weights")
    pictures = [photo_like(seed, 30 + 7 * seed, 41) for seed in range(3)]
    expected = [reference.score(picture, prompt) for picture, prompt in zip(pictures, PROMPTS, strict=True)]
    strata = ["plain", "odd", "odd"]
    scored = [
        Scored(Sample(str(i), (Text(PROMPTS[i]),), (), (("category", strata[i]),)), Generation((image_of(picture),)))
        for i, picture in enumerate(pictures)
    ]
    metric = ScoreMetric(
        "p", {"data": "x"}, VqaScore(Workspace(cache=tmp_path / "cache"), model(tmp_path), _prompt, ("category",))
    )
    metric.prepare()
    halves = metric.merge(metric.update(metric.start(), scored[1:]), metric.update(metric.start(), scored[:1]))
    found = metric.finish(halves)
    assert found.per_sample[NAME] == pytest.approx(dict(zip("012", expected, strict=True)), rel=1e-4)
    values = {name: one.value for name, one in found.estimates.items() if isinstance(one, Estimate)}
    assert values == pytest.approx(
        {
            NAME: np.mean(expected),
            f"{NAME}[category=odd]": np.mean(expected[1:]),
            f"{NAME}[category=plain]": expected[0],
        },
        rel=1e-4,
    )
    assert found.estimates[NAME].unit == "probability"  # type: ignore[union-attr]
    assert dict(found.protocols[0].fields)["question"] == 'Does this figure show "{}"? Please answer yes or no.'


def test_an_answer_that_is_no_picture_is_an_error_that_names_the_sample(tmp_path: Path) -> None:
    score = VqaScore(Workspace(cache=tmp_path), model_that_is_not_asked(tmp_path), _prompt)
    with pytest.raises(RunError, match="sample 'a' holds 0 pictures"):
        score.tallies([Scored(Sample("a", (Text("a cat"),)), Generation((Text("a cat"),)))])


def model_that_is_not_asked(folder: Path) -> ClipFlanT5:
    return ClipFlanT5(Workspace(cache=folder, offline=True))
