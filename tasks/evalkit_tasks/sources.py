"""Where the official files come from: address, size and SHA-256 of each, and fetching them.

Every digest is public knowledge. Each of COCO's six stands in the dataset prototypes of torchvision
(`torchvision/prototype/datasets/_builtin/coco.py`), each of VQAv2's five in ParlAI (`parlai/tasks/vqa_v2/build.py` of
facebookresearch/ParlAI at 0570c9f), and each, that of VQAv2's test questions aside, was found again, equal, in at least
one project that hashed its own download; the sizes are those that such projects or published logs have. None was
computed here, so a fetch that ends with another digest is an error that keeps nothing under the file's name. Of the
other question benchmarks no published digests are known, so their files are not fetched.

COCO's server has no certificate of its own name, hence the bucket's address, which is the same storage over TLS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.downloads import fetch
from evalkit.errors import DataError, UsageError, nearest
from evalkit.wheels import fetch_wheel, require_wheel
from evalkit.workspace import Workspace

IMAGES_OF_SPLIT = {"train2014": 82_783, "val2014": 40_504, "train2017": 118_287, "val2017": 5_000}
"""Photos in each official split."""
BLOCKSWORLD = Path(__file__).parent / "blocksworld" / "data"
"""The embedded data."""
_BUCKET = "https://s3.amazonaws.com/images.cocodataset.org"


@dataclass(frozen=True, slots=True)
class Source:
    """One official file: its address, its size in bytes where that is known, and the SHA-256 of its content."""

    url: str
    size: int | None
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
"""The official files of MS-COCO by what they hold."""
_VQA = "https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa"
VQAV2: Mapping[str, tuple[Source, ...]] = {
    "val": (
        Source(
            f"{_VQA}/v2_Questions_Val_mscoco.zip",
            3_494_929,
            "e71f6c5c3e97a51d050f28243e262b28cd0c48d11a6b4632d769d30d3f93222a",
        ),
        Source(
            f"{_VQA}/v2_Annotations_Val_mscoco.zip",
            10_518_930,
            "0caae7c8d1dafd852727f5ac046bc1efca9b72026bd6ffa34fc489f3a7b3291e",
        ),
    ),
    "train": (
        Source(
            f"{_VQA}/v2_Questions_Train_mscoco.zip",
            7_239_401,
            "05a64b6e2582d06d7585f5429674a9a33851878be1bff9f8668cdcf792df611e",
        ),
        Source(
            f"{_VQA}/v2_Annotations_Train_mscoco.zip",
            21_708_861,
            "fb101bcefe91422c543c2bb6d70af11eb3119d0ff745ae283d09acdf66250853",
        ),
    ),
    "test": (
        Source(
            f"{_VQA}/v2_Questions_Test_mscoco.zip",
            None,
            "982e2e687a86514b78ea83af356d151976c5e3fb4168a29ca543610574082ad7",
        ),
    ),
}
"""The official files of VQAv2 by split, without the photos; those of test have test-dev's questions too."""
_UNPACKED: Mapping[str, str] = {
    "questions": "v2_OpenEnded_mscoco_{split}{year}_questions.json",
    "annotations": "v2_mscoco_{split}{year}_annotations.json",
}

EASY_VQA = "easy-vqa"
EASY_VQA_WHEEL = "easy_vqa-1.0-py3-none-any.whl"
EASY_VQA_SHA256 = "fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f"
_EASY_VQA_REQUIREMENT = "easy-vqa==1.0"

_GENEVAL_COMMIT = "af4902f24d3ca90ebbb446dd9891a59e0f82725f"
GENEVAL = Source(
    f"https://raw.githubusercontent.com/djghosh13/geneval/{_GENEVAL_COMMIT}/prompts/evaluation_metadata.jsonl",
    85_209,
    "5c48e0813e812e3c373fa5c8ed07a8f0a483be30272b4427b0559c8048e67c13",
)


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


