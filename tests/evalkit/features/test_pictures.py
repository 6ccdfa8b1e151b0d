"""Pictures: loading, and identities that follow content."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import CacheError, DataError
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import SETTLED_SECONDS, FilePicture, Picture, ZipPicture, _state, identities, load
from evalkit.images import encode_png, image_of
from tests.evalkit.features.conftest import photo_like


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features")


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_the_three_kinds_of_picture_load_the_same_pixels(tmp_path: Path) -> None:
    pixels = photo_like(0, 20, 30)
    (tmp_path / "a.png").write_bytes(encode_png(pixels))
    archive = _zip(tmp_path / "a.zip", {"in/a.png": encode_png(pixels)})
    pictures: list[Picture] = [FilePicture(tmp_path / "a.png"), ZipPicture(archive, "in/a.png"), image_of(pixels)]
    for picture in pictures:
        assert np.array_equal(load(picture), pixels)


def test_an_identity_is_the_digest_of_the_content(tmp_path: Path, cache: FeatureCache) -> None:
    image = image_of(photo_like(0, 8, 8))
    content = encode_png(photo_like(0, 8, 8))
    (tmp_path / "a.png").write_bytes(content)
    archive = _zip(tmp_path / "a.zip", {"b.png": content})
    file = f"file:{hashlib.sha256(content).hexdigest()}"
    pictures: list[Picture] = [FilePicture(tmp_path / "a.png"), image, ZipPicture(archive, "b.png")]
    assert identities(pictures, cache) == [file, f"pixels:{image.digest}", file]
    assert identities(pictures, None) == [file, f"pixels:{image.digest}", file]


def test_a_changed_file_of_the_same_size_and_time_gets_a_new_identity(tmp_path: Path, cache: FeatureCache) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    stat = path.stat()
    first = identities([FilePicture(path)], cache)
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert identities([FilePicture(path)], cache) != first


def test_a_settled_file_is_not_read_again(tmp_path: Path, cache: FeatureCache) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    time.sleep(SETTLED_SECONDS + 0.1)  # the time of a file's last change cannot be set back
    first = identities([FilePicture(path)], cache)
    state = _state(FilePicture(path))
    assert cache.known_files([state]) == {state: first[0].removeprefix("file:")}
    cache.remember_files({state: "f" * 64})
    assert identities([FilePicture(path)], cache) == ["file:" + "f" * 64]


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path, cache: FeatureCache) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    identities([FilePicture(path)], cache)
    assert cache.known_files([_state(FilePicture(path))]) == {}


def test_threads_share_an_archive(tmp_path: Path) -> None:
    arrays = [photo_like(seed, 40, 40) for seed in range(12)]
    archive = _zip(tmp_path / "a.zip", {f"{i}.png": encode_png(a) for i, a in enumerate(arrays)})
    wrong: list[int] = []

    def read(offset: int) -> None:
        for turn in range(24):
            i = (turn + offset) % 12
            if not np.array_equal(load(ZipPicture(archive, f"{i}.png")), arrays[i]):
                wrong.append(i)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_archive_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"a.png": encode_png(photo_like(0, 8, 8))})
    load(ZipPicture(archive, "a.png"))
    _zip(archive, {"a.png": encode_png(photo_like(1, 9, 9))})
    assert load(ZipPicture(archive, "a.png")).shape == (9, 9, 3)


def test_what_is_missing_or_damaged_is_an_error_that_names_it(tmp_path: Path, cache: FeatureCache) -> None:
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        identities([FilePicture(tmp_path / "gone.png")], cache)
    with pytest.raises(DataError, match=r"gone\.zip cannot be read"):
        load(ZipPicture(tmp_path / "gone.zip", "a.png"))
    (tmp_path / "not.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"not\.zip is not a readable zip"):
        load(ZipPicture(tmp_path / "not.zip", "a.png"))
    archive = _zip(tmp_path / "a.zip", {"a.png": encode_png(photo_like(0, 64, 64))})
    with pytest.raises(DataError, match=r"no member b\.png"):
        load(ZipPicture(archive, "b.png"))
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip:a\.png cannot be read"):
        identities([ZipPicture(archive, "a.png")], cache)


def test_an_image_without_its_content_is_a_cache_error() -> None:
    import dataclasses

    with pytest.raises(CacheError, match="no content"):
        load(dataclasses.replace(image_of(photo_like(0, 8, 8)), content=None))


@pytest.mark.slow
def test_thirty_thousand_known_files_cost_under_two_seconds(tmp_path: Path, cache: FeatureCache) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    pictures = [FilePicture(folder / f"{i:06}.jpg") for i in range(30_000)]
    for picture in pictures:
        picture.path.write_bytes(picture.path.name.encode())
    time.sleep(SETTLED_SECONDS + 0.5)
    first = identities(pictures, cache)
    start = time.process_time()  # which other work on the machine does not lengthen
    assert identities(pictures, cache) == first
    assert time.process_time() - start < 2
