"""Laws of pictures kept elsewhere: what holds on disk holds there, and the index alone stays here."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pytest

from evalkit.cache import Cache, gc, set_aside, verify
from evalkit.cache.export import export
from evalkit.cache.places import Places
from evalkit.errors import CacheError, UsageError
from evalkit.images import image_of, pixels
from evalkit.remote_blobs import RemoteBlobs
from evalkit.runner import RunSettings, run
from evalkit.types import Image
from tests.fakes import CountingModel, TinyTask

ARRAY = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3)


@pytest.fixture
def address() -> str:
    """A place of its own in a store that is no file system."""
    return f"memory://{uuid.uuid4().hex}/blobs"


def opened(directory: Path, address: str) -> Cache:
    Places(directory).keep_blobs_at(address)
    return Cache(directory)


def objects(address: str) -> list[str]:
    system, root = fsspec.core.url_to_fs(address)
    return sorted(system.find(root))


def test_a_picture_comes_back_with_its_pixels(address: str) -> None:
    blobs, image = RemoteBlobs(address), image_of(ARRAY)
    assert not blobs.has(image.digest)
    stored = blobs.put(image)
    assert stored == image and blobs.has(image.digest)
    assert np.array_equal(pixels(stored), ARRAY)
    assert np.array_equal(blobs.read(image.digest), ARRAY)
    assert blobs.put(stored) == stored
    assert len(objects(address)) == 1


def test_damage_is_an_error_that_names_the_object(address: str) -> None:
    blobs, image = RemoteBlobs(address), image_of(ARRAY)
    with pytest.raises(CacheError, match=r"memory://.*png cannot be read"):
        blobs.read(image.digest)
    blobs.put(image)
    system, path = fsspec.core.url_to_fs(blobs.place(image.digest))
    system.pipe_file(path, image_of(ARRAY + 1).content)
    with pytest.raises(CacheError, match="does not hold picture"):
        blobs.read(image.digest)
    with pytest.raises(CacheError, match="64 hexadecimal digits"):
        blobs.read("../secret")


def test_a_run_keeps_its_pictures_there_and_nothing_else(tmp_path: Path, address: str) -> None:
    model = CountingModel()
    with opened(tmp_path / "cache", address) as cache:
        first = run(TinyTask(), model, cache, RunSettings(), tmp_path / "runs")[0]
    with Cache(tmp_path / "cache") as cache:
        again = run(TinyTask(), model, cache, RunSettings(), tmp_path / "runs")[0]
        assert verify(cache) == []
        export(cache, tmp_path / "exported")
    with Cache(tmp_path / "here") as cache:
        here = run(TinyTask(), model, cache, RunSettings(), tmp_path / "runs")[0]
    assert set(model.asked.values()) == {2}
    assert first.estimates == again.estimates == here.estimates
    assert len(objects(address)) == 10
    assert not list((tmp_path / "cache").rglob("*.png"))
    assert len(list((tmp_path / "exported").rglob("*.png"))) == 10


def test_a_lost_object_is_found_and_made_again(tmp_path: Path, address: str) -> None:
    model, task = CountingModel(), TinyTask()
    with opened(tmp_path / "cache", address) as cache:
        run(task, model, cache, RunSettings(), tmp_path / "runs")
        system, _ = fsspec.core.url_to_fs(address)
        system.rm_file(objects(address)[0])
        (damage,) = verify(cache)
        assert damage.kind == "picture" and "is missing" in damage.why
        assert set_aside(cache, [damage]) == 1
        run(task, model, cache, RunSettings(), tmp_path / "runs")
        assert verify(cache) == []
    assert sorted(model.asked.values()) == [1] * 9 + [2]


def test_a_clean_up_leaves_what_other_indexes_may_refer_to(tmp_path: Path, address: str) -> None:
    with opened(tmp_path / "cache", address) as cache:
        run(TinyTask(), CountingModel(), cache, RunSettings(), tmp_path / "runs")
        assert gc(cache, older_than_days=0).pictures == 0
    assert len(objects(address)) == 10


def test_a_cache_keeps_all_its_pictures_in_one_place(tmp_path: Path, address: str) -> None:
    with opened(tmp_path / "cache", address):
        pass
    Places(tmp_path / "cache").keep_blobs_at(address)
    with pytest.raises(UsageError, match="are kept in memory://"):
        Places(tmp_path / "cache").keep_blobs_at("memory://other")
    with Cache(tmp_path / "here") as cache:
        run(TinyTask(), CountingModel(), cache, RunSettings(), tmp_path / "runs")
    with pytest.raises(UsageError, match="here/blobs; leave out --blobs"):
        Places(tmp_path / "here").keep_blobs_at(address)


def test_a_folder_that_machines_share_is_a_place_too(tmp_path: Path) -> None:
    with opened(tmp_path / "cache", str(tmp_path / "shared")) as cache:
        run(TinyTask(), CountingModel(), cache, RunSettings(), tmp_path / "runs")
        assert verify(cache) == []
        for path in (tmp_path / "shared").rglob("*.png"):
            os.utime(path, (1.0, 1.0))
        assert gc(cache, older_than_days=0).pictures == 0
    assert len(list((tmp_path / "shared").rglob("*.png"))) == 10


def test_a_store_that_is_not_installed_is_an_error_with_the_mend() -> None:
    with pytest.raises(UsageError, match="install what it names, or mend --blobs"):
        RemoteBlobs("nosuchstore://a").put(Image("0" * 64, 5, 7, content=image_of(ARRAY).content))
