"""Retrieval of whole documents, words and picture together, to stand before a query.

A document's vector is the mean of its normalised text vector and its normalised picture vector, brought back to unit
length so that inner products are cosines. Those of highest inner product with the query are taken, subject to the
paper's criteria: relevance is the inner product; modality, that every document has words and a picture; diversity, that
none is too similar to the query or to one already taken.

Source: CM3leon, Yu et al. 2023, arXiv:2309.02591, section 2.2; the bi-encoder and its search, Karpukhin et al. 2020,
arXiv:2004.04906. The renormalisation is ours: the paper does not say.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import faiss
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPProcessor

Floats: TypeAlias = npt.NDArray[np.float32]
Halves: TypeAlias = npt.NDArray[np.float16]
Codes: TypeAlias = npt.NDArray[np.uint16]
Numbers: TypeAlias = npt.NDArray[np.int64]
Pixels: TypeAlias = npt.NDArray[np.uint8]
"""An RGB picture `(H, W, 3)`."""
_Token = TypeVar("_Token")

MOST = 2
"""Documents before a query at inference: CM3leon, table 1."""
QUERY_DROPOUT = 0.2
"""Share of a query's tokens that training drops: CM3leon, section 2.2."""
_FETCHED = 64
_BLOCK = 2**24
"""Numbers of candidates' vectors that are held at once."""
_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error)


class Embedder(Protocol):
    """Strings and RGB pictures to unit vectors of one space."""

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        ...

    def texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors `(N, dimension)` of texts."""
        ...

    def pictures(self, pictures: Sequence[Pixels]) -> Floats:
        """Return unit vectors `(N, dimension)` of RGB pictures `(H, W, 3)`."""
        ...


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a document must satisfy, as inner products with unit vectors: 1 for the same direction.

    Raises:
        ValueError: a bound is not a number.
    """

    closest: float = 0.9
    """Highest score with the query."""
    alike: float = 0.9
    """Highest score with a document that is already taken."""

    def __post_init__(self) -> None:
        if self.closest != self.closest or self.alike != self.alike:
            raise ValueError(f"closest {self.closest} and alike {self.alike} must be numbers")


def normalised(vectors: npt.ArrayLike) -> Floats:
    """Return vectors `(N, D)` at unit length.

    Raises:
        ValueError: they are not rows of numbers, or one has no direction.
    """
    rows = np.asarray(vectors, np.float64)
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    if rows.ndim != 2 or not np.isfinite(lengths).all() or not lengths.all():
        raise ValueError(f"vectors of shape {rows.shape} are not (N, D) of finite numbers, none of them zero")
    return (rows / lengths).astype(np.float32)


def document_vectors(texts: npt.ArrayLike, pictures: npt.ArrayLike) -> Floats:
    """Return the vectors `(N, D)` of documents: the mean of their normalised text and picture vectors, renormalised.

    Raises:
        ValueError: the two differ in shape, or a document's vectors cancel.
    """
    words, seen = normalised(texts), normalised(pictures)
    if words.shape != seen.shape:
        raise ValueError(
            f"text vectors {words.shape} and picture vectors {seen.shape} differ; give one of each a document"
        )
    return normalised((words + seen) / 2)


