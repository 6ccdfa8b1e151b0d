"""Laws of the CM3 objective: what masking keeps, what it draws, and what it does where the original went wrong."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from cm3leon.objective import (
    Masked,
    Span,
    SpanLaw,
    Specials,
    clip,
    draw_spans,
    fit,
    infill_prompt,
    loss_positions,
    mask,
    mask_segment,
    masked_block,
    overlap,
    segments,
    span_count,
    unmask,
)

EOD, BREAK, END = 0, 1, 2
S0, S1, S2 = 3, 4, 5
SPECIALS = Specials(eod=EOD, breaks=BREAK, span_end=END, sentinels=tuple(range(3, 9)))
TOKENS = st.integers(20, 30)
LAWS = st.builds(
    SpanLaw,
    st.sampled_from(["poisson", "fixed"]),
    st.integers(0, 6),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.booleans(),
)
CLIPPED = st.builds(SpanLaw, st.just("fixed"), st.integers(0, 6), st.sampled_from([0.0, 0.5, 1.0]))


@st.composite
def documents(draw: st.DrawFn) -> list[int]:
    """Runs of tokens, some empty, with breaks between them, from one end mark to another."""
    document = [EOD]
    for run in draw(st.lists(st.lists(TOKENS, max_size=12), min_size=1, max_size=5)):
        document += [*run, BREAK]
    return [*document[:-1], EOD]


@st.composite
def documents_with_spans(draw: st.DrawFn) -> tuple[list[int], list[Span]]:
    """A document and spans anywhere in it, adjacent ones among them."""
    document = draw(documents())
    places = sorted(draw(st.sets(st.integers(0, len(document)), max_size=12)))
    spans = list(itertools.pairwise(places))
    return document, draw(st.lists(st.sampled_from(spans), unique=True, max_size=6)) if spans else []


class Scripted(random.Random):
    """Gives the uniforms it is told to."""

    def __init__(self, *uniforms: float) -> None:
        super().__init__(0)
        self._uniforms = list(uniforms)

    def random(self) -> float:
        return self._uniforms.pop(0)


def test_a_hidden_image_is_told_after_the_document() -> None:
    document = [EOD, 20, 21, BREAK, 30, 31, 32, EOD]
    masked = mask(document, [(4, 7)], SPECIALS)
    assert masked == Masked((EOD, 20, 21, BREAK, S0, EOD), (S0, 30, 31, 32, END))


def test_spans_are_told_in_order_of_their_start_each_with_its_own_mark() -> None:
    document = [EOD, 20, 21, 22, BREAK, 30, 31, EOD]
    masked = mask(document, [(5, 7), (1, 2), (2, 3)], SPECIALS)
    assert masked.source == (EOD, S0, S1, 22, BREAK, S2, EOD)
    assert masked.infill == (S0, 20, END, S1, 21, END, S2, 30, 31, END)


def test_a_question_with_a_gap_begins_the_training_sample_that_answers_it() -> None:
    question, answer, image = [EOD, 20, 21], [22, 23], [BREAK, 30, 31, EOD]
    prompt = infill_prompt(question, image, SPECIALS)
    assert prompt == [EOD, 20, 21, S0, BREAK, 30, 31, EOD, S0]
    trained = mask([*question, *answer, *image], [(3, 5)], SPECIALS)
    assert trained.ids == [*prompt, *answer, END]


@given(documents(), st.data())
def test_what_asks_for_a_span_is_what_stands_before_it_in_training(document: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(document) - 1))
    end = data.draw(st.integers(start + 1, len(document)))
    prompt = infill_prompt(document[:start], document[end:], SPECIALS)
    assert mask(document, [(start, end)], SPECIALS).ids == [*prompt, *document[start:end], END]


@given(documents())
def test_a_named_segment_is_hidden_whole(document: list[int]) -> None:
    for index, (start, end) in enumerate(segments(document, SPECIALS)):
        masked = mask_segment(document, index, SPECIALS)
        assert masked.infill == (S0, *document[start:end], END)
        assert masked.source == (*document[:start], S0, *document[end:])


@pytest.mark.parametrize("index", [-1, 2])
def test_a_segment_that_is_not_there_is_named(index: int) -> None:
    with pytest.raises(ValueError, match=f"no segment {index}; the document has 2"):
        mask_segment([EOD, 20, BREAK, 30, EOD], index, SPECIALS)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([EOD, 20, 21, BREAK, 30, EOD], [(1, 3), (4, 5)]),
        ([EOD, 20, BREAK, 30, BREAK, 21, BREAK, 31, EOD], [(1, 2), (3, 4), (5, 6), (7, 8)]),
        ([EOD, BREAK, 30, BREAK, BREAK, EOD], [(2, 3)]),
        ([EOD, 20, EOD, 21, 22, EOD], [(1, 2), (3, 5)]),
        ([20, 21, 22], [(1, 3)]),
        ([EOD, EOD], []),
        ([], []),
    ],
)
def test_segments_lie_between_breaks_and_ends(document: list[int], expected: list[Span]) -> None:
    assert segments(document, SPECIALS) == expected


@given(documents_with_spans())
def test_unmasking_gives_the_document_back(case: tuple[list[int], list[Span]]) -> None:
    document, spans = case
    assert unmask(mask(document, spans, SPECIALS).ids, SPECIALS) == document


@given(documents_with_spans())
def test_each_span_makes_a_document_three_tokens_longer(case: tuple[list[int], list[Span]]) -> None:
    document, spans = case
    masked = mask(document, spans, SPECIALS)
    hidden = sum(end - start for start, end in spans)
    assert len(masked.ids) == len(document) + 3 * len(spans)
    assert len(masked.source) == len(document) - hidden + len(spans)
    assert len(masked.infill) == hidden + 2 * len(spans)


@given(documents_with_spans())
def test_marks_stand_in_order_on_both_sides(case: tuple[list[int], list[Span]]) -> None:
    document, spans = case
    masked = mask(document, spans, SPECIALS)
    expected = list(SPECIALS.sentinels[: len(spans)])
    assert [token for token in masked.source if token in SPECIALS.sentinels] == expected
    assert [token for token in masked.infill if token in SPECIALS.sentinels] == expected
    assert masked.infill.count(END) == len(spans)
    assert masked.infill[-1:] == (END,) * bool(spans)


@given(documents_with_spans(), st.randoms(use_true_random=False))
def test_the_order_of_the_spans_given_does_not_matter(
    case: tuple[list[int], list[Span]], shuffler: random.Random
) -> None:
    document, spans = case
    shuffled = list(spans)
    shuffler.shuffle(shuffled)
    assert mask(document, shuffled, SPECIALS) == mask(document, spans, SPECIALS)


@pytest.mark.parametrize("spans", [[(2, 2)], [(3, 2)], [(1, 3), (2, 4)], [(1, 7)], [(-1, 2)]])
def test_spans_that_cannot_be_hidden_are_refused(spans: list[Span]) -> None:
    with pytest.raises(ValueError, match="is empty, overlaps another or leaves the document of 6 tokens"):
        mask([EOD, 20, 21, 22, 23, EOD], spans, SPECIALS)


def test_more_spans_than_marks_are_refused() -> None:
    with pytest.raises(ValueError, match="7 spans cannot be marked by 6 sentinels"):
        mask([20] * 9, [(i, i + 1) for i in range(7)], SPECIALS)


@pytest.mark.parametrize("token", [END, S0, SPECIALS.sentinels[-1]])
def test_a_document_that_holds_marks_already_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match=f"token 2 is {token}, a sentinel or <eoss>"):
        mask([EOD, 20, token, EOD], [], SPECIALS)
    with pytest.raises(ValueError, match=f"token 1 is {token}"):
        infill_prompt([EOD, token], [], SPECIALS)
    with pytest.raises(ValueError, match=f"token 0 is {token}"):
        infill_prompt([EOD], [token], SPECIALS)


@given(documents(), LAWS, st.integers())
def test_drawn_spans_are_in_order_apart_and_not_empty(document: list[int], law: SpanLaw, seed: int) -> None:
    spans = draw_spans(document, SPECIALS, law, random.Random(seed))
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(start < end for start, end in spans)
    assert not spans or (spans[0][0] >= 1 and spans[-1][1] <= len(document))
    assert len(spans) <= len(SPECIALS.sentinels)


@given(documents(), CLIPPED, st.integers())
def test_no_drawn_span_holds_a_break_or_an_end(document: list[int], law: SpanLaw, seed: int) -> None:
    for start, end in draw_spans(document, SPECIALS, law, random.Random(seed)):
        assert not {BREAK, EOD} & set(document[start:end])


@given(documents(), LAWS, st.integers())
def test_what_was_drawn_and_masked_can_be_unmasked(document: list[int], law: SpanLaw, seed: int) -> None:
    masked = masked_block(document, SPECIALS, law, 1000, random.Random(seed))
    assert unmask(masked.ids, SPECIALS) == document


@given(documents(), LAWS, st.integers(), st.integers(2, 40))
def test_equal_generators_draw_equal_samples(document: list[int], law: SpanLaw, seed: int, size: int) -> None:
    drawn = [masked_block(document, SPECIALS, law, size, random.Random(seed)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0].ids) <= size


def test_other_seeds_draw_other_spans() -> None:
    document = [EOD, *[20] * 50, BREAK, *[30] * 50, EOD]
    law = SpanLaw("fixed", 3)
    assert len({draw_spans(document, SPECIALS, law, random.Random(seed)) for seed in range(20)}) > 15


def slow_spans(uniforms: Sequence[float], count: int, document: Sequence[int]) -> tuple[Span, ...]:
    """The spans of a law of `count` clipped ones: candidates as sets of places, each then cut to one segment."""
    length, taken, kept = len(document), set[int](), list[set[int]]()
    for low, high in (sorted(uniforms[i : i + 2]) for i in range(0, 2 * count * count, 2)):
        places = set(range(max(1, int(np.floor(low * length))), int(np.floor(high * length + 0.5))))
        if places and not places & taken and len(kept) < count:
            taken |= places
            kept.append(places)
    label = np.cumsum([token in (EOD, BREAK) for token in document])
    spans = []
    for places in kept:
        counts = Counter(label[place] for place in sorted(places) if document[place] not in (EOD, BREAK))
        if counts:
            segment = counts.most_common(1)[0][0]
            inside = [place for place in places if label[place] == segment and document[place] not in (EOD, BREAK)]
            spans.append((min(inside), max(inside) + 1))
    return tuple(sorted(spans))


@given(documents(), st.integers(1, 4), st.data())
def test_spans_are_those_of_a_slow_transcription(document: list[int], count: int, data: st.DataObject) -> None:
    number = 2 * count * count
    uniforms = data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=number, max_size=number))
    drawn = draw_spans(document, SPECIALS, SpanLaw("fixed", count), Scripted(0.5, *uniforms))
    assert drawn == slow_spans(uniforms, count, document)


@pytest.mark.parametrize(("mean", "most"), [(0.5, 5), (1, 5), (1, 1), (3, 5), (10, 5), (900, 5), (1, 0)])
def test_span_counts_follow_a_clamped_poisson(mean: float, most: int) -> None:
    specials = Specials(EOD, BREAK, END, tuple(range(3, 4 + most)))
    rng, draws = random.Random(0), 4000
    counts = Counter(span_count(SpanLaw("poisson", mean), specials, rng) for _ in range(draws))
    shares = scipy.stats.poisson.pmf(np.arange(most + 1), mean)
    shares[most] = scipy.stats.poisson.sf(most - 1, mean)
    seen = np.array([counts[i] for i in range(most + 1)])
    assert seen.sum() == draws
    likely = shares * draws > 1e-3
    assert not seen[~likely].any()
    distance = ((seen - shares * draws)[likely] ** 2 / (shares * draws)[likely]).sum()
    assert distance <= scipy.stats.chi2.ppf(0.99, max(1, likely.sum() - 1))


def test_a_fixed_count_is_what_is_looked_for() -> None:
    rng = random.Random(0)
    assert {span_count(SpanLaw("fixed", n), SPECIALS, rng) for n in (0, 1, 6)} == {0, 1, 6}
    with pytest.raises(ValueError, match="7 spans cannot be marked by 6 sentinels"):
        span_count(SpanLaw("fixed", 7), SPECIALS, rng)


def test_single_spans_hide_a_third_of_a_long_document() -> None:
    document, rng = [EOD, *[20] * 2000], random.Random(0)
    law = SpanLaw("fixed", 1, across_eod=True)
    shares = [(end - start) / 2000 for _ in range(3000) for start, end in draw_spans(document, SPECIALS, law, rng)]
    # |u - v| of two uniforms is triangular
    assert scipy.stats.kstest(shares, scipy.stats.triang(c=0).cdf).pvalue > 0.01


def test_rotation_hides_any_whole_segment_alike() -> None:
    document = [EOD, 20, 21, 22, BREAK, 30, BREAK, 31, 32, EOD]
    rng, law = random.Random(0), SpanLaw("fixed", 1, whole_segments=1.0)
    counts = Counter(draw_spans(document, SPECIALS, law, rng) for _ in range(3000))
    assert set(counts) == {(span,) for span in segments(document, SPECIALS)}
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 0.01


def test_rotation_hides_the_only_segment_too() -> None:
    law = SpanLaw("fixed", 1, whole_segments=1.0)
    assert draw_spans([EOD, *[20] * 50, EOD], SPECIALS, law, random.Random(0)) == ((1, 51),)


def test_rotation_happens_as_often_as_asked() -> None:
    document = [EOD, *[20] * 100, BREAK, *[30] * 100, EOD]
    rng, law = random.Random(0), SpanLaw("fixed", 1, whole_segments=0.3)
    whole = {(span,) for span in segments(document, SPECIALS)}
    rotated = sum(draw_spans(document, SPECIALS, law, rng) in whole for _ in range(3000))
    # clipping makes some random spans whole too: a third of 1 / 4 at most
    assert 0.28 < rotated / 3000 < 0.3 + 0.7 / 4


def test_rotation_of_several_leaves_a_segment_in_sight() -> None:
    document = [EOD, 20, 21, BREAK, 30, 31, BREAK, 22, 23, EOD]
    rng = random.Random(0)
    whole = set(segments(document, SPECIALS))
    for _ in range(50):
        two = draw_spans(document, SPECIALS, SpanLaw("fixed", 2, whole_segments=1.0), rng)
        assert len(two) == 2
        assert set(two) < whole
    three = [draw_spans(document, SPECIALS, SpanLaw("fixed", 3, whole_segments=1.0), rng) for _ in range(50)]
    assert any(set(spans) - whole for spans in three)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("seed", range(20))
def test_fault_of_the_original_one_break_is_two_segments(count: int, seed: int) -> None:
    document = [EOD, 20, 21, 22, BREAK, 30, 31, 32, EOD]
    for share in (0.0, 1.0):
        spans = draw_spans(document, SPECIALS, SpanLaw("fixed", count, share), random.Random(seed))
        assert unmask(mask(document, spans, SPECIALS).ids, SPECIALS) == document


def test_fault_of_the_original_an_empty_candidate_hides_nothing() -> None:
    document = [EOD, *range(20, 29)]
    script = Scripted(0.5, 0.31, 0.34, 0.31, 0.33, 0.31, 0.59, 0.0, 0.0)
    assert draw_spans(document, SPECIALS, SpanLaw("fixed", 2), script) == ((3, 6),)


def test_fault_of_the_original_a_span_wholly_on_breaks_is_dropped() -> None:
    document = [EOD, 20, 21, BREAK, BREAK, 30, 31, 32, 33, EOD]
    assert draw_spans(document, SPECIALS, SpanLaw("fixed", 1), Scripted(0.5, 0.3, 0.5)) == ()
    across = SpanLaw("fixed", 1, across_eod=True)
    assert draw_spans(document, SPECIALS, across, Scripted(0.5, 0.3, 0.5)) == ((3, 5),)


def test_fault_of_the_original_an_end_before_the_start_is_no_span() -> None:
    assert draw_spans([EOD, 20, 21, EOD], SPECIALS, SpanLaw("fixed", 1), Scripted(0.5, 0.01, 0.02)) == ()


def test_fault_of_the_original_the_closing_end_is_not_hidden_with_the_last_segment() -> None:
    document = [EOD, 20, BREAK, 30, 31, EOD]
    assert mask_segment(document, 1, SPECIALS).source == (EOD, 20, BREAK, S0, EOD)


@pytest.mark.parametrize(
    ("span", "expected"),
    [((1, 3), (1, 3)), ((2, 8), (5, 8)), ((2, 7), (2, 4)), ((4, 5), None), ((0, 20), (10, 15)), ((3, 5), (3, 4))],
)
def test_a_span_is_clipped_to_the_segment_it_overlaps_most(span: Span, expected: Span | None) -> None:
    assert clip(span, [(1, 4), (5, 9), (10, 15)]) == expected
    assert clip(span, []) is None


@given(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_overlap_counts_shared_tokens(left: Span, right: Span) -> None:
    assert overlap(left, right) == len(set(range(*left)) & set(range(*right)))


@given(documents(), LAWS, st.integers(), st.integers(2, 60))
def test_a_block_is_not_exceeded_and_every_lost_token_is_counted(
    document: list[int], law: SpanLaw, seed: int, size: int
) -> None:
    rng = random.Random(seed)
    whole = mask(document, draw_spans(document, SPECIALS, law, rng), SPECIALS)
    fitted = fit(whole, size)
    assert len(fitted.ids) == min(size, len(whole.ids))
    assert fitted.source + whole.source[len(whole.source) - fitted.source_cut :] == whole.source
    assert fitted.infill + whole.infill[len(whole.infill) - fitted.infill_cut :] == whole.infill
    assert len(fitted.source) >= 1
    assert fitted.infill_cut == 0 or len(fitted.source) == 1
    assert fit(fitted, size) == fitted


def test_the_source_gives_way_before_the_infill() -> None:
    masked = mask([EOD, 20, 21, 22, BREAK, 30, 31, EOD], [(5, 7)], SPECIALS)
    assert fit(masked, 9) == Masked((EOD, 20, 21, 22, BREAK), (S0, 30, 31, END), source_cut=2)
    assert fit(masked, 5) == Masked((EOD,), (S0, 30, 31, END), source_cut=6)
    assert fit(masked, 3) == Masked((EOD,), (S0, 30), source_cut=6, infill_cut=2)
    assert fit(fit(masked, 9), 3) == fit(masked, 3)


def test_a_document_without_spans_is_cut_at_its_end() -> None:
    assert fit(Masked((EOD, 20, 21, EOD)), 3) == Masked((EOD, 20, 21), source_cut=1)


def test_a_block_with_nothing_to_predict_is_refused() -> None:
    with pytest.raises(ValueError, match="block of 1 tokens"):
        fit(Masked((EOD, 20)), 1)


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        ([EOD, S0, 21, EOD], "sentinel 0 occurs 1 times"),
        ([EOD, S0, 21, S0, 20], "infill 0 has no <eoss>"),
        ([EOD, S0, 21, S0, 20, END, 22], "infill 1 begins with 22"),
        ([EOD, S0, S0, 20, END, S1, 21, END], "the source has 1 sentinels for 2 infills"),
        ([EOD, S0, S1, S0, 20, END], "sentinel 1 is out of order or has no infill"),
        ([EOD, S1, S0, S0, 20, END, S1, 21, END], "sentinel 1 is out of order"),
        ([EOD, 20, END], "sentinel 0 occurs 0 times"),
        ([EOD, S1, 20], "sentinel 0 occurs 0 times"),
        ([S0, S0, 20, END, S0], "sentinel 0 occurs 3 times"),
    ],
)
def test_ids_that_no_masking_made_are_not_unmasked(ids: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        unmask(ids, SPECIALS)


@given(documents_with_spans(), st.integers(0, 5), st.booleans())
def test_everything_is_predicted_but_padding_and_where_asked_the_gaps(
    case: tuple[list[int], list[Span]], padding: int, source_sentinels: bool
) -> None:
    document, spans = case
    masked = mask(document, spans, SPECIALS)
    length = len(masked.ids) + padding
    counted = loss_positions(masked, SPECIALS, length, source_sentinels=source_sentinels)
    assert len(counted) == length - 1
    for target, counts in enumerate(counted, start=1):
        padded = target >= len(masked.ids)
        gap = target < len(masked.source) and masked.source[target] in SPECIALS.sentinels
        assert counts == (not padded and (source_sentinels or not gap))


def test_the_gaps_are_left_out_and_their_marks_in_the_infill_are_not() -> None:
    masked = mask([EOD, 20, 21, EOD], [(2, 3)], SPECIALS)
    counted = loss_positions(masked, SPECIALS, 9, source_sentinels=False)
    #        20    s0     eod   s0    21    eoss  padding
    assert counted == [True, False, True, True, True, True, False, False]
    assert loss_positions(masked, SPECIALS) == [True] * 6
    with pytest.raises(ValueError, match="7 tokens are more than a row of 6"):
        loss_positions(masked, SPECIALS, 6)


@pytest.mark.parametrize("sentinels", [(), (3, 3), (0,), (-1,)])
def test_special_ids_are_different_and_there_is_a_sentinel(sentinels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"no sentinel|special ids must be different"):
        Specials(EOD, BREAK, END, sentinels)


@pytest.mark.parametrize(
    ("spans", "whole", "name"),
    [(-1.0, 0.0, "spans"), (float("nan"), 0.0, "spans"), (1.5, 0.0, "spans"), (1.0, 1.5, "whole_segments")],
)
def test_a_law_out_of_range_is_refused(spans: float, whole: float, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is"):
        SpanLaw("fixed", spans, whole)
