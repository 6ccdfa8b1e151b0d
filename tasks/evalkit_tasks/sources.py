"""Where the official files come from: address, size and SHA-256 of each, and fetching them.

Every digest is public knowledge: each of the six stands in the dataset prototypes of torchvision
(`torchvision/prototype/datasets/_builtin/coco.py`) and was found again, equal, in at least one project that hashed its
own download; the sizes are those of the server's answers in published logs. None was computed here, so a fetch that
ends with another digest is an error that keeps nothing under the file's name.

The server's own name has no certificate of its own, hence the bucket's address, which is the same storage over TLS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.downloads import fetch
from evalkit.errors import DataError, UsageError, nearest
from evalkit.workspace import Workspace

IMAGES_OF_SPLIT = {"train2014": 82_783, "val2014": 40_504, "train2017": 118_287, "val2017": 5_000}
"""Photos in each official split."""
BLOCKSWORLD = Path(__file__).parent / "blocksworld" / "data"
"""The embedded data."""
_BUCKET = "https://s3.amazonaws.com/images.cocodataset.org"


@dataclass(frozen=True, slots=True)
class Source:
    """One official file: its address, its size in bytes and the SHA-256 of its content."""

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


OFFICIAL: Mapping[str, Source] = {
    "val2014": Source(
        f"{_BUCKET}/zips/val2014.zip",
        6_645_013_297,
        "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
    ),
    "train2014": Source(
        f"{_BUCKET}/zips/train2014.zip",
        13_510_573_713,
        "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    ),
    "val2017": Source(
        f"{_BUCKET}/zips/val2017.zip",
        815_585_330,
        "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    ),
    "train2017": Source(
        f"{_BUCKET}/zips/train2017.zip",
        19_336_861_798,
        "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
    "annotations2014": Source(
        f"{_BUCKET}/annotations/annotations_trainval2014.zip",
        252_872_794,
        "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
    ),
    "annotations2017": Source(
        f"{_BUCKET}/annotations/annotations_trainval2017.zip",
        252_907_541,
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    ),
}
"""The official files by what they hold."""


def coco_directory(workspace: Workspace) -> Path:
    """Return the folder where MS-COCO is looked for: `--data-dir`, or where `evalkit fetch coco` puts it."""
    return workspace.data_dir or workspace.datasets / "coco"


def sources_of(split: str) -> list[Source]:
    """Return the files that `split` needs: the annotations of its year, which are small, and its photos.

    Raises:
        UsageError: no such split.
    """
    if split not in IMAGES_OF_SPLIT:
        raise UsageError(f"MS-COCO has no split {split!r}{nearest(split, IMAGES_OF_SPLIT)}")
    return [OFFICIAL[f"annotations{split[-4:]}"], OFFICIAL[split]]


def fetch_coco(workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
    """Return the official files of the option `split` (val2014), fetched into the folder where tasks look for them.

    A file that is there already is checked and kept.

    Raises:
        UsageError: no such split.
        DataError: the network is forbidden or fails, or a file has another size or digest.
    """
    return fetched(sources_of(options.get("split") or "val2014"), coco_directory(workspace), workspace)


def fetched(sources: Sequence[Source], directory: Path, workspace: Workspace) -> list[Path]:
    """Return the files of `sources` in `directory`, each fetched, or checked where it is there already.

    Raises:
        DataError: the network is forbidden or fails, or a file has another size or digest.
    """
    return [
        fetch(source.url, directory / source.name, workspace, sha256=source.sha256, size=source.size)
        for source in sources
    ]


def locate_coco(workspace: Workspace) -> list[tuple[str, Path | None]]:
    """Return each official file or, in its place, the folder that it unpacks to, with where it was found."""
    directory = coco_directory(workspace)
    found: list[tuple[str, Path | None]] = []
    for what, source in OFFICIAL.items():
        unpacked = directory / (what if what in IMAGES_OF_SPLIT else f"annotations/captions_val{what[-4:]}.json")
        found.append((what, next((path for path in (unpacked, directory / source.name) if path.exists()), None)))
    return found


def fetch_blocksworld(workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
    """Return the files of the embedded data: they are part of evalkit and need no fetching.

    Raises:
        DataError: the installation lacks them.
    """
    files = [path for _, path in locate_blocksworld(workspace) if path is not None]
    if len(files) < len(_EMBEDDED):
        raise DataError(f"{BLOCKSWORLD} is incomplete; install evalkit again")
    return files


def locate_blocksworld(workspace: Workspace) -> list[tuple[str, Path | None]]:
    """Return the embedded caption set's files with where they are."""
    paths = [(what, BLOCKSWORLD / name) for what, name in _EMBEDDED.items()]
    return [(what, path if path.exists() else None) for what, path in paths]


_EMBEDDED: Mapping[str, str] = {"val": "val.zip", "annotations": "annotations/captions_val.json"}
