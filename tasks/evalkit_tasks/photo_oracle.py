"""The oracle on real data: it answers what is asked about a photo with the photo itself.

That is the ceiling of the benchmarks that extract something from the answer again: what the extractor gives for the
very photo. A photo is found by the sample's id, which is its own id or file name, and brought to the size asked for
as the benchmark does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evalkit.features.pictures import Picture, load
from evalkit.features.planes import sized
from evalkit.images import image_of
from evalkit.keys import digest
from evalkit.types import Answer, Failure, Generation, Job, Json, JsonScalar, Request
from evalkit.workspace import Workspace
from evalkit_tasks.coco import official_set, splits_in
from evalkit_tasks.label_sets import LABEL_SETS
from evalkit_tasks.labelled_photos import read_labelled

JOBS: frozenset[Job] = frozenset({"structure-to-image", "segmentation-to-image"})
DATA = ("coco", *LABEL_SETS)
"""The data whose photos it knows."""
_CODE = 1
"""Version of what this file answers."""


@dataclass(frozen=True, slots=True)
class PhotoOracle:
    """Answers with the photos that it is given by sample id."""

    photos: Mapping[str, Picture]
    data_digest: str

    @property
    def name(self) -> str:
        """`oracle`."""
        return "oracle"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The version of its code and the digest of the data that it knows."""
        return {"model": "photo oracle", "code": _CODE, "data": self.data_digest}

    @property
    def capabilities(self) -> frozenset[Job]:
        """The jobs whose answer can be the photo."""
        return JOBS

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's photo, or a `missing` failure for a photo that is not of the data."""
        for position, request in enumerate(requests):
            yield position, self._answer(request)

    def _answer(self, request: Request) -> Answer:
        photo = self.photos.get(request.sample_id)
        if photo is None:
            return Failure("missing", f"there is no photo {request.sample_id} in the data; the oracle knows {DATA}")
        picture = load(photo)
        height, width, _ = picture.shape
        return Generation((image_of(sized(picture, request.width or width, request.height or height)),))


def photo_oracle(workspace: Workspace) -> PhotoOracle:
    """Return the oracle of the workspace's data, one of `DATA`.

    Raises:
        DataError: the data are missing or malformed.
    """
    name = str(workspace.data)
    directory = workspace.data_dir or workspace.datasets / name
    if name in LABEL_SETS:
        found = read_labelled(directory, LABEL_SETS[name], None)
        ids: list[Json] = [photo.id for photo in found]
        return PhotoOracle({photo.id: photo.photo for photo in found}, digest([name, ids]))
    sets = [official_set(directory, split) for split in splits_in(directory)]
    photos = {str(photo.id): photo.picture for one in sets for photo in one.photos}
    return PhotoOracle(photos, digest([one.digest for one in sets]))
