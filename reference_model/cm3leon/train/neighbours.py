"""Which documents retrieval would find for each record, so that training reads them as answering does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cm3leon.dual_encoder import DualEmbedder, Floats
from cm3leon.retrieval import Criteria, DocumentStore, document_vectors
from cm3leon.train.records import Source
from cm3leon.train.shards import Shards

FOUND = 4
"""Documents a record: training draws one or two of them."""
_ROWS = 4096


def neighbours(embedder: DualEmbedder, source: Source, shards: Shards, bank: int, device: str = "cpu") -> Tensor:
    """Return for each prepared record the numbers `(N, FOUND)` of others among the first `bank`, best first.

    The query is the record's first caption; -1 stands where no more satisfy the criteria of `retrieval.Criteria`.
    """
    texts = torch.from_numpy(embedder.texts([shards.record(number).captions[0] for number in range(len(shards))]))
    size = min(bank, len(shards))
    documents = torch.from_numpy(_vectors(embedder, source, texts[:size].numpy())).to(device)
    starts = range(0, len(texts), _ROWS)
    return torch.cat([_nearest(texts[start : start + _ROWS].to(device), documents, start) for start in starts])


def documents_of(embedder: DualEmbedder, source: Source, shards: Shards, bank: int) -> DocumentStore:
    """Return the first `bank` records as documents to retrieve: the first caption and the picture of each."""
    records = [shards.record(number) for number in range(min(bank, len(shards)))]
    captions = [record.captions[0] for record in records]
    codes = np.stack([record.picture for record in records])
    return DocumentStore(captions, codes, _vectors(embedder, source, embedder.texts(captions)))


def _vectors(embedder: DualEmbedder, source: Source, texts: Floats) -> Floats:
    """Return the documents' vectors `(N, D)` of the first N records, the vectors of whose captions are `texts`."""
    return document_vectors(texts, embedder.pictures([source(number).pixels() for number in range(len(texts))]))


def _nearest(queries: Tensor, documents: Tensor, first: int) -> Tensor:
    """Return what is found for queries `(Q, D)`, the numbers of whose records start at `first`."""
    criteria = Criteria()
    scores = queries @ documents.T
    scores = scores.masked_fill(scores > criteria.closest, -torch.inf)
    own = torch.arange(len(queries), device=scores.device) + first
    inside = own < len(documents)
    scores[inside.nonzero()[:, 0], own[inside]] = -torch.inf
    found = torch.full((len(queries), FOUND), -1)
    for turn in range(FOUND):
        best, number = scores.max(1)
        found[:, turn] = torch.where(best > -torch.inf, number, -1).cpu()
        scores = scores.masked_fill(documents[number] @ documents.T > criteria.alike, -torch.inf)
        scores[torch.arange(len(scores)), number] = -torch.inf
    return found


def kept(found: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return the numbers of each record's documents without the gaps."""
    return [[number for number in row if number >= 0] for row in found.tolist()]
