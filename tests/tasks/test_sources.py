"""The laws of the official files: what is pinned, fetched, checked and found."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.workspace import Workspace
from evalkit_tasks.coco import official_set
from evalkit_tasks.sources import (
    IMAGES_OF_SPLIT,
    OFFICIAL,
    Source,
    fetch_blocksworld,
    fetch_coco,
    fetched,
    locate_blocksworld,
    locate_coco,
    sources_of,
)
from tests.tasks.coco_files import write_split


def served(path: Path) -> Source:
    content = path.read_bytes()
    return Source(path.resolve().as_uri(), len(content), hashlib.sha256(content).hexdigest())


def test_every_official_file_is_pinned_over_tls() -> None:
    for what, source in OFFICIAL.items():
        assert source.url.startswith("https://")
        assert int(source.sha256, 16) >= 0
        assert len(source.sha256) == 64
        assert source.name in {f"{what}.zip", f"annotations_trainval{what[-4:]}.zip"}
    assert len({source.sha256 for source in OFFICIAL.values()}) == len(OFFICIAL)


@pytest.mark.parametrize("split", IMAGES_OF_SPLIT)
def test_a_split_needs_its_photos_and_the_annotations_of_its_year(split: str) -> None:
    assert [source.name for source in sources_of(split)] == [f"annotations_trainval{split[-4:]}.zip", f"{split}.zip"]


def test_an_unknown_split_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no split 'val2015'; did you mean 'val2017'|'val2014'"):
        fetch_coco(Workspace(), {"split": "val2015"})


def test_fetched_files_are_read_where_they_were_put(tmp_path: Path) -> None:
    server = write_split(tmp_path / "server", "val2017", zipped=True)
    sources = [served(server / name) for name in ("annotations_trainval2017.zip", "val2017.zip")]
    paths = fetched(sources, tmp_path / "here", Workspace(cache=tmp_path))
    assert [path.name for path in paths] == ["annotations_trainval2017.zip", "val2017.zip"]
    assert len(official_set(tmp_path / "here", "val2017").photos) == 3
    assert fetched(sources, tmp_path / "here", Workspace(cache=tmp_path, offline=True)) == paths, (
        "what is there is kept"
    )


def test_another_digest_than_the_pinned_one_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"changed")
    source = Source((tmp_path / "file.zip").resolve().as_uri(), 7, hashlib.sha256(b"pinned!").hexdigest())
    with pytest.raises(DataError, match=r"file\.zip"):
        fetched([source], tmp_path / "here", Workspace(cache=tmp_path))
    assert not (tmp_path / "here" / "file.zip").exists()


def test_a_file_of_another_size_is_not_taken_for_the_official_one(tmp_path: Path) -> None:
    (tmp_path / "annotations_trainval2014.zip").write_bytes(b"half a download")
    with pytest.raises(DataError, match=r"annotations_trainval2014\.zip"):
        fetch_coco(Workspace(cache=tmp_path, data_dir=tmp_path, offline=True), {})


def test_offline_fetches_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?i)offline|forbid"):
        fetch_coco(Workspace(cache=tmp_path, data_dir=tmp_path, offline=True), {"split": "val2017"})
    assert not list(tmp_path.glob("*.zip"))


def test_the_environment_forbids_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_OFFLINE", "1")
    with pytest.raises(DataError, match=r"(?i)offline|forbid"):
        fetch_coco(Workspace(cache=tmp_path), {})


def test_listing_and_locating_import_nothing_heavy() -> None:
    heavy = "{'numpy', 'torch', 'pandas', 'PIL', 'sklearn', 'pydantic', 'datasets'}"
    code = f"import sys, evalkit_tasks, evalkit_tasks.sources; print(sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_official_files_are_located_zipped_or_unpacked(tmp_path: Path) -> None:
    write_split(tmp_path, "val2017")
    write_split(tmp_path, "train2014", zipped=True)
    assert dict(locate_coco(Workspace(data_dir=tmp_path))) == {
        "val2014": None,
        "train2014": tmp_path / "train2014.zip",
        "val2017": tmp_path / "val2017",
        "train2017": None,
        "annotations2014": tmp_path / "annotations_trainval2014.zip",
        "annotations2017": tmp_path / "annotations" / "captions_val2017.json",
    }


def test_the_embedded_data_needs_no_fetching(tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path, offline=True)
    found = dict(locate_blocksworld(workspace))
    assert set(found) == {"val", "annotations"}
    assert fetch_blocksworld(workspace, {}) == list(found.values())
