"""The pictures that models are shown: found and checked before anything is asked, decoded once.

A request names a picture by the digest of its pixels, which takes decoding. It is remembered by the file's content (in
the feature cache, as the numbers that it is), so that a second run over 40,504 photos decodes none of them; and only
the pictures of those samples that are asked for are looked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, overload

import numpy as np

from evalkit.features.cache import FeatureCache, Vectors
from evalkit.features.pictures import FilePicture, Picture, identities
from evalkit.images import read_image
from evalkit.types import Image, Sample, ZipPicture
from evalkit.workspace import Workspace

T = TypeVar("T")

FINGERPRINT = "pixel digest, width and height@1"
"""What the remembered numbers are, in place of an extractor's fingerprint."""
NUMBERS = 18
"""Sixteen of the digest, 16 bits each, then width and height: all exact in float32."""
AT_ONCE = 512
"""Pictures that are decoded between two writes of what is remembered."""


@dataclass(frozen=True, slots=True)
class NamedPicture:
    """A picture and what errors call it: `image 42`."""

    name: str
    picture: FilePicture | ZipPicture


def shown_images(named: Sequence[NamedPicture], workspace: Workspace) -> list[Image]:
    """Return the pictures as `Image`s that hold where they are.

    The picture is what `evalkit.images.decode` makes of the file: RGB, the first frame of an animation, no rotation by
    EXIF, of any size from 1 x 1 up.

    Raises:
        DataError: one is missing, truncated, of 16 bits a channel, too large or no picture; it is named.
        CacheError: what is remembered cannot be read or written.
    """
    distinct = list({one.picture: one for one in named}.values())
    with FeatureCache(workspace.cache / "features") as cache:
        ids = identities([one.picture for one in distinct], cache)
        numbers, found = cache.get_many(ids, FINGERPRINT, NUMBERS)
        fresh = [place for place in range(len(distinct)) if not found[place]]
        for places, made in in_parts(_numbers, distinct, fresh, "pictures", workspace):
            numbers[places] = made
            cache.put_many([ids[place] for place in places], FINGERPRINT, made)
    images = {one.picture: _image(one.picture, row) for one, row in zip(distinct, numbers, strict=True)}
    return [images[one.picture] for one in named]


def in_parts(
    numbers: Callable[[T], Vectors], items: Sequence[T], places: Sequence[int], what: str, workspace: Workspace
) -> Iterator[tuple[list[int], Vectors]]:
    """Yield, part by part, some of `places` with the numbers `(N, D)` of the items there; a bar tells how far it is."""
    if not places:
        return
    bar = workspace.progress.bar(what, len(places), "picture")
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(places), AT_ONCE):
            part = list(places[start : start + AT_ONCE])
            yield part, np.stack(list(pool.map(numbers, [items[place] for place in part])))
            bar.advance(len(part))
    bar.close()


def _numbers(one: NamedPicture) -> Vectors:
    picture = one.picture
    content = picture if isinstance(picture, ZipPicture) else picture.path
    image = read_image(content, f"{one.name} ({content})")
    return np.array([*np.frombuffer(bytes.fromhex(image.digest), ">u2"), image.width, image.height], np.float32)


def _image(picture: FilePicture | ZipPicture, numbers: Vectors) -> Image:
    digest = numbers[:16].astype(">u2").tobytes().hex()
    content = picture if isinstance(picture, ZipPicture) else picture.path
    return Image(digest, int(numbers[16]), int(numbers[17]), "source", content)


@dataclass(frozen=True, slots=True)
class ShownSamples(Sequence[Sample]):
    """Samples that each start with a picture, which is looked at when the sample is asked for.

    `samples` are without it; `pictures` are theirs, in the same order. It comes before the other `parts`, or before the
    other `references` where a model shall not see it.
    """

    workspace: Workspace
    samples: Sequence[Sample]
    pictures: Sequence[NamedPicture]
    among: Literal["parts", "references"] = "parts"

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        """Return one sample, or those of a slice.

        Raises:
            DataError: see `shown_images`.
        """
        if isinstance(index, int):
            place = range(len(self))[index]
            return self[place : place + 1][0]
        images = shown_images(self.pictures[index], self.workspace)
        with_pictures = zip(self.samples[index], images, strict=True)
        if self.among == "references":
            return [replace(s, references=(i, *s.references)) for s, i in with_pictures]
        return [replace(s, parts=(i, *s.parts)) for s, i in with_pictures]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self[:])


def named_picture(name: str, picture: Picture) -> NamedPicture:
    """Return `picture`, which lies in a file or zip, with its name.

    Raises:
        TypeError: it lies in memory.
    """
    if isinstance(picture, Image):
        raise TypeError(f"{name} lies in memory; a data set's pictures are files")
    return NamedPicture(name, picture)
