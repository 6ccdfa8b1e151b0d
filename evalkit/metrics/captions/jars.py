"""METEOR and SPICE, which are Java programs: run where Java and their jars are, and said to be missing where not.

The jars are those of the pycocoevalcap wheel, used as files. Captions are tokenised as for the other scores.

METEOR 1.5 is asked as coco-caption asks it: the statistics of each image, and from all of them each image's score and,
in the last line, the corpus score: that of the summed statistics, not the mean. It is run with UTF-8 whatever the
machine's own encoding is, and `|||`, which would end a text, is taken out of references too.

SPICE needs CoreNLP 3.6.0 and its models besides, 384.5 MB that the wheel has not: they are looked for where
pycocoevalcap puts them, in `spice/lib` of the wheel. Its score is the mean of the images' F.

Source: Denkowski and Lavie 2014, doi:10.3115/v1/W14-3348; Anderson et al. 2016, arXiv:1607.08822; pycocoevalcap 1.2.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Literal, Protocol

from evalkit.errors import NotEnoughSamples, RunError, WeightsError
from evalkit.interfaces import MetricResult, Scored
from evalkit.keys import digest
from evalkit.metrics.captions.coco_caption import Captioned, captioned, in_order
from evalkit.metrics.captions.ptb import TOKENISER, TOKENISER_VERSION, CaptionTokeniser
from evalkit.protocols import protocol
from evalkit.types import Estimate, JsonScalar

METEOR_JAR = "meteor/meteor-1.5.jar"
SPICE_JAR = "spice/spice-1.0.jar"
CORENLP = ("spice/lib/stanford-corenlp-3.6.0.jar", "spice/lib/stanford-corenlp-3.6.0-models.jar")
SPICE_SECONDS = 7_200.0
"""How long SPICE may take: the first run parses every reference."""


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

    def scores(self, asked: Sequence[Captioned]) -> tuple[float, list[float]]:
        """Return the corpus score, and that of each caption."""
        ...


def _jar(name: str) -> Path:
    """Return where pycocoevalcap's file `name` is, or would be, without importing the package."""
    spec = find_spec("pycocoevalcap")
    places = (spec.submodule_search_locations if spec else None) or ["pycocoevalcap"]
    return Path(next(iter(places))) / name


def _java_missing(*jars: str) -> str:
    if shutil.which("java") is None:
        return "no Java on this machine: install a runtime of 8 or later so that `java` is found"
    absent = [str(_jar(jar)) for jar in jars if not _jar(jar).is_file()]
    return f"no {', '.join(absent)}: pip install pycocoevalcap==1.2" if absent else ""


@dataclass(frozen=True, slots=True)
class Meteor:
    """METEOR 1.5, English, normalised."""

    name: str = "meteor"
    version: str = "meteor-1.5.jar -l en -norm"

    def missing(self) -> str:
        """Return what is missing."""
        return _java_missing(METEOR_JAR)

    def scores(self, asked: Sequence[Captioned]) -> tuple[float, list[float]]:
        """Return the corpus score of the last line, and each caption's.

        Raises:
            RunError: the program ends early or answers with something else.
        """
        jar = _jar(METEOR_JAR)
        command = ["java", "-Dfile.encoding=UTF-8", "-jar", "-Xmx2G", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
        with subprocess.Popen(
            command, cwd=jar.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                if process.stdin is None or process.stdout is None:
                    raise RunError("METEOR was started without its pipes; run again")
                statistics = [_told(process.stdin, process.stdout, _score_line(one)) for one in asked]
                first = _told(process.stdin, process.stdout, " ||| ".join(["EVAL", *statistics]))
                rest = [_line(process.stdout) for _ in asked]
            finally:
                process.kill()
        numbers = [_number(text) for text in (first, *rest)]
        return numbers[-1], numbers[:-1]


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


@dataclass(frozen=True, slots=True)
class Spice:
    """SPICE 1.0."""

    name: str = "spice"
    version: str = "spice-1.0.jar, CoreNLP 3.6.0"

    def missing(self) -> str:
        """Return what is missing."""
        java = _java_missing(SPICE_JAR)
        absent = [str(_jar(jar)) for jar in CORENLP if not _jar(jar).is_file()]
        if java or not absent:
            return java
        return (
            f"SPICE lacks {' and '.join(absent)}: both are in stanford-corenlp-full-2015-12-09.zip (384.5 MB, "
            "GPL-3.0), from https://nlp.stanford.edu/software/stanford-corenlp-full-2015-12-09.zip; put them there"
        )

    def scores(self, asked: Sequence[Captioned]) -> tuple[float, list[float]]:
        """Return the mean of F, and each caption's; a caption without F counts as not a number does there: not at all.

        Raises:
            RunError: the program fails.
        """
        jar = _jar(SPICE_JAR)
        wanted = [{"image_id": one.id, "test": one.hypothesis, "refs": list(one.references)} for one in asked]
        with tempfile.TemporaryDirectory(prefix="spice-") as folder:
            asked_file, out = Path(folder) / "asked.json", Path(folder) / "out.json"
            asked_file.write_text(json.dumps(wanted), encoding="utf-8")
            command = ["java", "-Dfile.encoding=UTF-8", "-jar", "-Xmx8G", str(jar), str(asked_file)]
            command += ["-cache", str(Path(folder) / "cache"), "-out", str(out), "-subset", "-silent"]
            (Path(folder) / "cache").mkdir()
            try:
                subprocess.run(command, cwd=jar.parent, check=True, capture_output=True, timeout=SPICE_SECONDS)
                return spice_scores(out.read_text(encoding="utf-8"), [one.id for one in asked])
            except (OSError, subprocess.SubprocessError) as error:
                raise RunError(f"SPICE failed ({error}); leave it out with --metrics, or give Java 8 GB") from error


def spice_scores(document: str, ids: Sequence[str]) -> tuple[float, list[float]]:
    """Return the mean of F over those images that have one, and each image's, from what SPICE wrote.

    >>> spice_scores('[{"image_id": "a", "scores": {"All": {"f": 0.25}}}]', ["a"])
    (0.25, [0.25])

    Raises:
        RunError: it is of another form.
    """
    try:
        found = {str(one["image_id"]): float(one["scores"]["All"]["f"]) for one in json.loads(document)}
        scores = [found[id_] for id_ in ids]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"SPICE wrote something else than scores ({error!r}); leave it out with --metrics") from error
    known = [score for score in scores if not math.isnan(score)]
    return (sum(known) / len(known) if known else math.nan), scores


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
        corpus, each = self.scorer.scores(ordered)
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
        estimate = Estimate(corpus, len(ordered), "score", True, made.digest)
        scores = {one.id: score for one, score in zip(ordered, each, strict=True)}
        return MetricResult({self.scorer.name: estimate}, (made,), {self.scorer.name: scores}, {})
