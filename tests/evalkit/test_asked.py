from __future__ import annotations

import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from evalkit.asked import ASKED, Head, asked_samples, begin, end, head_of, picture_files
from evalkit.blobs import Blobs
from evalkit.cache import Cache, gc
from evalkit.errors import DataError
from evalkit.images import encode_png, image_of, pixels, read_image
from evalkit.keys import request_key
from evalkit.questions import Asked
from evalkit.runner import RunSettings, run
from evalkit.types import Generation, Image, Mask, Request, Sample, Text, ZipPicture
from tests.evalkit.cache.entries import IDENTITY, picture
from tests.evalkit.cache.test_sweep import aged
from tests.fakes import CountingModel, TinyTask

HEAD = Head("tiny@1", "model", "data", "/cache", 12.5)


def asked(number: int, *parts: Image | Mask) -> Asked:
    request = Request("tiny@1", f"s{number}", "text-guided-editing", (*parts, Text("make it red")), number)
    sample = Sample(f"s{number}", request.parts, (picture(100 + number),), (("kind", "edit"),))
    return Asked(sample, request, request_key(IDENTITY, request))


def files(cache: Cache) -> list[Path]:
    assert isinstance(cache.blobs, Blobs)
    return list(cache.blobs.files())


def test_what_is_asked_is_read_back_without_answers(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        items = [asked(n, picture(n)) for n in range(3)]
        begin(tmp_path / "run", HEAD, items, cache)
        assert head_of(tmp_path / "run") == HEAD
        read = list(asked_samples(tmp_path / "run"))
        assert [(r.id, r.key, r.strata, r.answer_parts) for r in read] == [
            (item.sample.id, item.key, {"kind": "edit"}, None) for item in items
        ]
        end(tmp_path / "run")
        assert head_of(tmp_path / "run") is None


def test_pictures_in_memory_are_stored_and_those_in_files_are_noted(tmp_path: Path) -> None:
    array = pixels(picture(7, 12))
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(array))
    held, mask = picture(1), Mask(replace(picture(2), role="mask"))
    with Cache(tmp_path / "cache") as cache:
        begin(tmp_path / "run", HEAD, [asked(0, read_image(photo, "photo"), held, mask)], cache)
        stored = {path.stem for path in files(cache)}
    assert stored == {held.digest, mask.image.digest, picture(100).digest}
    assert picture_files(tmp_path / "run") == {image_of(array).digest: photo}


def test_pictures_in_an_archive_are_noted_and_not_copied(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.png", encode_png(pixels(picture(7, 12))))
    member = ZipPicture(tmp_path / "photos.zip", "a.png")
    with Cache(tmp_path / "cache") as cache:
        begin(tmp_path / "run", HEAD, [asked(0, read_image(member, "a.png"))], cache)
        assert picture(7, 12).digest not in {path.stem for path in files(cache)}
    assert picture_files(tmp_path / "run") == {picture(7, 12).digest: member}


def test_a_clean_up_keeps_the_pictures_that_answers_were_asked_about(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        items: Sequence[Asked] = [asked(0, picture(0)), asked(1, picture(1))]
        begin(tmp_path / "run", HEAD, items, cache)
        cache.commit(IDENTITY, items[0].request, Generation((picture(50),)))
        for path in files(cache):
            aged(path)
        gc(cache)
        assert {path.stem for path in files(cache)} == {picture(0).digest, picture(50).digest}


def test_a_damaged_note_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ASKED).write_text('{"task": 3}\n')
    with pytest.raises(DataError, match=ASKED):
        head_of(tmp_path)


@dataclass
class LookingModel(CountingModel):
    """Notes what the run's folder says while it is asked."""

    folder: Path = Path()
    seen: tuple[Head | None, ...] = ()

    def generate(self, requests):  # type: ignore[no-untyped-def]
        self.seen += tuple(head_of(path) for path in self.folder.iterdir())
        return super().generate(requests)


def test_the_note_is_there_while_the_run_goes_on_and_gone_afterwards(tmp_path: Path) -> None:
    model = LookingModel(folder=tmp_path / "runs")
    with Cache(tmp_path / "cache") as cache:
        before = time.time()
        _, folder = run(TinyTask(), model, cache, RunSettings(), tmp_path / "runs")
    assert model.seen and all(head is not None and before <= head.started <= time.time() for head in model.seen)
    assert head_of(folder) is None and (folder / "run.json").exists()
