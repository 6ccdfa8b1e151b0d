"""Prints what scoring VQAv2 costs here: `python tests/benchmarks/bench_vqa.py ANNOTATIONS.json[.gz] [QUESTIONS]`.

Real annotations are repeated up to the size of VQAv2 val (214,354). So that no answer is known from before, a repeat
has its number behind every answer that is not `yes`, `no` or a number, which is harder than the real set. Each question
is answered by one of its people, at times with an article and a period. One process, one core.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from evalkit.interfaces import Scored
from evalkit.metrics.vqa.accuracy import VqaScorer
from evalkit.metrics.vqa.answers import VqaMetric
from evalkit.metrics.vqa.normaliser import vqa_protocol
from evalkit.types import Estimate, Generation, Sample, Text

VAL = 214_354
Question = tuple[str, str, list[str], str, str, str]


def questions(path: Path, count: int) -> list[Question]:
    """Return id, prediction, people's answers, answer type, question type and picture of each question."""
    content = path.read_bytes()
    document = json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    draw, found = random.Random(0), []
    real = document["annotations"]
    for number, one in enumerate(islice(cycle(real), count)):
        repeat = number // len(real)
        plain = one["answer_type"] in ("yes/no", "number") or repeat == 0
        people = [answer["answer"] if plain else f"{answer['answer']} {repeat}" for answer in one["answers"]]
        said = draw.choice(people)
        prediction = f"The {said}." if number % 3 == 0 else said
        picture = f"{one['image_id']}-{repeat}"
        found.append((str(number), prediction, people, one["answer_type"], one["question_type"], picture))
    return found


def main(path: Path, count: int) -> None:
    """Print seconds for the accuracies alone, and for the whole metric with its strata and intervals."""
    asked = questions(path, count)
    print(f"{len(asked):,} questions, {len({a for one in asked for a in one[2]}):,} different answers")
    scorer, start, cpu = VqaScorer(vqa_protocol("vqa-official")), time.perf_counter(), time.process_time()
    total = sum(scorer(name, said, people) for name, said, people, *_ in asked)
    print(f"  accuracies        {time.perf_counter() - start:6.2f} s wall {time.process_time() - cpu:6.2f} s CPU")
    scored = [
        Scored(
            Sample(name, (), tuple(map(Text, people)), (("answer_type", kind), ("question_type", first)), picture),
            Generation((Text(said),)),
        )
        for name, said, people, kind, first, picture in asked
    ]
    metric, start, cpu = VqaMetric("vqa-official", {}), time.perf_counter(), time.process_time()
    result = metric.finish(metric.update(metric.start(), scored))
    print(f"  the whole metric  {time.perf_counter() - start:6.2f} s wall {time.process_time() - cpu:6.2f} s CPU")
    overall = result.estimates["vqa_accuracy"]
    assert isinstance(overall, Estimate)
    print(f"  accuracy {overall.value:.4f} and {100 * total / len(asked):.4f}, {len(result.estimates)} estimates")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else VAL)
