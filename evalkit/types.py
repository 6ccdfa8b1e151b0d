"""The nouns: what a sample, a request, an answer and an estimate are.

Everything here is frozen and slotted, compares by value, and imports neither numpy nor torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

JsonScalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "JsonScalar | list[Json] | dict[str, Json]"

Job: TypeAlias = Literal[
    "text-to-image",
    "text-guided-editing",
    "structure-to-image",
    "object-to-image",
    "segmentation-to-image",
    "captioning",
    "vqa",
]
IMAGE_JOBS: frozenset[Job] = frozenset(
    {
        "text-to-image",
        "text-guided-editing",
        "structure-to-image",
        "object-to-image",
        "segmentation-to-image",
    }
)

ImageRole: TypeAlias = Literal["source", "mask", "edges", "depth", "segmentation", "retrieved", "generated"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text: a prompt, a question, an instruction, a caption, an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that is reached by `fsspec`: `s3://bucket/blobs/ab/abcdef.png`."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class ZipPicture:
    """A picture inside a zip archive, read without unpacking."""

    archive: Path
    member: str

    def __str__(self) -> str:
        return f"{self.archive}:{self.member}"


@dataclass(frozen=True, slots=True)
class Image:
    """An RGB picture of 8 bits a channel, known by the digest of its pixels.

    `digest` is `evalkit.images.pixel_digest` of the pixels: it does not depend on the file format or on the PNG
    encoder. `content` is where the pixels are: an encoded image in memory, a file that holds one, or a member of a zip.
    It takes no part in comparison. Read the pixels with `evalkit.images.pixels`.
    """

    digest: str
    width: int
    height: int
    role: ImageRole = "source"
    content: bytes | Path | RemoteFile | ZipPicture | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Box:
    """One object: its label and its box, `x, y` the top left corner, all in pixels of the picture."""

    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Boxes:
    """The objects of a picture of `width` by `height` pixels."""

    boxes: tuple[Box, ...]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Mask:
    """A region: white (255, 255, 255) inside, black outside."""

    image: Image


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A class for each pixel, its id being R + 256 G + 65536 B (the encoding of COCO panoptic PNGs)."""

    image: Image
    names: tuple[tuple[int, str], ...]


Part: TypeAlias = Text | Image | Boxes | Mask | LabelMap


@dataclass(frozen=True, slots=True)
class Sample:
    """One test item.

    `parts` is the question as the data has it, `references` the right answers (a model never sees them), `strata` names
    what a report may group by (`("question_type", "how many")`), and `cluster` is what standard errors are clustered
    by: the image id.
    """

    id: str
    parts: tuple[Part, ...]
    references: tuple[Part, ...] = ()
    strata: tuple[tuple[str, str], ...] = ()
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked, with every knob that can change the answer.

    Two requests that could be answered differently differ in a field, and every field is in the cache key. None means
    the model's own default. A request cannot hold references.
    """

    task: str
    """Versioned name of the task, `coco_fid@1`."""
    sample_id: str
    job: Job
    parts: tuple[Part, ...]
    seed: int
    """Seed of this request alone: see `evalkit.keys.sample_seed`."""
    best_of: int = 1
    """Candidates that the model makes, of which it returns the one that it ranks best."""
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    guidance: float | None = None
    """Weight of classifier-free guidance towards the text; 1 is none."""
    image_guidance: float | None = None
    """Weight of guidance towards the input picture, in editing; 1 is none."""
    steps: int | None = None
    width: int | None = None
    height: int | None = None
    """Size of the picture to be made, in pixels."""
    negative_prompt: str | None = None
    stop: tuple[str, ...] = ()
    extra: tuple[tuple[str, JsonScalar], ...] = ()
    """Knobs of one model only, sorted by name."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer: its parts (text or pictures), how it ended, and the seconds that it took."""

    parts: tuple[Part, ...]
    finish: Literal["stop", "length"] = "stop"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer. It is counted and shown, never cached, never scored as zero."""

    kind: str
    """One word for tables: `missing`, `exception`, `refusal`, `timeout`, `malformed`."""
    message: str
    seconds: float = 0.0


Answer: TypeAlias = Generation | Failure


@dataclass(frozen=True, slots=True)
class Interval:
    """A range that covers the true value with probability `level`, and how it was made."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that may be reported: with its n, unit, direction, interval and the protocol that it holds under.

    `higher_is_better` is None where neither direction is (a rate that only describes). `protocol` is the digest of an
    `evalkit.protocols.Protocol`. `warnings` are shown wherever the number is.
    """

    value: float
    n: int
    unit: str
    higher_is_better: bool | None
    protocol: str
    interval: Interval | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A number that this machine cannot make now, and what would make it possible."""

    reason: str