def dropped(query: Sequence[_Token], share: float, chance: random.Random) -> list[_Token]:
    """Return `query` without `share` of its tokens, to the nearest whole number, the others in their order.

    One token always stays. It is for training alone: it keeps the model from leaning on documents that say it all.

    Raises:
        ValueError: `share` is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it lies in [0, 1]")
    kept = max(len(query) - round(share * len(query)), min(len(query), 1))
    return [query[place] for place in sorted(chance.sample(range(len(query)), kept))]


class Index:
    """Vectors of documents, searched by inner product.

    No answer depends on what else is asked for: faiss, whose last bits change with the batch, only proposes candidates,
    which are scored again pair by pair. Among equals the lowest number comes first.
    """

    def __init__(self, vectors: npt.ArrayLike) -> None:
        self._vectors: Floats = np.ascontiguousarray(vectors, np.float32)
        if self._vectors.ndim != 2 or not np.isfinite(self._vectors).all():
            raise ValueError(f"vectors of shape {self._vectors.shape} are not (N, D) of finite numbers")
        self._flat = faiss.IndexFlatIP(self._vectors.shape[1])
        self._flat.add(self._vectors)
        self._longest = float(np.linalg.norm(self._vectors, axis=1).max(initial=0.0))

    def taken(self, queries: npt.ArrayLike, k: int, criteria: Criteria, barred: Numbers | None = None) -> Numbers:
        """Return the numbers `(Q, k)` of the best documents for queries `(Q, D)`, -1 where no more satisfy `criteria`.

        Documents are gone through by falling score, and each that satisfies the criteria is taken. `barred` `(Q,)` is
        a document that each query must not get.

        Raises:
            ValueError: `k` is negative, or the queries do not fit.
        """
        asked: Floats = np.ascontiguousarray(queries, np.float32)
        if k < 0 or asked.ndim != 2 or asked.shape[1] != self._vectors.shape[1] or not np.isfinite(asked).all():
            wanted = f"{k} documents for queries of shape {asked.shape}"
            raise ValueError(f"{wanted}; ask for 0 or more with finite (Q, {self._vectors.shape[1]})")
        never = np.full(len(asked), -1) if barred is None else barred
        found = np.full((len(asked), k), -1)
        waiting, fetched = np.arange(len(asked)) if k else np.arange(0), min(_FETCHED, len(self._vectors))
        while len(waiting) and fetched:
            unsettled = []
            for rows in _blocks(waiting, max(1, _BLOCK // max(fetched * asked.shape[1], 1))):
                found[rows], settled = self._greedy(asked[rows], k, criteria, never[rows], fetched)
                unsettled.append(rows[~settled])
            waiting, fetched = np.concatenate(unsettled), min(4 * fetched, len(self._vectors))
        return found

    def _greedy(
        self, queries: Floats, k: int, criteria: Criteria, barred: Numbers, fetched: int
    ) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """Return what is taken among the `fetched` best candidates, and whether more of them could change it."""
        rough, numbers = self._flat.search(queries, fetched)  # (Q, m)
        numbers = np.sort(numbers, axis=1)  # so that argmax gives the lowest number among equals
        candidates = self._vectors[numbers]  # (Q, m, D)
        scores = np.vecdot(candidates, queries[:, None])
        able = (scores <= criteria.closest) & (numbers != barred[:, None])
        rows, found = np.arange(len(queries)), np.full((len(queries), k), -1)
        last = np.full(len(queries), -np.inf)
        for turn in range(k):
            best = np.where(able, scores, -np.inf).argmax(axis=1)
            there = able[rows, best]
            found[:, turn] = np.where(there, numbers[rows, best], -1)
            last = np.where(there, scores[rows, best], -np.inf)
            able &= np.vecdot(candidates, candidates[rows, best][:, None]) <= criteria.alike
            able[rows, best] = False
        # a document beyond the candidates scores at most the lowest rough score, give or take two sums' rounding
        slack = 2 * queries.shape[1] * 2.0**-24 * np.linalg.norm(queries, axis=1) * self._longest
        settled = (last > rough[:, -1] + 2 * slack) | (fetched == len(self._vectors))
        return found, settled


def _blocks(rows: Numbers, size: int) -> list[Numbers]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def neighbours(
    queries: npt.ArrayLike, documents: npt.ArrayLike, k: int = 8, criteria: Criteria | None = None
) -> Numbers:
    """Return for each of N records the numbers `(N, k)` of others to train beside it, -1 where there are no more.

    `queries` `(N, D)` are the records' text or picture vectors, `documents` `(N, D)` their documents' vectors. No
    record is its own neighbour.

    Raises:
        ValueError: the two differ in shape.
    """
    asked = np.asarray(queries, np.float32)
    if asked.shape != np.shape(documents):
        raise ValueError(f"queries {asked.shape} and documents {np.shape(documents)} differ; give one of each a record")
    return Index(documents).taken(asked, k, criteria or Criteria(), np.arange(len(asked)))


class DocumentStore:
    """Documents to retrieve from: a caption, picture codes and a vector each."""

    def __init__(self, captions: Sequence[str], codes: npt.ArrayLike, vectors: npt.ArrayLike) -> None:
        """Keep N captions, codes `(N, cells)` from 0 to 65535, and vectors `(N, D)`, these as float16.

        Raises:
            ValueError: they do not fit one another, or a document lacks words or a picture.
        """
        given = np.asarray(codes)
        self.captions = tuple(captions)
        self._vectors: Halves = np.asarray(vectors).astype(np.float16)
        if given.ndim != 2 or given.dtype.kind not in "iu" or not ((given >= 0) & (given < 2**16)).all():
            raise ValueError(f"codes {given.dtype} {given.shape} are not whole numbers (N, cells) from 0 to 65535")
        self._codes: Codes = given.astype(np.uint16)
        sizes = {len(self.captions), len(self._codes), len(self._vectors)}
        if len(sizes) != 1:
            raise ValueError(
                f"captions, codes and vectors are of {sorted(sizes)} documents; give one of each a document"
            )
        bare = [number for number, caption in enumerate(self.captions) if not caption.strip()]
        if bare or (self.captions and not given.shape[1]):
            raise ValueError(f"document {bare[0] if bare else 0} lacks words or a picture; leave it out")
        self._index = Index(self._vectors)

    def __len__(self) -> int:
        return len(self.captions)

    def document(self, number: int) -> tuple[str, tuple[int, ...]]:
        """Return the caption and the picture codes, row by row, of document `number`.

        Raises:
            ValueError: there is no such document.
        """
        if not 0 <= number < len(self):
            raise ValueError(f"document {number} lies outside 0 to {len(self) - 1}")
        return self.captions[number], tuple(self._codes[number].tolist())

    def retrieve(
        self, queries: npt.ArrayLike, k: int = MOST, criteria: Criteria | None = None
    ) -> list[tuple[int, ...]]:
        """Return for each query `(Q, D)` the numbers of at most `k` documents, best first.

        Raises:
            ValueError: `k` is not 0 to 2, or the queries do not fit.
        """
        if not 0 <= k <= MOST:
            raise ValueError(f"k is {k}; at most {MOST} documents stand before a query")
        found = self._index.taken(queries, k, criteria or Criteria())
        return [tuple(number for number in row if number >= 0) for row in found.tolist()]

    @property
    def digest(self) -> str:
        """SHA-256 of all that is held."""
        parts = (self._captions_json, self._codes.tobytes(), self._vectors.tobytes())
        shapes = json.dumps([self._codes.shape, self._vectors.shape]).encode()
        whole = hashlib.sha256(shapes)
        for part in parts:
            whole.update(hashlib.sha256(part).digest())
        return whole.hexdigest()

    @property
    def _captions_json(self) -> bytes:
        return json.dumps(self.captions, ensure_ascii=False).encode()

    def save(self, path: Path) -> None:
        """Write the store to `path`, a compressed npz: whole or not at all."""
        words = np.frombuffer(self._captions_json, np.uint8)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        with beside.open("wb") as file:
            np.savez_compressed(file, captions=words, codes=self._codes, vectors=self._vectors)
        beside.replace(path)


def read_documents(path: Path) -> DocumentStore:
    """Return the store that was saved to `path`.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # checks every sum before anything is made of the bytes
        if damaged is not None:
            raise ValueError(f"{damaged} does not match its checksum")
        with np.load(path, allow_pickle=False) as held:
            captions = json.loads(held["captions"].tobytes().decode())
            codes, vectors = held["codes"], held["vectors"]
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            raise ValueError("its captions are not a list of strings")
        return DocumentStore(captions, codes, vectors)
    except _DAMAGE as error:
        raise ValueError(f"{path} is not a store of documents ({error}); fetch or build it anew") from error


