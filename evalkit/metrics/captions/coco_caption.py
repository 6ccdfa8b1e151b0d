"""CIDEr-D, BLEU and ROUGE-L of the captions that a model wrote, under the protocol `coco-caption`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from evalkit import stats
from evalkit.errors import DataError, NotEnoughSamples, RunError
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.captions.bleu import BleuCounts, bleu_counts, corpus_bleu, sentence_bleu
from evalkit.metrics.captions.cider import SIGMA, cider_d
from evalkit.metrics.captions.ngrams import MAX_N, Integers
from evalkit.metrics.captions.ptb import TOKENISER, TOKENISER_VERSION, CaptionTokeniser
from evalkit.metrics.captions.references import Doubles, Hypotheses, References, references
from evalkit.metrics.captions.rouge import BETA, rouge_l
from evalkit.metrics.chosen import chosen_names
from evalkit.protocols import Protocol, protocol
from evalkit.types import Estimate, Interval, JsonScalar, Text, Unavailable

CAPTION_METRIC_VERSION = 1
"""Raised whenever any of the numbers changes."""
ESTIMATES = ("cider", "bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l")
"""Names of the estimates, in the order that they are shown in."""
_SEED = 0

Fields: TypeAlias = Mapping[str, JsonScalar]


@dataclass(frozen=True, slots=True)
class Captioned:
    """A sample's caption and references, tokenised."""

    id: str
    cluster: str
    hypothesis: str
    references: tuple[str, ...]
    strata: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class CaptionState:
    """The captions so far, in the order that they came."""

    captioned: list[Captioned] = field(default_factory=list)


def captioned(scored: Scored, tokens: CaptionTokeniser) -> Captioned:
    """Return an answered sample's caption and references, tokenised.

    Raises:
        RunError: the answer is not one text.
        DataError: the sample has no caption to compare with.
    """
    sample = scored.sample
    answers = [part.text for part in scored.generation.parts if isinstance(part, Text)]
    if len(answers) != 1:
        raise RunError(
            f"the answer to sample {sample.id!r} holds {len(answers)} texts and a caption is one; mend the model"
        )
    people = [part.text for part in sample.references if isinstance(part, Text)]
    if not people:
        raise DataError(f"sample {sample.id!r} has no reference caption; leave it out or add one to the data")
    references = tuple(tokens(text) for text in people)
    return Captioned(sample.id, sample.cluster or sample.id, tokens(answers[0]), references, sample.strata)


def in_order(captions: Sequence[Captioned]) -> list[Captioned]:
    """Return the captions by sample id.

    Raises:
        RunError: a sample was scored twice.
    """
    twice = [name for name, count in Counter(one.id for one in captions).items() if count > 1]
    if twice:
        raise RunError(f"sample {twice[0]!r} was scored more than once; shards must not overlap")
    return sorted(captions, key=lambda one: one.id)


