"""The field's own tools, as references: Stanford's tokeniser in its jar, and pycocoevalcap's scorers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pycocoevalcap
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from evalkit.metrics.captions.ptb import CaptionTokeniser

Doubles = npt.NDArray[np.float64]
JAR = Path(next(iter(pycocoevalcap.__path__))) / "tokenizer" / "stanford-corenlp-3.4.1.jar"


def jar_lines(lines: Sequence[str], folder: Path, *flags: str) -> list[str]:
    """Return what the jar prints for each line; skips where there is no Java."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("no Java to run the reference tokeniser with")
    source = folder / "lines.txt"
    source.write_bytes("\n".join(lines).encode())
    main = ("edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", *flags, str(source))
    printed = subprocess.run(
        (java, "-Dfile.encoding=UTF-8", "-cp", str(JAR), *main), capture_output=True, check=True, timeout=300
    )
    found = printed.stdout.decode().split("\n")
    return [line.strip(" ") for line in (*found, *("",) * (len(lines) - len(found)))[: len(lines)]]


@cache
def real_captions(data: Path) -> Mapping[int, list[str]]:
    """Return all captions of COCO val2017 by image."""
    document = json.loads((data / "coco-captions" / "captions_val2017.json").read_text(encoding="utf-8"))
    found: dict[int, list[str]] = {}
    for one in document["annotations"]:
        found.setdefault(one["image_id"], []).append(one["caption"])
    return found


@cache
def real_corpus(data: Path, images: int) -> tuple[list[str], list[list[str]]]:
    """Return each image's last human caption, and its others, tokenised."""
    tokens = CaptionTokeniser()
    tokenised = [[tokens(text) for text in captions] for captions in list(real_captions(data).values())[:images]]
    return [captions[-1] for captions in tokenised], [captions[:-1] for captions in tokenised]


def coco_scores(name: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Doubles, Doubles]:
    """Return pycocoevalcap's corpus scores `(K,)` and scores of each image `(N, K)`: `bleu`, `rouge` or `cider`."""
    truth = {image: list(texts) for image, texts in enumerate(references)}
    said = {image: [text] for image, text in enumerate(hypotheses)}
    if name == "bleu":
        corpus, each = Bleu(4).compute_score(truth, said, verbose=0)
        return np.array(corpus), np.array(each).T
    scorer = Rouge() if name == "rouge" else Cider()
    corpus, each = scorer.compute_score(truth, said)
    return np.array([corpus]), np.array(each)[:, None]
