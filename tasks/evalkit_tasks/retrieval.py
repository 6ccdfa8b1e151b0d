"""The model `retrieval`: it makes nothing and looks everything up in training data, job by job.

    text-to-image    the picture of the training caption that is nearest to the prompt
    captioning       the first caption of the training picture that is nearest in pixels: see `nearest_picture`
    vqa              the commonest training answer to the question's type, blind to the picture: see `answer_prior`

The oldest baselines of each job. They show what a number is worth: a model that does worse makes worse pictures than a
look-up finds, or tells less than a caption of another picture does, or has learned less than the questions give away.

Of text-to-image nearness is the cosine of TF-IDF vectors over single words (scikit-learn's `TfidfVectorizer`, its
defaults: lower case, words of two characters or more, smoothed idf of the training captions, rows of unit length). Of
equally near captions the one that stands first is taken: the lowest caption id. So is the first of all where a prompt
shares no word with any training caption.

The training captions and pictures are those of the task's own data: train2014 for val2014 and val2017, else train2017,
or drawn training scenes of blocksworld. train2017 holds most photos of val2014 and so is never used where val2014 is at
hand, unless `-a split=train2017` asks for it. nocaps is captioned from COCO, as it is meant to be, Flickr30k from its
own training split.

The seed and the sampling settings of a request change nothing. A size is met by cropping the middle to its shape and
resizing by Lanczos; with one side given, the picture's own shape is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from evalkit.errors import DataError, EvalkitError, UsageError
from evalkit.features.cache import FeatureCache
from evalkit.features.pictures import FilePicture, Picture, identities, member_bytes
from evalkit.images import Pixels, image_of, pixels, read_image
from evalkit.keys import digest
from evalkit.types import Answer, Failure, Generation, Image, Job, Json, JsonScalar, Request, Text
from evalkit.workspace import Workspace
from evalkit_tasks.answer_prior import QUESTION_DATA, AnswerPrior, prior_of
from evalkit_tasks.blocksworld.training import training_items
from evalkit_tasks.coco import CaptionSet, holds_part_of, official_set, splits_in
from evalkit_tasks.flickr30k_caption import flickr30k_set
from evalkit_tasks.nearest_picture import DISTANCE, NearestPicture
from evalkit_tasks.official_files import photos_place
from evalkit_tasks.sources import coco_directory

CODE = 2
"""Version of what is below: raised when an answer would change."""
BLOCKSWORLD_ITEMS = 2_000
Places: TypeAlias = npt.NDArray[np.integer]
Weights: TypeAlias = npt.NDArray[np.float64]

TRAINING_SPLITS = ("train2014", "train2017")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Training captions in the order of their ids, each with the position of its picture."""

    name: str
    captions: tuple[str, ...]
    positions: tuple[int, ...]
    pictures: tuple[Picture, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Library:
    """Captioned training pictures, to be found by words or by pixels."""

    corpus: Corpus
    vectorizer: TfidfVectorizer = field(repr=False)
    postings: sparse.csr_matrix = field(repr=False)
    """Words by captions: the captions that hold a word, with its weight in each."""
    nearest_picture: NearestPicture = field(repr=False)

    def nearest(self, prompts: Sequence[str]) -> list[int]:
        """Return for each prompt the position in `corpus.captions` of the nearest one, the first of equals."""
        if not prompts:
            return []
        asked = sparse.csr_matrix(self.vectorizer.transform(prompts))
        return [self._nearest(*_row(asked, position)) for position in range(len(prompts))]

    def _nearest(self, words: Places, weights: Weights) -> int:
        # one prompt at a time, word by word: no sum depends on what else is asked, and only its own words are walked
        similarities = np.zeros(len(self.corpus.captions))
        for word, weight in zip(words, weights, strict=True):
            captions, held = _row(self.postings, word)
            similarities[captions] += weight * held
        return int(np.argmax(similarities))

    def captions_of(self, shown: Sequence[Pixels]) -> list[str]:
        """Return the first caption of the picture that is nearest to each of `shown`."""
        first: dict[int, str] = {}
        for position, text in zip(self.corpus.positions, self.corpus.captions, strict=True):
            first.setdefault(position, text)
        return [first[position] for position in self.nearest_picture(shown)]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Answers from a library of captioned pictures, from a prior over answers, or from both; one is there."""

    library: Library | None
    prior: AnswerPrior | None

    @property
    def name(self) -> str:
        """What tables call it."""
        return "retrieval"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The digest of the training data, and what decides nearness."""
        identity: dict[str, JsonScalar] = {"model": "retrieval", "code": CODE, "scikit-learn": version("scikit-learn")}
        if self.library is not None:
            corpus = self.library.corpus
            identity |= {"corpus": corpus.name, "corpus_digest": corpus.digest, "picture_distance": DISTANCE}
            identity |= {"nearness": "TF-IDF of single words, cosine"}
        if self.prior is not None:
            identity |= {"answers": self.prior.name, "answers_digest": self.prior.digest}
        return identity

    @property
    def capabilities(self) -> frozenset[Job]:
        """What its training data allow."""
        able: set[Job] = set()
        if self.library is not None:
            able |= {"text-to-image", "captioning"}
        return frozenset(able | {"vqa"} if self.prior is not None else able)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield what is found for each request; a `Failure` where a picture cannot be read or there is nothing to ask.

        The requests of one job are looked up together.
        """
        by_job: dict[Job, list[int]] = {}
        for position, request in enumerate(requests):
            by_job.setdefault(request.job, []).append(position)
        for job, positions in by_job.items():
            asked = [requests[position] for position in positions]
            yield from zip(positions, self._answers(job, asked), strict=True)

    def _answers(self, job: Job, requests: Sequence[Request]) -> Iterable[Answer]:
        if job == "vqa" and self.prior is not None:
            return [Generation((Text(self.prior(_words(request))),)) for request in requests]
        if job == "captioning" and self.library is not None:
            return self._captions(self.library, requests)
        if job == "text-to-image" and self.library is not None:
            return self._pictures(self.library, requests)
        return [Failure("malformed", f"retrieval has no training data for {job}") for _ in requests]

    def _captions(self, library: Library, requests: Sequence[Request]) -> Iterable[Answer]:
        shown = [[part for part in request.parts if isinstance(part, Image)] for request in requests]
        texts = iter(library.captions_of([pixels(pictures[0]) for pictures in shown if pictures]))
        for pictures in shown:
            yield Generation((Text(next(texts)),)) if pictures else Failure("malformed", "no picture to caption")

    def _pictures(self, library: Library, requests: Sequence[Request]) -> Iterable[Answer]:
        for request, nearest in zip(requests, library.nearest([_words(request) for request in requests]), strict=True):
            picture = library.corpus.pictures[library.corpus.positions[nearest]]
            try:
                yield Generation((_sized(_image(picture), request),))
            except EvalkitError as error:
                yield Failure("malformed", str(error))


def retrieval(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Retrieval:
    """Return the model over the training data that the workspace and the options name.

    Raises:
        UsageError: an option has no such value.
        DataError: the training captions, pictures or answers are missing or malformed; the message names the file.
    """
    library = None
    if workspace.data not in QUESTION_DATA:
        library = _library(_corpus(workspace, options), workspace)
    return Retrieval(library, prior_of(workspace, _size(options) or BLOCKSWORLD_ITEMS))


def _library(corpus: Corpus, workspace: Workspace) -> Library:
    vectorizer = TfidfVectorizer(dtype=np.float64)
    try:
        rows = vectorizer.fit_transform(corpus.captions)
    except ValueError as error:
        raise DataError(f"the captions of {corpus.name} hold no words ({error}); choose another corpus") from error
    return Library(corpus, vectorizer, sparse.csr_matrix(rows.T), NearestPicture(corpus.pictures, workspace))


def _words(request: Request) -> str:
    return " ".join(part.text for part in request.parts if isinstance(part, Text))


def _row(matrix: sparse.csr_matrix, row: int) -> tuple[Places, Weights]:
    inside = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[inside], matrix.data[inside]


def _corpus(workspace: Workspace, options: Mapping[str, str]) -> Corpus:
    size = _size(options)
    if workspace.data == "blocksworld" and not options.get("corpus"):
        if options.get("split"):
            raise UsageError("-a split= is for MS-COCO; blocksworld draws its training pictures")
        return _drawn(size or BLOCKSWORLD_ITEMS)
    if workspace.data == "flickr30k" and workspace.data_dir is not None and not options.get("corpus"):
        found = flickr30k_set(workspace.data_dir, "train")
        return _photographed(replace(found, photos=found.photos[:size]), workspace)
    own = workspace.datasets / "coco" if workspace.data == "nocaps" else coco_directory(workspace)
    directory = Path(options["corpus"]) if options.get("corpus") else own
    captions = official_set(directory, options.get("split") or _training_split(directory))
    kept = replace(captions, photos=captions.photos[:size]) if size else captions
    return _photographed(kept, workspace)


def _size(options: Mapping[str, str]) -> int | None:
    text = options.get("size", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"-a size={text} is not a whole number of 1 or more")
    return int(text)


def _training_split(directory: Path) -> str:
    found = [split for split in TRAINING_SPLITS if split in splits_in(directory)]
    begun = [split for split in TRAINING_SPLITS if holds_part_of(directory, split)]
    if not found and not begun:
        raise DataError(
            f"retrieval answers with training pictures, and {directory} has none: looked for "
            "annotations/captions_train2014.json with train2014/ (or train2014.zip), and the same of 2017; fetch them "
            "with `evalkit fetch coco -a split=train2014` (13.8 GB), or name a folder that has them: -a corpus=DIR"
        )
    split = (found or begun)[0]
    if split == "train2017" and photos_place(directory, "val2014"):
        raise DataError(
            f"{directory} has train2017, which holds most photos of val2014: retrieval would find the very photo; "
            "fetch train2014 (`evalkit fetch coco -a split=train2014`) or, to test on val2017, say -a split=train2017"
        )
    return split


def _photographed(captions: CaptionSet, workspace: Workspace) -> Corpus:
    pictures = tuple(photo.picture for photo in captions.photos)
    ordered = sorted(
        (caption.id, caption.text, position)
        for position, photo in enumerate(captions.photos)
        for caption in photo.captions
    )
    with FeatureCache(workspace.cache / "features") as cache:
        content: list[Json] = list(identities(pictures, cache))
    document: list[Json] = [content, [[id_, text, position] for id_, text, position in ordered]]
    texts, positions = tuple(text for _, text, _ in ordered), tuple(position for _, _, position in ordered)
    return Corpus(captions.name, texts, positions, pictures, digest(document))


def _drawn(size: int) -> Corpus:
    items = list(training_items(size))
    pictures = tuple(image_of(item.pixels) for item in items)
    texts = tuple(text for item in items for text in item.captions)
    positions = tuple(position for position, item in enumerate(items) for _ in item.captions)
    document: list[Json] = [[picture.digest for picture in pictures], list(texts), list(positions)]
    return Corpus(f"blocksworld training scenes 0 to {size - 1}", texts, positions, pictures, digest(document))


def _image(picture: Picture) -> Image:
    if isinstance(picture, Image):
        return picture
    if isinstance(picture, FilePicture):
        return read_image(picture.path, str(picture.path), "generated")
    return read_image(member_bytes(picture), f"{picture.archive}:{picture.member}", "generated")


def _sized(image: Image, request: Request) -> Image:
    width, height = request.width, request.height
    if width is None and height is None:
        return image
    width = width or max(1, round(image.width * (height or 1) / image.height))
    height = height or max(1, round(image.height * width / image.width))
    if (width, height) == (image.width, image.height):
        return image
    fitted = ImageOps.fit(PillowImage.fromarray(pixels(image)), (width, height), PillowImage.Resampling.LANCZOS)
    return image_of(np.array(fitted, dtype=np.uint8))
