"""Runs drawn for the report tests: small pictures in a real store, real run folders, nothing measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.blobs import Blobs
from evalkit.images import Pixels, image_of
from evalkit.keys import noun_json
from evalkit.protocols import Protocol, protocol
from evalkit.results import Coverage, Run, SampleRecord, write_run
from evalkit.types import Box, Boxes, Estimate, Image, ImageRole, Interval, Json, Mask, Part, Text, Unavailable

FID_PROTOCOL = protocol(
    "torch-fidelity",
    {
        "antialias": False,
        "crop": "none",
        "dtype": "float32",
        "extractor": "inception-v3-compat",
        "extractor_sha256": "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "n_generated": 500,
        "n_real": 500,
        "quantisation": "uint8",
        "reference_set": "blocksworld-test",
        "resize": "bilinear",
        "size": 299,
    },
)
CLEAN_PROTOCOL = FID_PROTOCOL.with_fields({"resize": "bicubic", "antialias": True})
VQA_PROTOCOL = protocol("vqa-official", {"normaliser": "vqa-official@1", "prompt": "short answer", "n": 120})
COLOURS = ((214, 64, 52), (48, 112, 214), (58, 158, 84), (240, 190, 60), (140, 82, 190))
SMALL_N = "n = 500 is below 2,049: FID is biased upwards and its covariance is not of full rank"


def scene(seed: int, side: int = 192) -> Pixels:
    """Return a few coloured blocks on a pale ground, the same for the same seed."""
    random = np.random.default_rng(seed)
    pixels = np.full((side, side, 3), random.integers(205, 245, 3), np.uint8)
    pixels[side * 2 // 3 :] = np.maximum(pixels[side * 2 // 3 :], 30) - 25
    for colour in random.permutation(len(COLOURS))[: 1 + seed % 3]:
        size = int(random.integers(side // 6, side // 3))
        top, left = (int(v) for v in random.integers(0, side - size, 2))
        pixels[top : top + size, left : left + size] = COLOURS[colour]
    return pixels


def grain(seed: int, side: int = 64) -> Pixels:
    """Return noise, which no encoder makes small."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Studio:
    """A folder with a picture store and run folders."""

    root: Path

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def picture(self, pixels: Pixels, role: ImageRole = "generated") -> Image:
        """Store the pixels and return their noun."""
        return Blobs(self.cache / "blobs").put(image_of(pixels, role))

    def write(self, name: str, run: Run, samples: Iterable[SampleRecord]) -> Path:
        directory = self.root / "runs" / name
        write_run(directory, run, samples)
        return directory

    def provenance(self) -> dict[str, Json]:
        return {
            "cache": str(self.cache),
            "started": "2026-05-04T09:30:12Z",
            "seconds": 74.2,
            "seed": 0,
            "gen": {"guidance": 3.0, "steps": 50},
            "packages": {"torch": "2.6.0", "numpy": "2.2.1", "pillow": "11.1.0"},
        }

    def fid_run(
        self,
        name: str,
        model: str,
        *,
        value: float = 41.3,
        under: Protocol = FID_PROTOCOL,
        n: int = 60,
        failures: int = 0,
        seed: int = 0,
        stamps: Sequence[str] = ("demo data",),
        data: str = "blocksworld",
        side: int = 192,
    ) -> Path:
        """Write a text-to-image run with FID and its family."""
        coverage = Coverage(asked=n, answered=n - failures, failed=failures, from_cache=n // 4)
        by_n = tuple((float(k), value - 9 + 1800 / k) for k in (100, 150, 200, 300, 400, 500))
        run = Run(
            task="coco_fid@1",
            model=model,
            data=data,
            estimates=fid_estimates(value, under.digest, n - failures),
            coverage=coverage,
            stamps=tuple(stamps),
            protocols={under.digest: under},
            series={"fid_by_n": by_n, "fid_by_n_fit": by_n},
            provenance=self.provenance(),
        )
        return self.write(name, run, [self._drawing(i, seed, side, failed=i < failures) for i in range(n)])

    def _drawing(self, number: int, seed: int, side: int, *, failed: bool) -> SampleRecord:
        colours = ("red cube", "blue cylinder", "green ball", "yellow prism")
        prompt = f"A {colours[number % 4]} to the left of a {colours[(number + 1 + seed) % 4]} on a pale table."
        answer = None if failed else [self.picture(scene(1000 * seed + number, side))]
        return sample(
            f"{391895 + number}-{770337 + number}",
            [Text(prompt)],
            answer,
            strata={"difficulty": ("easy", "medium", "hard")[number % 3]},
            failure=("timeout", "no answer within 120 s") if failed else None,
            scores={} if failed else {"clip_score": 0.2 + 0.001 * (number * 37 % 100)},
        )

    def vqa_run(self, name: str, model: str, *, accuracy: float = 0.641, n: int = 40, limited: bool = False) -> Path:
        """Write a question-answering run whose answers are text about a source picture."""
        estimate = Estimate(
            accuracy, n, "share", True, VQA_PROTOCOL.digest,
            Interval(accuracy - 0.031, accuracy + 0.029, 0.95, "bootstrap by image"),
        )  # fmt: skip
        run = Run(
            task="vqav2@1",
            model=model,
            data="blocksworld",
            estimates={"vqa_accuracy": estimate},
            coverage=Coverage(n, n, 0, 0),
            stamps=("demo data", f"limited to {n} of 2,000 samples") if limited else ("demo data",),
            protocols={VQA_PROTOCOL.digest: VQA_PROTOCOL},
            series={},
            provenance=self.provenance(),
        )
        return self.write(name, run, [self._question(i, accuracy) for i in range(n)])

    def _question(self, number: int, accuracy: float) -> SampleRecord:
        source = self.picture(scene(number % 12, 96), "source")
        right = (number * 61 % 100) / 100 < accuracy
        references = [Text("red")] * 7 + [Text("dark red")] * 2 + [Text("brown")]
        return sample(
            f"{42000 + number}",
            [source, Text("What colour is the block on the left?")],
            [Text("red" if right else "blue")],
            references=references,
            strata={"question_type": ("what colour", "how many")[number % 2], "answer_type": "other"},
            scores={"vqa_accuracy": 1.0 if right else 0.0},
        )

    def edit_run(self, name: str, model: str, *, right: float = 0.8, n: int = 30) -> Path:
        """Write an editing run on masked pictures with boxes, `right` of whose answers are the wanted picture."""
        made = [self._edit(i, right) for i in range(n)]
        share = sum(record.scores["edit_success"] for record in made) / n
        run = Run(
            task="edits@1",
            model=model,
            data="blocksworld",
            estimates={"edit_success": Estimate(share, n, "fraction", True, VQA_PROTOCOL.digest)},
            coverage=Coverage(n, n, 0, 0),
            stamps=(),
            protocols={VQA_PROTOCOL.digest: VQA_PROTOCOL},
            series={},
            provenance=self.provenance(),
        )
        return self.write(name, run, made)

    def _edit(self, number: int, right: float) -> SampleRecord:
        before, after = self.picture(scene(number, 64), "source"), self.picture(scene(number + 500, 64))
        white = np.zeros((64, 64, 3), np.uint8)
        white[16:48, 8:24] = 255
        done = (number * 61 % 100) / 100 < right
        return sample(
            f"edit-{number}",
            [
                before,
                Mask(self.picture(white, "mask")),
                Text("Swap the blocks."),
                Boxes((Box("b", 8, 16, 16, 32),), 64, 64),
            ],
            [after if done else before],
            references=[after],
            scores={"edit_success": float(done)},
        )


def fid_estimates(value: float, digest: str, n: int) -> dict[str, Estimate | Unavailable]:
    """Return FID and its family around `value`."""

    def found(value: float, half: float, unit: str, higher: bool, *warnings: str) -> Estimate:
        return Estimate(
            value, n, unit, higher, digest, Interval(value - half, value + half, 0.95, "bootstrap"), warnings
        )

    return {
        "fid": found(value, 1.73, "squared feature units", False, SMALL_N),
        "fid_infinity": found(value - 9, 2.61, "squared feature units", False),
        "kid": found(value / 1e3, 0.00213, "", False),
        "precision": found(0.7312, 0.021, "share", True),
        "recall": found(0.4123, 0.034, "share", True),
        "inception_score": Unavailable(
            "the classifier of the FID Inception is not here; `evalkit fetch weights inception-classifier` gets it"
        ),
    }


def sample(
    name: str,
    parts: Sequence[Part],
    answer: Sequence[Part] | None,
    *,
    references: Sequence[Part] = (),
    strata: Mapping[str, str] | None = None,
    failure: tuple[str, str] | None = None,
    scores: Mapping[str, float] | None = None,
) -> SampleRecord:
    """Return a record with what a page shows; the rest is filler."""
    return SampleRecord(
        id=name,
        cluster=name,
        strata=strata or {},
        parts=tuple(noun_json(part) for part in parts),
        references=tuple(noun_json(part) for part in references),
        key="0" * 64,
        seed=1,
        from_cache=False,
        seconds=0.5,
        answer_parts=None if answer is None else tuple(noun_json(part) for part in answer),
        failure=failure,
        scores=scores or {},
    )