def fetch_vqav2(workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
    """Return VQAv2's questions and annotations of the option `split` (val), fetched to where the task looks for them.

    Raises:
        UsageError: no such split.
        DataError: the network is forbidden or fails, or a file has another size or digest.
    """
    split = options.get("split") or "val"
    if split not in VQAV2:
        raise UsageError(f"VQAv2 has no files of {split!r}{nearest(split, VQAV2)}")
    return fetched(VQAV2[split], workspace.data_dir or workspace.datasets / "vqav2", workspace)


def locate_vqav2(workspace: Workspace) -> list[tuple[str, Path | None]]:
    """Return each official file of VQAv2, zipped or, in its place, unpacked, with where it was found."""
    directory = workspace.data_dir or workspace.datasets / "vqav2"
    found: list[tuple[str, Path | None]] = []
    for split, sources in VQAV2.items():
        for source in sources:
            what = "annotations" if "Annotations" in source.name else "questions"
            unpacked = _UNPACKED[what].format(year="2015" if split == "test" else "2014", split=split)
            places = (directory / source.name, directory / unpacked, directory / "annotations" / unpacked)
            found.append((f"{what} of {split}", next((path for path in places if path.is_file()), None)))
    return found


def fetch_easy_vqa(workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
    """Return easy-VQA's wheel, fetched if it is not at hand.

    Raises:
        DataError: it cannot be had, or is another one.
    """
    return [easy_vqa_wheel(workspace, workspace.data_dir or workspace.datasets / EASY_VQA)]


def locate_easy_vqa(workspace: Workspace) -> list[tuple[str, Path | None]]:
    """Return easy-VQA's wheel with where it was found."""
    path = (workspace.data_dir or workspace.datasets / EASY_VQA) / EASY_VQA_WHEEL
    return [("wheel", path if path.is_file() else None)]


def easy_vqa_wheel(workspace: Workspace, directory: Path) -> Path:
    """Return easy-VQA's wheel in `directory`, fetched from the package index if it is not there.

    Raises:
        DataError: it cannot be had, or is another one.
    """
    path = directory / EASY_VQA_WHEEL
    if path.is_file():
        require_wheel(path, _EASY_VQA_REQUIREMENT, EASY_VQA_SHA256)
        return path
    if workspace.offline:
        raise DataError(
            f"{path} is not here and the network is forbidden; get it where there is one with `evalkit fetch "
            f"{EASY_VQA}`, or with `pip download --no-deps {_EASY_VQA_REQUIREMENT}` into a folder that --data-dir names"
        )
    workspace.progress.say(f"fetching {_EASY_VQA_REQUIREMENT} (3 MB, MIT) from the package index")
    return fetch_wheel(_EASY_VQA_REQUIREMENT, path, workspace, sha256=EASY_VQA_SHA256, size=3_215_672)


def geneval_directory(workspace: Workspace) -> Path:
    """Return the folder where GenEval's prompts are looked for."""
    return workspace.data_dir or workspace.datasets / "geneval"


def fetch_geneval(workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
    """Return GenEval's prompts, fetched if they are not at hand.

    Raises:
        DataError: they cannot be had, or are others.
    """
    return fetched([GENEVAL], geneval_directory(workspace), workspace)


def locate_geneval(workspace: Workspace) -> list[tuple[str, Path | None]]:
    """Return GenEval's prompts with where they were found."""
    path = geneval_directory(workspace) / GENEVAL.name
    return [("prompts", path if path.is_file() else None)]


def fetch_text_prompts(workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
    """Return the file that holds the prompts of `text_rendering`: it is part of evalkit and needs no fetching."""
    return [path for _, path in locate_text_prompts(workspace) if path is not None]


def locate_text_prompts(workspace: Workspace) -> list[tuple[str, Path | None]]:
    """Return the file that holds the prompts of `text_rendering`."""
    return [("prompts", Path(__file__).with_name("text_prompts.py"))]


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
