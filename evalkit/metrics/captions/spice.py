"""SPICE, which is a Java program: see `jars.py`.

SPICE needs CoreNLP 3.6.0 and its models besides, 384.5 MB that the wheel has not: they are looked for where
pycocoevalcap puts them, in `spice/lib` of the wheel. Its score is the mean of the images' F.

Source: Anderson et al. 2016, arXiv:1607.08822; pycocoevalcap 1.2.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.errors import RunError
from evalkit.metrics.captions.coco_caption import Captioned
from evalkit.metrics.captions.jars import JarScores, jar_path, java_missing

SPICE_JAR = "spice/spice-1.0.jar"
CORENLP = ("spice/lib/stanford-corenlp-3.6.0.jar", "spice/lib/stanford-corenlp-3.6.0-models.jar")
SPICE_SECONDS = 7_200.0
"""How long SPICE may take: the first run parses every reference."""


@dataclass(frozen=True, slots=True)
class Spice:
    """SPICE 1.0."""

    name: str = "spice"
    version: str = "spice-1.0.jar, CoreNLP 3.6.0"

    def missing(self) -> str:
        """Return what is missing."""
        java = java_missing(SPICE_JAR)
        absent = [str(jar_path(jar)) for jar in CORENLP if not jar_path(jar).is_file()]
        if java or not absent:
            return java
        return (
            f"SPICE lacks {' and '.join(absent)}: both are in stanford-corenlp-full-2015-12-09.zip (384.5 MB, "
            "GPL-3.0), from https://nlp.stanford.edu/software/stanford-corenlp-full-2015-12-09.zip; put them there"
        )

    def scores(self, asked: Sequence[Captioned]) -> JarScores:
        """Return the mean of F, and each caption's; a caption without F counts as not a number does there: not at all.

        Raises:
            RunError: the program fails.
        """
        jar = jar_path(SPICE_JAR)
        wanted = [{"image_id": one.id, "test": one.hypothesis, "refs": list(one.references)} for one in asked]
        with tempfile.TemporaryDirectory(prefix="spice-") as folder:
            asked_file, out = Path(folder) / "asked.json", Path(folder) / "out.json"
            asked_file.write_text(json.dumps(wanted), encoding="utf-8")
            command = ["java", "-Dfile.encoding=UTF-8", "-jar", "-Xmx8G", str(jar), str(asked_file)]
            command += ["-cache", str(Path(folder) / "cache"), "-out", str(out), "-subset", "-silent"]
            (Path(folder) / "cache").mkdir()
            try:
                subprocess.run(command, cwd=jar.parent, check=True, capture_output=True, timeout=SPICE_SECONDS)
                corpus, each = spice_scores(out.read_text(encoding="utf-8"), [one.id for one in asked])
                return JarScores(corpus, np.array(each), np.array(each) - corpus)
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
