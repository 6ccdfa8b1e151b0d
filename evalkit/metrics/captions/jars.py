"""Scores that Java programs make, of which METEOR is one and SPICE, in `spice.py`, the other.

The jars are those of the pycocoevalcap wheel, used as files. Captions are tokenised as for the other scores.

METEOR 1.5 is asked as coco-caption asks it: the statistics of each image, and from all of them each image's score and,
in the last line, the corpus score: that of the summed statistics, not the mean. It is run with UTF-8 whatever the
machine's own encoding is, and `|||`, which would end a text, is taken out of references too. Since the statistics add
up, the sum less those of one caption has the corpus score without it: its interval is of that jackknife.

Source: Denkowski and Lavie 2014, doi:10.3115/v1/W14-3348; pycocoevalcap 1.2.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal, Protocol

import numpy as np
import numpy.typing as npt

from evalkit import stats
from evalkit.errors import NotEnoughSamples, RunError, WeightsError
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.captions.coco_caption import Captioned, captioned, in_order
from evalkit.metrics.captions.ptb import TOKENISER, TOKENISER_VERSION, CaptionTokeniser
from evalkit.protocols import protocol
from evalkit.types import Estimate, Interval, JsonScalar

Doubles = npt.NDArray[np.float64]

METEOR_JAR = "meteor/meteor-1.5.jar"


@dataclass(frozen=True, slots=True)
class JarScores:
    """The corpus score, that of each caption, not a number where it has none, and how each moves the corpus score."""

    corpus: float
    each: Doubles
    influence: Doubles
    """Its mean over those that have one is 0, and its spread the corpus score's."""


class Scorer(Protocol):
    """A Java program that scores captions."""

    @property
    def name(self) -> str:
        """What its estimate is called."""
        ...

    @property
    def version(self) -> str:
        """What stands in protocols."""
        ...

    def missing(self) -> str:
        """Return what is missing on this machine and how to get it; empty where nothing is."""
        ...

    def scores(self, asked: Sequence[Captioned]) -> JarScores:
        """Return the scores of these captions."""
        ...


def jar_path(name: str) -> Path:
    """Return where pycocoevalcap's file `name` is, or would be, without importing the package."""
    spec = find_spec("pycocoevalcap")
    places = (spec.submodule_search_locations if spec else None) or ["pycocoevalcap"]
    return Path(next(iter(places))) / name


def java_missing(*jars: str) -> str:
    """Return which of Java and these jars is missing and how to get it, empty where nothing is."""
    if shutil.which("java") is None:
        return "no Java on this machine: install a runtime of 8 or later so that `java` is found"
    absent = [str(jar_path(jar)) for jar in jars if not jar_path(jar).is_file()]
    return f"no {', '.join(absent)}: pip install pycocoevalcap==1.2" if absent else ""


