"""Pictures of a page: small copies inside it as long as they fit, links to the stored files for the others."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from PIL import Image as PillowImage

from evalkit.blobs import Blobs
from evalkit.errors import CacheError
from evalkit.images import Pixels

SIDE = 128
"""Longest side of an embedded picture, in pixels."""
MOST_EMBEDDED = 500
MOST_BYTES = 8_000_000
"""Characters of the page that embedded pictures may take together: the page must stay under 15 MB."""
NOT_STORED = "picture not in the cache"


@dataclass(frozen=True, slots=True)
class PictureView:
    """One picture of a page.

    `source` goes into `src` and is empty where there is nothing to show; `note` then says why. `link` leads to the file
    in full size. `embedded` tells a copy inside the page from a link that is loaded when it is looked at.
    """

    source: str
    link: str
    alt: str
    role: str
    note: str = ""
    embedded: bool = False
    width: int = SIDE
    height: int = SIDE


@dataclass(slots=True)
class Album:
    """Gives out pictures for one page until its share of embedded ones is used up.

    `page` is the file that is being written; a picture stored beside or below it is linked by a relative path.
    """

    page: Path
    left: int = MOST_EMBEDDED
    bytes_left: int = MOST_BYTES
    made: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def view(self, digest: str, role: str, alt: str, stores: Sequence[Blobs]) -> PictureView:
        """Return the picture of that digest from the first store that has it; never raises over a bad picture."""
        store = next((store for store in stores if _is_there(store.path(digest))), None)
        if store is None:
            return PictureView("", "", alt, role, NOT_STORED)
        link = self._link(store.path(digest))
        if self.left <= 0:
            return PictureView(link, link, alt, role)
        try:
            source, width, height = self._thumbnail(digest, store)
        except CacheError as error:
            return PictureView("", link, alt, role, f"picture cannot be read: {error}")
        if len(source) > self.bytes_left:
            self.left = 0
            return PictureView(link, link, alt, role)
        self.left -= 1
        self.bytes_left -= len(source)
        return PictureView(source, link, alt, role, embedded=True, width=width, height=height)

    def _thumbnail(self, digest: str, store: Blobs) -> tuple[str, int, int]:
        if digest not in self.made:
            self.made[digest] = thumbnail(store.read(digest))
        return self.made[digest]

    def _link(self, path: Path) -> str:
        whole, beside = path.resolve(), self.page.resolve().parent
        return quote(whole.relative_to(beside).as_posix()) if whole.is_relative_to(beside) else whole.as_uri()


def thumbnail(pixels: Pixels) -> tuple[str, int, int]:
    """Return a data URI of pixels `(H, W, 3)`, made at most `SIDE` pixels wide and high, and its width and height.

    It is a PNG or a JPEG, whichever is smaller: drawings become the one and photos the other.
    """
    small = PillowImage.fromarray(pixels)
    small.thumbnail((SIDE, SIDE), PillowImage.Resampling.LANCZOS)
    kinds = {"jpeg": _encoded(small, "JPEG"), "png": _encoded(small, "PNG")}
    kind = min(kinds, key=lambda name: len(kinds[name]))
    text = base64.b64encode(kinds[kind]).decode("ascii")
    return f"data:image/{kind};base64,{text}", small.width, small.height


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a run made elsewhere may name a cache that is no path here
        return False


def _encoded(picture: PillowImage.Image, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, quality=82)
    return out.getvalue()
