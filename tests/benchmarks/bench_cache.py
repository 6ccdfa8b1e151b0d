"""Prints what the store costs: a commit, looking up and reading 30,000 answers, and verifying them.

    python tests/benchmarks/bench_cache.py [COMMITS [ENTRIES]]

Pictures are 256 x 256 and photo-like: smooth shapes with grain, about as many bytes as a photo's PNG.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from evalkit.cache import Cache, rebuild, verify
from evalkit.images import image_of
from evalkit.keys import request_key
from evalkit.types import Generation, Image, JsonScalar, Request, Text

IDENTITY: dict[str, JsonScalar] = {"model": "bench", "weights": "0" * 64, "code": 1, "dtype": "float32"}


def photo(number: int) -> Image:
    """A picture of low frequencies and grain, its own for each number."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (9, 9, 3)).astype(np.float64)
    at = np.linspace(0, 7.99, 256)
    low, share = at.astype(int), at - at.astype(int)
    rows = coarse[low] * (1 - share)[:, None, None] + coarse[low + 1] * share[:, None, None]
    smooth = rows[:, low] * (1 - share)[None, :, None] + rows[:, low + 1] * share[None, :, None]
    return image_of(np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8))


def request(number: int) -> Request:
    """The request about sample `number`."""
    text = f"a caption of about the usual length about the things in photo {number}"
    return Request(
        "coco_fid@1", str(number), "text-to-image", (Text(text),), number, guidance=3.0, width=256, height=256
    )


@contextmanager
def timed(what: str, count: int) -> Iterator[None]:
    """Print how long the block took."""
    start, cpu = time.perf_counter(), time.process_time()
    yield
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{what:<44} {seconds:8.3f} s  (CPU {cpu:.3f} s)  {count / seconds:10,.0f} /s")


def commits(cache: Cache, count: int) -> None:
    """Print what a commit of a picture costs."""
    images = [photo(number) for number in range(count)]
    size = statistics.mean(len(image.content) for image in images if isinstance(image.content, bytes))
    taken, cpu = [], time.process_time()
    for number in range(count):
        start = time.perf_counter()
        cache.commit(IDENTITY, request(number), Generation((images[number],), seconds=0.5))
        taken.append(1e3 * (time.perf_counter() - start))
    cpu = 1e3 * (time.process_time() - cpu) / count
    taken.sort()
    print(f"commit of a 256 x 256 PNG of {size / 1e3:.0f} kB, {count} times, ms each:")
    print(f"  mean {statistics.mean(taken):.3f} (CPU {cpu:.3f}), median {taken[count // 2]:.3f}, ", end="")
    print(f"99 % {taken[int(0.99 * count)]:.3f}, longest {taken[-1]:.1f}")
    with timed(f"verify {count} pictures", count):
        if verify(cache):
            raise SystemExit("the store is damaged")


def entries(directory: Path, count: int) -> None:
    """Print what many answers cost to look up and read; ten pictures serve all of them."""
    images = [photo(number) for number in range(10)]
    with Cache(directory) as cache, timed(f"commit {count} answers with known pictures", count):
        for number in range(count):
            cache.commit(IDENTITY, request(number), Generation((images[number % 10],)))
    keys = [request_key(IDENTITY, request(number)) for number in range(count)]
    with timed("open", 1):
        cache = Cache(directory)
    with cache:
        with timed(f"lookup of {count} keys", count):
            found = cache.lookup(keys)
        with timed(f"lookup of {count} keys that are not there", count):
            cache.lookup(key[::-1] for key in keys)
        with timed(f"get_many of {count}", count):
            answers = cache.get_many(keys)
        with timed(f"claim of {count} that are answered", count):
            cache.claim(keys)
    if len(found) != count or len(answers) != count:
        raise SystemExit("answers are missing")
    with timed(f"rebuild of {count}", count):
        rebuild(directory)


def main(commit_count: int = 1000, entry_count: int = 30_000) -> None:
    """Run both in a temporary directory."""
    with tempfile.TemporaryDirectory() as folder:
        with Cache(Path(folder) / "commits") as cache:
            commits(cache, commit_count)
        entries(Path(folder) / "entries", entry_count)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