class CaptionMetric:
    """How near captions are to people's: the scores of the COCO caption evaluation that need no Java."""

    estimator: Literal["mean", "corpus", "distribution"] = "corpus"

    def __init__(self, fields: Fields, estimates: Collection[str] | None = None, by: Sequence[str] = ()) -> None:
        """Score captions; `fields` are the task's own choices, which go into every protocol.

        `by` names the strata within each of whose values CIDEr-D is taken as well, from that part's own references:
        `--metrics` knows it as `cider_by_STRATUM`, its estimates read `cider[STRATUM=value]`.

        Raises:
            UsageError: `estimates` holds an unknown name.
        """
        self._by = {f"cider_by_{stratum}": stratum for stratum in by}
        known = (*ESTIMATES, *self._by)
        self._fields = dict(fields)
        self._names = chosen_names(known, estimates)
        self._tokens = CaptionTokeniser()

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates that it makes, in the order that they are shown in."""
        return self._names

    def only(self, names: Collection[str]) -> CaptionMetric:
        """Return this metric making only the estimates of these names.

        Raises:
            UsageError: `names` holds an unknown name.
        """
        return CaptionMetric(self._fields, names, tuple(self._by.values()))

    def prepare(self) -> None:
        """Do nothing: all that scoring needs comes with the samples."""

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the samples."""
        return 0

    def start(self) -> CaptionState:
        """Return the state of no samples."""
        return CaptionState()

    def update(self, state: CaptionState, scored: Sequence[Scored]) -> CaptionState:
        """Return `state` with these samples' captions added.

        Raises:
            RunError: an answer is not one text.
            DataError: a sample has no caption to compare with.
        """
        state.captioned.extend(captioned(one, self._tokens) for one in scored)
        return state

    def merge(self, left: CaptionState, right: CaptionState) -> CaptionState:
        """Return the state of both sides' samples."""
        return CaptionState(left.captioned + right.captioned)

    def finish(self, state: CaptionState) -> MetricResult:
        """Return the estimates; they have the same bits whatever order and shards the samples came in.

        Raises:
            NotEnoughSamples: there are no captions.
            RunError: a sample was scored twice.
        """
        if not state.captioned:
            raise NotEnoughSamples("there is no caption to score; raise the limit or see why samples failed")
        ordered = in_order(state.captioned)
        whole = _Findings(ordered, self._fields, [name for name in self.names if name not in self._by]).result()
        parts = [self._part(ordered, stratum) for name, stratum in self._by.items() if name in self.names]
        estimates = {name: one for found in (whole, *parts) for name, one in found.estimates.items()}
        protocols = tuple(one for found in (whole, *parts) for one in found.protocols)
        return MetricResult(estimates, protocols, whole.per_sample, {})

    def _part(self, captioned: Sequence[Captioned], stratum: str) -> MetricResult:
        """Return CIDEr-D within each value of `stratum`."""
        estimates: dict[str, Estimate | Unavailable] = {}
        protocols: list[Protocol] = []
        for value in sorted({held for one in captioned for name, held in one.strata if name == stratum}):
            within = [one for one in captioned if (stratum, value) in one.strata]
            found = _Findings(within, {**self._fields, "part": f"{stratum}={value}"}, ["cider"]).result()
            estimates[f"cider[{stratum}={value}]"] = found.estimates["cider"]
            protocols += found.protocols
        return MetricResult(estimates, tuple(protocols), {}, {})


