"""The CM3 objective: spans of a document are cut out, marked by sentinels, and written after its end.

A document `[eod] A dog . [break] (image) [eod]` whose image is hidden becomes

    [eod] A dog . [break] <s0> [eod]   <s0> (image) <eoss>
    |---------- source -----------|    |----- infill ----|

so that a model that only ever predicts the next token learns to fill a gap from both of its sides. At inference a gap
is asked for by the source and the first token of the infill: `Question: ... <mask> [break] (image) <infill>`.

All functions are pure, on token ids; whatever is drawn comes from the `random.Random` that is passed in.

Source: Aghajanyan et al. 2022, arXiv:2201.07520 (CM3); Yu et al. 2023, arXiv:2309.02591 (CM3leon); the training code,
facebookresearch/metaseq `metaseq/data/cm3_dataset.py` at d3c5809f, called "the original" below. Where this differs:

- A document with one break: the original takes its place for a list and stops. Here it has two segments.
- An empty candidate, among several, overwrote a token that no infill gave back. Here it is passed over.
- A span wholly on breaks overlapped no segment, so it was not clipped and hid the breaks. Here it is dropped.
- One span that rounds to an end before its start stopped the original. Here it is an empty one.
- An infill longer than the block by more than the source cut the source from the wrong side. Here see `fit`.
- Segments end at [eod] as they end at [break]; the original hid the closing [eod] with the last segment.
- The first token is never hidden, with `across_eod` too: something must stand before the first prediction.
- Several candidates are rounded as a single one is: start down, end to the nearest token.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Span = tuple[int, int]
"""Tokens `start` to `end` of a document, `end` not among them."""


@dataclass(frozen=True, slots=True)
class Specials:
    """The ids that the objective writes or looks for, all different.

    `breaks` stands between text and image, `eod` at both ends of a document, sentinel i in the place of span i and
    before its tokens, `span_end` (<eoss>) after them.

    Raises:
        ValueError: two ids are equal, one is negative, or there is no sentinel.
    """

    eod: int
    breaks: int
    span_end: int
    sentinels: tuple[int, ...]

    def __post_init__(self) -> None:
        ids = (self.eod, self.breaks, self.span_end, *self.sentinels)
        if not self.sentinels:
            raise ValueError("there is no sentinel; masking needs at least one")
        if len(set(ids)) < len(ids) or min(ids) < 0:
            raise ValueError(f"special ids must be different and not negative, these are {ids}")


@dataclass(frozen=True, slots=True)
class SpanLaw:
    """How many spans are hidden, and which.

    `count` is "poisson", of mean `spans` and at most one less than there are sentinels, or "fixed" at `spans`.
    `whole_segments` is the probability that spans are whole segments ("full-document rotation"). Spans are clipped to
    one segment each unless `across_eod` holds.

    Raises:
        ValueError: a number is out of its range.
    """

    count: Literal["poisson", "fixed"] = "poisson"
    spans: float = 1.0
    whole_segments: float = 0.0
    across_eod: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.spans) and self.spans >= 0):
            raise ValueError(f"spans is {self.spans}; a number of spans is finite and not negative")
        if self.count == "fixed" and self.spans != int(self.spans):
            raise ValueError(f"spans is {self.spans}; a fixed number of spans is whole")
        if not 0 <= self.whole_segments <= 1:
            raise ValueError(f"whole_segments is {self.whole_segments}; a probability lies in [0, 1]")


@dataclass(frozen=True, slots=True)
class Masked:
    """A document after masking: the source with sentinels, then the infill; and how much `fit` cut from either's end.

    A document of which nothing is hidden has an empty infill.
    """

    source: tuple[int, ...]
    infill: tuple[int, ...] = ()
    source_cut: int = 0
    infill_cut: int = 0

    @property
    def ids(self) -> list[int]:
        """The tokens to train on."""
        return [*self.source, *self.infill]


def segments(document: Sequence[int], specials: Specials) -> list[Span]:
    """Return the runs of tokens between breaks and document ends, in order; empty runs and the first token left out.

    >>> segments([0, 7, 7, 1, 8, 8, 8, 0], Specials(eod=0, breaks=1, span_end=2, sentinels=(3,)))
    [(1, 3), (4, 7)]
    """
    edges = [0, *(i for i in range(1, len(document)) if document[i] in (specials.breaks, specials.eod))]
    ends = [*edges[1:], len(document)]
    return [(edge + 1, end) for edge, end in zip(edges, ends, strict=True) if edge + 1 < end]


def span_count(law: SpanLaw, specials: Specials, rng: random.Random) -> int:
    """Return how many spans to look for.

    Raises:
        ValueError: a fixed number is more than there are sentinels.
    """
    most = len(specials.sentinels)
    if law.count == "poisson":
        return _clamped_poisson(law.spans, most - 1, rng)
    if law.spans > most:
        raise ValueError(f"{law.spans:.0f} spans cannot be marked by {most} sentinels; add sentinels")
    return int(law.spans)


def _clamped_poisson(mean: float, most: int, rng: random.Random) -> int:
    uniform = rng.random()
    count, share = 0, math.exp(-mean)
    cumulative = share
    while cumulative <= uniform and count < most:
        count += 1
        share *= mean / count
        cumulative += share
    return count


def draw_spans(document: Sequence[int], specials: Specials, law: SpanLaw, rng: random.Random) -> tuple[Span, ...]:
    """Return the spans to hide, in order of start, none empty, no two overlapping.

    Of n spans to look for, there are n^2 candidates, each between two uniform places of the document; those that
    overlap no earlier one are kept, up to n. Or, with probability `law.whole_segments`, they are n whole segments: any
    for n = 1, and for more where at least one segment stays in sight. There can be fewer than n, or none.

    Raises:
        ValueError: a fixed number of spans is more than there are sentinels.
    """
    count = span_count(law, specials, rng)
    if count == 0:
        return ()
    whole = segments(document, specials)
    rotated = rng.random() < law.whole_segments
    if rotated and whole and (count == 1 or count < len(whole)):
        return tuple(sorted(rng.sample(whole, count)))
    spans = _apart((_candidate(len(document), rng) for _ in range(count**2)), count)
    if not law.across_eod:
        clipped = (clip(span, whole) for span in spans)
        spans = [span for span in clipped if span is not None]
    return tuple(sorted(spans))


def _candidate(length: int, rng: random.Random) -> Span:
    start, end = sorted((rng.random(), rng.random()))
    return max(1, int(start * length)), int(end * length + 0.5)


def _apart(candidates: Iterable[Span], count: int) -> list[Span]:
    kept: list[Span] = []
    for candidate in candidates:
        if len(kept) < count and candidate[0] < candidate[1] and not any(overlap(candidate, span) for span in kept):
            kept.append(candidate)
    return kept


def overlap(left: Span, right: Span) -> int:
    """Return how many tokens two spans share."""
    return max(0, min(left[1], right[1]) - max(left[0], right[0]))


def clip(span: Span, within: Sequence[Span]) -> Span | None:
    """Return the part of `span` that lies in the segment it overlaps most, the first of equals; None if in no segment.

    >>> clip((2, 8), [(1, 4), (5, 9)])
    (5, 8)
    """
    most = max(within, key=lambda segment: overlap(span, segment), default=None)
    if most is None or overlap(span, most) == 0:
        return None
    return max(span[0], most[0]), min(span[1], most[1])


def mask(document: Sequence[int], spans: Sequence[Span], specials: Specials) -> Masked:
    """Return `document` with the spans hidden: 3 tokens a span longer than it was.

    Sentinel i takes the place of span i, counted by start. The infill holds, span by span, sentinel i, the span's
    tokens, <eoss>.

    Raises:
        ValueError: a span is empty, outside the document or overlaps another, there are more spans than sentinels, or
            the document holds a sentinel or <eoss> already, so that it could not be told from its own masking.

    >>> specials = Specials(eod=0, breaks=1, span_end=2, sentinels=(3, 4))
    >>> mask([0, 7, 8, 1, 9, 0], [(1, 3)], specials).ids
    [0, 3, 1, 9, 0, 3, 7, 8, 2]
    """
    spans = sorted(spans)
    _check(document, spans, specials)
    source: list[int] = []
    infill: list[int] = []
    done = 0
    for sentinel, (start, end) in zip(specials.sentinels, spans, strict=False):
        source += [*document[done:start], sentinel]
        infill += [sentinel, *document[start:end], specials.span_end]
        done = end
    return Masked((*source, *document[done:]), tuple(infill))


def _check(document: Sequence[int], spans: Sequence[Span], specials: Specials) -> None:
    if len(spans) > len(specials.sentinels):
        raise ValueError(f"{len(spans)} spans cannot be marked by {len(specials.sentinels)} sentinels; add sentinels")
    done = 0
    for start, end in spans:
        if not done <= start < end <= len(document):
            raise ValueError(
                f"span ({start}, {end}) is empty, overlaps another or leaves the document of {len(document)} tokens"
            )
        done = end
    _check_free(document, specials)


def _check_free(tokens: Sequence[int], specials: Specials) -> None:
    written = {specials.span_end, *specials.sentinels}
    if not written.isdisjoint(tokens):
        place = next(i for i, token in enumerate(tokens) if token in written)
        raise ValueError(f"token {place} is {tokens[place]}, a sentinel or <eoss>; mask documents that hold none")


def mask_segment(document: Sequence[int], index: int, specials: Specials) -> Masked:
    """Return `document` with its segment number `index`, as `segments` counts them from 0, hidden whole.

    Raises:
        ValueError: there is no such segment, or `mask` cannot take the document.
    """
    whole = segments(document, specials)
    if not 0 <= index < len(whole):
        raise ValueError(f"there is no segment {index}; the document has {len(whole)}, counted from 0")
    return mask(document, [whole[index]], specials)


def infill_prompt(before: Sequence[int], after: Sequence[int], specials: Specials) -> list[int]:
    """Return what asks a model for the tokens between `before` and `after`: it writes them, then <eoss>.

    It is what `mask` makes of the whole document up to the first hidden token: `before <mask> after <infill>`.

    Raises:
        ValueError: `before` or `after` holds a sentinel or <eoss>.
    """
    _check_free(before, specials)
    _check_free(after, specials)
    mark = specials.sentinels[0]
    return [*before, mark, *after, mark]


def fit(masked: Masked, block_size: int) -> Masked:
    """Return `masked` in at most `block_size` tokens, with what was cut counted in it.

    The source is cut at its end, down to its first token; an infill that even so does not fit is cut at its own end.
    A span whose sentinel was cut with the source keeps its infill, as in the original. A block is one token longer
    than the model's context, as its last token is predicted and never read.

    Raises:
        ValueError: `block_size` is less than 2, which leaves nothing to predict.
    """
    if block_size < 2:
        raise ValueError(f"a block of {block_size} tokens leaves nothing to predict; give at least 2")
    source = masked.source[: max(1, block_size - len(masked.infill))]
    infill = masked.infill[: block_size - len(source)]
    return Masked(
        source,
        infill,
        masked.source_cut + len(masked.source) - len(source),
        masked.infill_cut + len(masked.infill) - len(infill),
    )


def masked_block(
    document: Sequence[int], specials: Specials, law: SpanLaw, block_size: int, rng: random.Random
) -> Masked:
    """Return `document` with drawn spans hidden, cut to `block_size` tokens: one training sample of the objective.

    Raises:
        ValueError: the document holds a sentinel or <eoss>, the block is under 2 tokens, or a fixed number of spans is
            more than there are sentinels.
    """
    return fit(mask(document, draw_spans(document, specials, law, rng), specials), block_size)


def unmask(ids: Sequence[int], specials: Specials) -> list[int]:
    """Return the document that `mask` made `ids` of; ids without a sentinel are a document themselves.

    What `fit` cut from the source after its last sentinel is not missed here, and stays lost.

    Raises:
        ValueError: a sentinel or <eoss> is missing or out of order, as where `fit` cut it.
    """
    border = _border(ids, specials)
    hidden = _hidden_spans(ids[border:], specials)
    marks = {sentinel: i for i, sentinel in enumerate(specials.sentinels)}
    document: list[int] = []
    found = 0
    for token in ids[:border]:
        if token not in marks:
            document.append(token)
        elif marks[token] == found < len(hidden):
            document += hidden[found]
            found += 1
        else:
            raise ValueError(f"sentinel {marks[token]} is out of order or has no infill; give ids that mask() made")
    if found < len(hidden):
        raise ValueError(f"the source has {found} sentinels for {len(hidden)} infills; give ids that were not cut")
    return document


def _border(ids: Sequence[int], specials: Specials) -> int:
    places = [i for i, token in enumerate(ids) if token == specials.sentinels[0]]
    if len(places) == 2:
        return places[1]
    if places or not {specials.span_end, *specials.sentinels}.isdisjoint(ids):
        raise ValueError(f"sentinel 0 occurs {len(places)} times, not twice; give ids that were not cut")
    return len(ids)


def _hidden_spans(infill: Sequence[int], specials: Specials) -> list[list[int]]:
    hidden: list[list[int]] = []
    rest = list(infill)
    while rest:
        if len(hidden) == len(specials.sentinels) or rest[0] != specials.sentinels[len(hidden)]:
            raise ValueError(f"infill {len(hidden)} begins with {rest[0]}, not its sentinel; give ids that mask() made")
        if specials.span_end not in rest:
            raise ValueError(f"infill {len(hidden)} has no <eoss>; give ids that were not cut")
        end = rest.index(specials.span_end)
        hidden.append(rest[1:end])
        rest = rest[end + 1 :]
    return hidden


def loss_positions(
    masked: Masked, specials: Specials, length: int | None = None, *, source_sentinels: bool = True
) -> list[bool]:
    """Return, for each prediction in a row of ids padded to `length`, whether it counts in the loss.

    Element t of the `length` - 1 speaks of the prediction of token t + 1 from tokens 0 to t. Padding never counts. All
    else does, as in the original, but for the sentinels in the source where `source_sentinels` is False: where a gap
    falls was drawn, and cannot be known. Without `length` there is no padding.

    Raises:
        ValueError: `length` is less than there are tokens.
    """
    ids = masked.ids
    length = len(ids) if length is None else length
    if length < len(ids):
        raise ValueError(f"{len(ids)} tokens are more than a row of {length}; fit() them first")
    gaps = set() if source_sentinels else set(specials.sentinels)
    counted = [token not in gaps for token in masked.source] + [True] * len(masked.infill)
    return (counted + [False] * (length - len(ids)))[1:]