@dataclass(frozen=True, slots=True)
class Meteor:
    """METEOR 1.5, English, normalised."""

    name: str = "meteor"
    version: str = "meteor-1.5.jar -l en -norm"

    def missing(self) -> str:
        """Return what is missing."""
        return java_missing(METEOR_JAR)

    def scores(self, asked: Sequence[Captioned]) -> JarScores:
        """Return the corpus score of the last line, each caption's, and the corpus score's jackknife.

        Raises:
            RunError: the program ends early or answers with something else.
        """
        jar = jar_path(METEOR_JAR)
        command = ["java", "-Dfile.encoding=UTF-8", "-jar", "-Xmx2G", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
        with subprocess.Popen(
            command, cwd=jar.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                if process.stdin is None or process.stdout is None:
                    raise RunError("METEOR was started without its pipes; run again")
                statistics = [_told(process.stdin, process.stdout, _score_line(one)) for one in asked]
                numbers = _evaluated(process.stdin, process.stdout, statistics)
                without = _evaluated(process.stdin, process.stdout, _without_each(statistics))
            finally:
                process.kill()
        influence = stats.jackknife_influence(np.array(without[:-1])) if len(asked) > 1 else np.zeros(1)
        return JarScores(numbers[-1], np.array(numbers[:-1]), influence)


def _evaluated(to: IO[bytes], of: IO[bytes], statistics: Sequence[str]) -> list[float]:
    """Return the score of each line of statistics and, last, that of their sum."""
    first = _told(to, of, " ||| ".join(["EVAL", *statistics]))
    return [_number(text) for text in (first, *(_line(of) for _ in statistics))]


def _without_each(statistics: Sequence[str]) -> list[str]:
    """Return the sum of all lines of statistics less each of them in turn, as such lines.

    They are counts, so that no digit is lost.
    """
    table = np.array([[_number(text) for text in line.split()] for line in statistics])
    return [" ".join(map(repr, row)) for row in (table.sum(axis=0) - table).tolist()]


def _score_line(one: Captioned) -> str:
    said = one.hypothesis.replace("|||", "").replace("  ", " ")
    return " ||| ".join(["SCORE", *(text.replace("|||", "") for text in one.references), said])


def _told(to: IO[bytes], of: IO[bytes], line: str) -> str:
    try:
        to.write(f"{line}\n".encode())
        to.flush()
    except OSError as error:
        raise RunError(f"METEOR's Java ended ({error}); see that it may have 2 GB of memory, and run again") from error
    return _line(of)


def _line(of: IO[bytes]) -> str:
    line = of.readline()
    if not line.endswith(b"\n"):
        raise RunError("METEOR's Java ended before it had answered; see that it may have 2 GB of memory, and run again")
    return line.decode().strip()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RunError(f"METEOR answered {text[:80]!r} instead of a number; leave it out with --metrics") from error


@dataclass(slots=True)
class JarState:
    """The captions so far, in the order that they came."""

    captioned: list[Captioned] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JarMetric:
    """One score of a Java program."""

    scorer: Scorer
    fields: Mapping[str, JsonScalar]
    tokens: CaptionTokeniser = field(default_factory=CaptionTokeniser)
    estimator: Literal["mean", "corpus", "distribution"] = "corpus"

    @property
    def names(self) -> tuple[str, ...]:
        """The one estimate."""
        return (self.scorer.name,)

    def only(self, names: Collection[str]) -> JarMetric:
        """Return this metric, which makes one estimate."""
        return self

    def prepare(self) -> None:
        """Find Java and the jars.

        Raises:
            WeightsError: something is missing.
        """
        missing = self.scorer.missing()
        if missing:
            raise WeightsError(f"{self.scorer.name} cannot be made: {missing}")

    def backlog(self) -> int:
        """Return 0: there is nothing to read but the samples."""
        return 0

    def start(self) -> JarState:
        """Return the state of no samples."""
        return JarState()

    def update(self, state: JarState, scored: Sequence[Scored]) -> JarState:
        """Return `state` with these samples' captions added.

        Raises:
            RunError: an answer is not one text.
            DataError: a sample has no caption to compare with.
        """
        state.captioned.extend(captioned(one, self.tokens) for one in scored)
        return state

    def merge(self, left: JarState, right: JarState) -> JarState:
        """Return the state of both sides' samples."""
        return JarState(left.captioned + right.captioned)

    def finish(self, state: JarState) -> MetricResult:
        """Return the estimate; it is the same whatever order and shards the samples came in.

        Raises:
            NotEnoughSamples: there are no captions.
            RunError: a sample was scored twice, or the program fails.
        """
        if not state.captioned:
            raise NotEnoughSamples("there is no caption to score; raise the limit or see why samples failed")
        ordered = in_order(state.captioned)
        found = self.scorer.scores(ordered)
        made = protocol(
            "coco-caption",
            {
                **self.fields,
                "statistic": self.scorer.name,
                "program": self.scorer.version,
                "tokeniser": TOKENISER,
                "tokeniser_version": TOKENISER_VERSION,
                "n_images": len(ordered),
                "references_digest": digest([[one.id, *sorted(one.references)] for one in ordered]),
            },
        )
        interval = _interval(found, [one.cluster for one in ordered])
        estimate = Estimate(found.corpus, len(ordered), "score", True, made.digest, interval)
        columns = {self.scorer.name: found.each, f"{self.scorer.name}_influence": found.influence}
        each = {
            name: dict(zip([one.id for one in ordered], column.tolist(), strict=True))
            for name, column in columns.items()
        }
        return MetricResult({self.scorer.name: estimate}, (made,), each, {})


def _interval(found: JarScores, clusters: Sequence[str]) -> Interval | None:
    """Return Student's interval of the influences, clustered by picture; None of one picture."""
    known = np.flatnonzero(~np.isnan(found.influence)).tolist()
    groups = [clusters[place] for place in known]
    if len(set(groups)) < 2:
        return None
    interval = stats.mean_interval(found.corpus + found.influence[known], groups)
    return replace(interval, method=f"{interval.method}, of jackknife influences")
