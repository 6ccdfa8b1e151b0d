"""Prints what `evalkit run coco_fid` costs on 30,000 pictures when every answer and feature is in the cache.

    python tests/benchmarks/bench_rerun.py [PICTURES]

The data is a folder in COCO's format with that many 8 x 8 photos, the model a folder of as many pictures. Their
Inception features are drawn at random and put into the feature cache, since extracting them takes hours on a CPU; all
else is the real command. It runs three times: at first (answers and numbers are new), with the numbers' own cache
emptied (features are read and every number is computed again), and with everything cached.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from evalkit.features.cache import FeatureCache
from evalkit.features.inception import inception
from evalkit.features.pictures import FilePicture, identities
from evalkit.images import encode_png, read_image
from evalkit.workspace import Workspace

DIM = 2048


def write_data(folder: Path, count: int) -> None:
    """Write photos, one caption for each, and the pictures that answer them."""
    for place in ("coco/val2014", "coco/annotations", "made"):
        (folder / place).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, count, 8, 8, 3), dtype=np.uint8)
    for number in range(count):
        name = f"COCO_val2014_{number:012d}.png"
        (folder / "coco/val2014" / name).write_bytes(encode_png(pixels[0, number]))
        (folder / "made" / f"{number}.png").write_bytes(encode_png(pixels[1, number]))
    images = [{"id": n, "file_name": f"COCO_val2014_{n:012d}.png", "width": 8, "height": 8} for n in range(count)]
    captions = [{"id": n, "image_id": n, "caption": f"picture number {n}"} for n in range(count)]
    document = {"images": images, "annotations": captions}
    (folder / "coco/annotations/captions_val2014.json").write_text(json.dumps(document))


def write_features(folder: Path, count: int) -> None:
    """Put random features of a decaying spectrum into the cache for all pictures."""
    workspace = Workspace(cache=folder / "cache")
    extractor = inception(workspace, "torch-fidelity", "native")
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(DIM, DIM)).astype(np.float32) * (np.arange(1, DIM + 1, dtype=np.float32) ** -0.7)[:, None]
    with FeatureCache(workspace.cache / "features") as cache:
        photos = [FilePicture(path) for path in sorted((folder / "coco/val2014").iterdir())]
        made = [read_image(path, str(path)) for path in sorted((folder / "made").iterdir())]
        for shift, pictures in ((0.0, photos), (0.02, made)):
            names = identities(pictures, cache)
            for start in range(0, count, 5000):
                part = names[start : start + 5000]
                raw = rng.normal(size=(len(part), DIM)).astype(np.float32)
                cache.put_many(part, extractor.fingerprint, np.maximum(raw @ mixing * 0.1 + 0.3 + shift, 0))


def timed_run(folder: Path, what: str) -> None:
    """Run the command and print its seconds."""
    command = [
        *[sys.executable, "-m", "evalkit", "run", "coco_fid", "--data", "coco", "--data-dir", str(folder / "coco")],
        *["-m", f"images:{folder / 'made'}", "-o", str(folder / "runs"), "--cache", str(folder / "cache"), "--json"],
    ]
    weights = os.environ.get("EVALKIT_WEIGHTS", str(Workspace().weights))
    start = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "EVALKIT_WEIGHTS": weights}
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr)
    (run,) = json.loads(done.stdout)["runs"]
    fid = run["estimates"]["fid"]
    print(f"{what:<52} {seconds:8.2f} s   fid {fid['value']:.6f} {fid['interval']} {run['coverage']}", flush=True)


def main(count: int) -> None:
    """Print the table."""
    folder = Path(tempfile.mkdtemp())
    try:
        write_data(folder, count)
        write_features(folder, count)
        print(f"coco_fid on {count:,} pictures")
        timed_run(folder, "first run: answers committed, numbers computed")
        for numbers in (folder / "cache" / "features").glob("statistics*"):
            shutil.rmtree(numbers)
        timed_run(folder, "answers and features cached, numbers computed")
        timed_run(folder, "everything cached")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30_000)
