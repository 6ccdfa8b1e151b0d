"""The caption metric: its laws as a `Metric`, its protocol, and its refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import DataError, NotEnoughSamples, RunError, UsageError
from evalkit.interfaces import AnyMetric, MetricResult, Scored
from evalkit.metrics.captions.coco_caption import ESTIMATES, CaptionMetric
from evalkit.protocols import differences
from evalkit.types import Estimate, Generation, Sample, Text
from tests.evalkit.metrics.captions.reference import coco_scores, real_captions, real_corpus

TOY = [
    ("A cat sits on a mat.", ["The cat sat on the mat.", "A cat on a mat."]),
    ("Two dogs run.", ["Two dogs are running in a park.", "Dogs run, quickly!"]),
    ("A man (left) can't ride.", ["A man can't ride the horse."]),
    ("", ["An empty street."]),
]


def scored(said: str, people: Sequence[str], name: str, cluster: str = "") -> Scored:
    sample = Sample(name, (), tuple(Text(text) for text in people), cluster=cluster)
    return Scored(sample, Generation((Text(said),)))


def toy() -> list[Scored]:
    return [scored(said, people, f"image-{number}") for number, (said, people) in enumerate(TOY)]


def found(metric: AnyMetric, *shards: Sequence[Scored]) -> MetricResult:
    metric.prepare()
    state = metric.start()
    for shard in shards:
        state = metric.merge(state, metric.update(metric.start(), shard))
    return metric.finish(state)


def estimate(result: MetricResult, name: str) -> Estimate:
    made = result.estimates[name]
    assert isinstance(made, Estimate)
    return made


@settings(deadline=None, max_examples=15)
@given(st.permutations(range(len(TOY))), st.integers(0, len(TOY)))
def test_order_and_shards_change_no_bit(order: Sequence[int], cut: int) -> None:
    samples = [toy()[i] for i in order]
    metric = CaptionMetric({})
    assert found(metric, samples[:cut], samples[cut:]) == found(CaptionMetric({}), toy())


def test_scores_are_those_of_coco_caption_on_raw_captions(shared_data: Path) -> None:
    raw = list(real_captions(shared_data).items())[:200]
    result = found(CaptionMetric({}), [scored(texts[-1], texts[:-1], f"{image:012}") for image, texts in raw])
    tokenised = real_corpus(shared_data, 200)
    bleu, rouge, cider = (coco_scores(name, *tokenised)[0] for name in ("bleu", "rouge", "cider"))
    expected = dict(
        zip(("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"), (*bleu, *rouge, *cider), strict=True)
    )
    for name, value in expected.items():
        assert estimate(result, name).value == pytest.approx(value, abs=1e-9)
        interval = estimate(result, name).interval
        assert interval is not None
        assert interval.low < value < interval.high


def test_metric_is_a_corpus_metric_of_these_names() -> None:
    metric: AnyMetric = CaptionMetric({})
    assert metric.estimator == "corpus"
    assert metric.names == ESTIMATES
    assert metric.backlog() == 0
    assert tuple(found(metric, toy()).estimates) == ESTIMATES


def test_only_makes_what_was_asked_with_the_same_numbers() -> None:
    whole = found(CaptionMetric({}), toy())
    some = found(CaptionMetric({}).only(["bleu_4", "cider"]), toy())
    assert dict(some.estimates) == {name: whole.estimates[name] for name in ("cider", "bleu_4")}
    assert "rouge_l" not in some.per_sample


def test_each_protocol_stands_on_its_estimate_and_says_what_was_scored() -> None:
    result = found(CaptionMetric({"split": "val2017"}), toy())
    made = {dict(one.fields)["statistic"]: one for one in result.protocols}
    assert {name: one.digest for name, one in made.items()} == {
        name: estimate(result, name).protocol for name in ESTIMATES
    }
    fields = dict(made["cider"].fields)
    assert made["cider"].name == "coco-caption"
    assert (fields["tokeniser"], fields["n_images"], fields["split"]) == ("ptb-3.4.1", 4, "val2017")


def test_cider_of_other_images_is_another_protocol() -> None:
    whole, part = found(CaptionMetric({}), toy()), found(CaptionMetric({}), toy()[:3])
    fields = set(differences(whole.protocols[0], part.protocols[0]))
    assert fields == {"n_images", "references_digest", "document_frequency_digest"}


def test_other_captions_of_the_same_images_are_the_same_protocol() -> None:
    others = [
        scored("something else", [part.text for part in one.sample.references if isinstance(part, Text)], one.sample.id)
        for one in toy()
    ]
    assert found(CaptionMetric({}), others).protocols == found(CaptionMetric({}), toy()).protocols


def test_counts_per_image_add_up_to_the_length_of_the_corpus() -> None:
    result = found(CaptionMetric({}), toy())
    assert sum(result.per_sample["bleu_length"].values()) == 6 + 3 + 8 + 0
    assert result.per_sample["cider"].keys() == {one.sample.id for one in toy()}


def test_empty_captions_count_and_are_told() -> None:
    result = found(CaptionMetric({}), toy())
    assert estimate(result, "rouge_l").n == 4
    assert estimate(result, "rouge_l").warnings == ("1 of 4 captions have no word; they count as they are",)


def test_cider_of_one_image_is_zero_with_a_warning() -> None:
    result = found(CaptionMetric({}), toy()[:1])
    assert estimate(result, "cider").value == 0
    assert "whatever the caption" in estimate(result, "cider").warnings[0]
    assert estimate(result, "cider").interval is None
    assert estimate(result, "bleu_1").interval is None


def test_captions_of_one_picture_are_drawn_together() -> None:
    apart = [scored(one.generation.parts[0].text, ["a cat", "two dogs"], str(i)) for i, one in enumerate(toy() * 3)]  # type: ignore[union-attr]
    together = [
        Scored(Sample(o.sample.id, (), o.sample.references, cluster=f"{i % 4}"), o.generation)
        for i, o in enumerate(apart)
    ]
    narrow, wide = (estimate(found(CaptionMetric({}), samples), "bleu_1").interval for samples in (apart, together))
    assert narrow is not None
    assert wide is not None
    assert wide.high - wide.low > narrow.high - narrow.low


def test_no_captions_are_not_enough() -> None:
    with pytest.raises(NotEnoughSamples, match="no caption to score"):
        found(CaptionMetric({}))


def test_sample_scored_twice_is_an_error() -> None:
    with pytest.raises(RunError, match="'image-0' was scored more than once"):
        found(CaptionMetric({}), toy(), toy()[:1])


def test_sample_without_reference_is_named() -> None:
    with pytest.raises(DataError, match="sample 'lonely' has no reference caption"):
        found(CaptionMetric({}), [scored("a cat", [], "lonely")])


def test_answer_of_two_texts_is_an_error() -> None:
    twice = Scored(Sample("double", (), (Text("a"),)), Generation((Text("a"), Text("b"))))
    with pytest.raises(RunError, match="sample 'double' holds 2 texts"):
        found(CaptionMetric({}), [twice])


def test_unknown_estimate_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'cider'"):
        CaptionMetric({}).only(["ciderr"])


def test_field_of_the_task_cannot_hide_one_of_the_metric() -> None:
    with pytest.raises(ValueError, match="n_images"):
        found(CaptionMetric({"n_images": 3}), toy())
