"""Requests and answers that the tests of the store share.

Run as a program it commits the answers of the named range to a directory and prints each key once it is committed:

    python entries.py DIRECTORY FIRST STOP
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from evalkit.cache import Cache
from evalkit.images import image_of
from evalkit.keys import request_key
from evalkit.types import Generation, Image, Request, Text

IDENTITY = {"model": "drawn", "weights": "0" * 64}


def request(number: int = 0, *, task: str = "tiny@1", seed: int = 0) -> Request:
    """The request about sample `number`."""
    return Request(task, f"s{number}", "text-to-image", (Text(f"picture {number}"),), seed)


def key(number: int = 0) -> str:
    """The key of `request(number)`."""
    return request_key(IDENTITY, request(number))


def picture(number: int = 0, size: int = 8) -> Image:
    """A picture of noise, its own for each number."""
    return image_of(np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8))


def commit(cache: Cache, number: int = 0, *, size: int = 8) -> Generation:
    """Commit a picture as the answer to `request(number)`."""
    return cache.commit(IDENTITY, request(number), Generation((picture(number, size),)))


def file_of(generation: Generation) -> Path:
    """The file of the answer's first picture."""
    part = generation.parts[0]
    assert isinstance(part, Image) and isinstance(part.content, Path)
    return part.content


def committer(directory: Path, first: int, stop: int) -> subprocess.Popen[str]:
    """A process of its own that commits the numbers from `first` to `stop`."""
    command = [sys.executable, __file__, str(directory), str(first), str(stop)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def main(directory: str, first: str, stop: str) -> None:
    """Commit, and print each key."""
    with Cache(Path(directory)) as cache:
        for number in range(int(first), int(stop)):
            commit(cache, number, size=64)
            print(key(number), flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(*sys.argv[1:])
