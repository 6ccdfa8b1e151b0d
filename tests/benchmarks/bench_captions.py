"""Prints what scoring captions costs here: `python tests/benchmarks/bench_captions.py CAPTIONS_VAL2017.json [IMAGES]`.

Tokenise, BLEU-1..4, ROUGE-L and CIDEr-D of each image's last human caption against its others: ours, ours with the
statistics of the references at hand, and pycocoevalcap with its Java tokeniser. Needs Java.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from evalkit.metrics.captions.bleu import bleu_counts, corpus_bleu
from evalkit.metrics.captions.cider import cider_d
from evalkit.metrics.captions.ptb import CaptionTokeniser
from evalkit.metrics.captions.references import References, references
from evalkit.metrics.captions.rouge import rouge_l

T = TypeVar("T")
Raw = dict[int, list[str]]
NAMES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")


def captions(path: Path, images: int) -> Raw:
    """Return the captions of the first images of an official annotation file."""
    found: Raw = {}
    for one in json.loads(path.read_text(encoding="utf-8"))["annotations"]:
        found.setdefault(one["image_id"], []).append(one["caption"])
    return dict(list(found.items())[:images])


def theirs(raw: Raw) -> list[float]:
    """Return the scores of pycocoevalcap, end to end."""
    tokeniser = PTBTokenizer()
    truth = tokeniser.tokenize({image: [{"caption": text} for text in texts[:-1]] for image, texts in raw.items()})
    said = tokeniser.tokenize({image: [{"caption": texts[-1]}] for image, texts in raw.items()})
    bleu, _ = Bleu(4).compute_score(truth, said, verbose=0)
    return [*bleu, Rouge().compute_score(truth, said)[0], Cider().compute_score(truth, said)[0]]


def known_references(raw: Raw) -> tuple[CaptionTokeniser, list[list[str]], References]:
    """Return what a second model of the same references need not pay for."""
    tokens = CaptionTokeniser()
    truth = [[tokens(text) for text in texts[:-1]] for texts in raw.values()]
    return tokens, truth, references(truth)


def ours(raw: Raw, known: tuple[CaptionTokeniser, list[list[str]], References] | None = None) -> list[float]:
    """Return our scores."""
    tokens, truth, statistics = known or known_references(raw)
    said = [tokens(texts[-1]) for texts in raw.values()]
    hypotheses = statistics.hypotheses(said)
    rouge = np.mean([rouge_l(one, people) for one, people in zip(said, truth, strict=True)])
    bleu = corpus_bleu(bleu_counts(hypotheses, statistics))
    return [*bleu.tolist(), float(rouge), float(cider_d(hypotheses, statistics).mean())]


def timed(what: str, work: Callable[[], T]) -> tuple[T, float]:
    """Run `work`, print its wall and CPU seconds, and return what it returned with the wall seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"  {what:<36} {wall:7.2f} s wall {processor:7.2f} s CPU of this process", flush=True)
    return found, wall


def main(path: Path, images: int) -> None:
    """Print times, ratios and the largest difference of a score."""
    raw = captions(path, images)
    print(f"{len(raw):,} images, {sum(map(len, raw.values())):,} captions")
    mine, cold = timed("ours, end to end", lambda: ours(raw))
    known = known_references(raw)
    again, warm = timed("ours, references known", lambda: ours(raw, known))
    expected, reference = timed("pycocoevalcap, end to end", lambda: theirs(raw))
    print(f"  {reference / cold:.1f} x faster end to end, {reference / warm:.1f} x with the references known")
    for name, x, y, z in zip(NAMES, mine, again, expected, strict=True):
        print(f"  {name:<8} {x:.9f}  differs by {x - z:+.1e} ({y - x:+.1e} the second time)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5000)
