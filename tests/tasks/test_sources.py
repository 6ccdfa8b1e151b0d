"""The laws of the official files: what is pinned, fetched, checked and found."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.errors import DataError, UsageError
from evalkit.workspace import Workspace
from evalkit_tasks.coco import official_set
from evalkit_tasks.sources import (
    IMAGES_OF_SPLIT,
    OFFICIAL,
    VQAV2,
    Source,
    fetch_blocksworld,
    fetch_coco,
    fetch_text_prompts,
    fetch_vqav2,
    fetched,
    locate_blocksworld,
    locate_coco,
    locate_vqav2,
    sources_of,
)
from evalkit_tasks.vqav2 import vqav2
from tests.tasks.coco_files import write_split
from tests.tasks.question_files import write_vqa


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


@pytest.mark.parametrize("split", VQAV2)
def test_vqav2_s_files_are_pinned_over_tls_under_the_names_that_the_task_reads(split: str) -> None:
    for source in VQAV2[split]:
        assert source.url.startswith("https://")
        assert len(source.sha256) == 64 and int(source.sha256, 16) >= 0
        assert source.name in {f"v2_{what}_{split.title()}_mscoco.zip" for what in ("Questions", "Annotations")}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address that it is served under on this machine."""
    folder = tmp_path / "server"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


def test_vqav2_s_zips_are_fetched_and_the_task_reads_them_where_they_were_put(
    server: tuple[Path, str], tmp_path: Path
) -> None:
    folder, address = server
    write_vqa(folder, zipped=True)
    sources = []
    for real in VQAV2["val"]:
        content = (folder / real.name).read_bytes()
        sources.append(Source(f"{address}/{real.name}", len(content), hashlib.sha256(content).hexdigest()))
    here = Workspace(cache=tmp_path / "cache")
    paths = fetched(sources, here.datasets / "vqav2", here)
    assert dict(locate_vqav2(here)) == {
        "questions of val": paths[0],
        "annotations of val": paths[1],
        "questions of train": None,
        "annotations of train": None,
        "questions of test": None,
    }
    (folder / "val2014.zip").rename(here.datasets / "vqav2" / "val2014.zip")
    assert [sample.id for sample in vqav2(here, None, {}).samples()] == ["42000", "42001", "5000"]
    changed = Source(sources[0].url, None, sources[1].sha256)
    with pytest.raises(DataError, match=r"v2_Questions_Val_mscoco\.zip"):
        fetched([changed], tmp_path / "other", here)
    assert not (tmp_path / "other" / "v2_Questions_Val_mscoco.zip").exists()


def test_vqav2_unpacked_is_located_too(tmp_path: Path) -> None:
    write_vqa(tmp_path / "vqav2")
    found = dict(locate_vqav2(Workspace(data_dir=tmp_path / "vqav2")))
    assert found["questions of val"] == tmp_path / "vqav2" / "v2_OpenEnded_mscoco_val2014_questions.json"
    assert found["annotations of val"] == tmp_path / "vqav2" / "v2_mscoco_val2014_annotations.json"


def test_vqav2_s_files_are_asked_for_by_split(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"VQAv2 has no files of 'vla'; did you mean 'val'"):
        fetch_vqav2(Workspace(cache=tmp_path), {"split": "vla"})
    with pytest.raises(DataError, match=r"(?i)offline|forbid"):
        fetch_vqav2(Workspace(cache=tmp_path, offline=True), {"split": "test"})


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
    (prompts,) = fetch_text_prompts(workspace, {})
    assert "birthday cake" in prompts.read_text(encoding="utf-8")