@dataclass
class _Findings:
    """Makes a `MetricResult` of captions that are sorted by sample id."""

    captioned: Sequence[Captioned]
    fields: Fields
    names: Sequence[str]
    estimates: dict[str, Estimate] = field(default_factory=dict)
    protocols: list[Protocol] = field(default_factory=list)
    per_sample: dict[str, dict[str, float]] = field(default_factory=dict)

    def result(self) -> MetricResult:
        if "cider" in self.names:
            self._cider()
        if any(name.startswith("bleu") for name in self.names):
            self._bleu()
        if "rouge_l" in self.names:
            self._rouge()
        ordered = {name: self.estimates[name] for name in self.names}
        return MetricResult(ordered, tuple(self.protocols), self.per_sample, {})

    @cached_property
    def _references(self) -> References:
        return references([one.references for one in self.captioned])

    @cached_property
    def _hypotheses(self) -> Hypotheses:
        return self._references.hypotheses([one.hypothesis for one in self.captioned])

    def _cider(self) -> None:
        scores = cider_d(self._hypotheses, self._references)
        interval = self._mean_interval(scores)
        if interval is not None:
            interval = dataclasses.replace(interval, method=f"{interval.method}, document frequencies held fixed")
        warnings = ("of one image CIDEr-D is 0, whatever the caption",) if len(scores) == 1 else ()
        choices: Fields = {
            "variant": "CIDEr-D",
            "sigma": SIGMA,
            "n_grams": MAX_N,
            "document_frequency": "references of the scored images",
            "document_frequency_digest": self._document_frequency_digest,
        }
        self._record("cider", scores)
        self._add("cider", float(scores.mean()), choices, interval, warnings)

    def _bleu(self) -> None:
        counts = bleu_counts(self._hypotheses, self._references)
        whole, each, clustered = corpus_bleu(counts), sentence_bleu(counts), self._by_cluster(counts)
        self._record("bleu_length", counts.length)
        self._record("bleu_reference_length", counts.reference_length)
        for n in range(1, MAX_N + 1):
            self._record(f"bleu_correct_{n}", counts.correct[:, n - 1])
            if f"bleu_{n}" in self.names:
                choices: Fields = {"n_grams": n, "reference_length": "closest", "smoothing": "1e-15 over 1e-9"}
                self._record(f"bleu_{n}", each[:, n - 1])
                self._add(f"bleu_{n}", float(whole[n - 1]), choices, _bleu_interval(clustered, n))

    def _rouge(self) -> None:
        scores = np.array([rouge_l(one.hypothesis, one.references) for one in self.captioned])
        self._record("rouge_l", scores)
        self._add("rouge_l", float(scores.mean()), {"beta": BETA}, self._mean_interval(scores))

    def _by_cluster(self, counts: BleuCounts) -> BleuCounts:
        """Return the counts summed within each cluster: those are what a bootstrap draws."""
        names, cluster = np.unique([one.cluster for one in self.captioned], return_inverse=True)
        order = np.argsort(cluster, kind="stable")
        starts = np.searchsorted(cluster[order], np.arange(len(names)))
        sorted_counts = counts.at(order)
        return BleuCounts(
            np.add.reduceat(sorted_counts.length, starts),
            np.add.reduceat(sorted_counts.reference_length, starts),
            np.add.reduceat(sorted_counts.guessed, starts),
            np.add.reduceat(sorted_counts.correct, starts),
        )

    def _mean_interval(self, scores: Doubles) -> Interval | None:
        clusters = [one.cluster for one in self.captioned]
        return stats.mean_interval(scores, clusters) if len(set(clusters)) > 1 else None

    def _record(self, name: str, scores: Doubles | Integers) -> None:
        self.per_sample[name] = {one.id: float(score) for one, score in zip(self.captioned, scores, strict=True)}

    def _add(
        self, name: str, value: float, choices: Fields, interval: Interval | None, warnings: tuple[str, ...] = ()
    ) -> None:
        own: Fields = {"statistic": name, "metric_version": CAPTION_METRIC_VERSION, **self._shared, **choices}
        clash = sorted(own.keys() & self.fields.keys())
        if clash:
            raise ValueError(f"the task's fields {clash} are the metric's own; rename them")
        made = protocol("coco-caption", {**self.fields, **own})
        self.protocols.append(made)
        told = (*warnings, *self._empty)
        self.estimates[name] = Estimate(value, len(self.captioned), "score", True, made.digest, interval, told)

    @cached_property
    def _shared(self) -> Fields:
        return {
            "tokeniser": TOKENISER,
            "tokeniser_version": TOKENISER_VERSION,
            "n_images": len(self.captioned),
            "references_digest": digest([[one.id, *sorted(one.references)] for one in self.captioned]),
        }

    @cached_property
    def _document_frequency_digest(self) -> str:
        return digest([list(one) for one in sorted(tuple(sorted(one.references)) for one in self.captioned)])

    @cached_property
    def _empty(self) -> tuple[str, ...]:
        empty = sum(not one.hypothesis for one in self.captioned)
        return (f"{empty} of {len(self.captioned)} captions have no word; they count as they are",) if empty else ()


def _bleu_interval(counts: BleuCounts, n: int) -> Interval | None:
    if len(counts.length) < 2:
        return None
    table = np.column_stack([counts.length, counts.reference_length, counts.guessed, counts.correct]).astype(np.float64)

    def resampled(drawn: Integers) -> float:
        totals = (np.bincount(drawn, minlength=len(table)) @ table).astype(np.int64)  # exact: far below 2**53
        guessed, correct = totals[None, 2 : 2 + MAX_N], totals[None, 2 + MAX_N :]
        return float(corpus_bleu(BleuCounts(totals[:1], totals[1:2], guessed, correct))[n - 1])

    return stats.percentile_bootstrap(resampled, len(table), _SEED)