class ClipEmbedder:
    """CLIP of transformers, as CM3leon used it (ViT-B/32), one text or picture at a time: none sees another."""

    def __init__(self, model: CLIPModel, processor: CLIPProcessor) -> None:
        self._model, self._processor = model.train(False), processor

    @property
    def dimension(self) -> int:
        """Length of the vectors: 512 for ViT-B/32."""
        return int(self._model.config.projection_dim)

    def texts(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors `(N, dimension)` of texts.

        Raises:
            ValueError: a text is longer than CLIP reads.
        """
        return self._rows([self._text(text) for text in texts])

    def pictures(self, pictures: Sequence[Pixels]) -> Floats:
        """Return unit vectors `(N, dimension)` of RGB pictures `(H, W, 3)` of any size."""
        return self._rows([self._picture(picture) for picture in pictures])

    def _text(self, text: str) -> Floats:
        import torch

        longest = int(self._model.config.text_config.max_position_embeddings)
        tokens = self._processor(text=[text], return_tensors="pt").to(self._model.device)
        length = tokens["input_ids"].shape[1]
        if length > longest:
            raise ValueError(f"a text of {length} tokens is longer than CLIP's {longest}; shorten it: {text[:60]!r}")
        with torch.inference_mode():
            pooled = self._model.text_model(**tokens).pooler_output
            vector: Floats = self._model.text_projection(pooled).float().cpu().numpy()
        return vector

    def _picture(self, picture: Pixels) -> Floats:
        import torch

        pixels = self._processor(images=[picture], return_tensors="pt").to(self._model.device)
        with torch.inference_mode():
            pooled = self._model.vision_model(pixel_values=pixels["pixel_values"]).pooler_output
            vector: Floats = self._model.visual_projection(pooled).float().cpu().numpy()
        return vector

    def _rows(self, vectors: list[Floats]) -> Floats:
        return normalised(np.concatenate([np.empty((0, self.dimension), np.float32), *vectors]))


def clip_embedder(name: str, revision: str = "main") -> ClipEmbedder:
    """Return the embedder of a folder, or of a repository's `revision`, such as `openai/clip-vit-base-patch32`.

    Raises:
        ValueError: there is no CLIP of that name.
    """
    from transformers import CLIPModel, CLIPProcessor

    try:
        model = CLIPModel.from_pretrained(name, revision=revision)
        processor = CLIPProcessor.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no CLIP that transformers can load ({error})") from error
    return ClipEmbedder(model, processor)
