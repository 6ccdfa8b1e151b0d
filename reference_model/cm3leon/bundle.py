"""A whole trained model in one folder: the checkpoint, its dual encoder, and the documents that it retrieves from.

The files of `checkpoints.save`, and beside them `dual_encoder.json`, `dual_encoder.safetensors` and `documents.npz`,
which a model that neither retrieves nor ranks can do without.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from cm3leon.checkpoints import (
    Checkpoint,
    CheckpointError,
    digest,
    files_of,
    load,
    load_tensors,
    save,
    save_tensors,
)
from cm3leon.dual_encoder import DualEmbedder, DualEncoder, DualEncoderConfig
from cm3leon.json_fields import parsed
from cm3leon.retrieval import DocumentStore, read_documents
from cm3leon.tensor_files import read_json

ENCODER_CONFIG = "dual_encoder.json"
ENCODER = "dual_encoder.safetensors"
DOCUMENTS = "documents.npz"
SHIPPED = Path(__file__).parent / "weights" / "blocksworld"
"""Where the shipped model lies."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model as it was read; `digest` is that of all its files."""

    checkpoint: Checkpoint
    embedder: DualEmbedder | None
    documents: DocumentStore | None
    digest: str


def write(folder: Path, checkpoint: Checkpoint, encoder: DualEncoder, documents: DocumentStore) -> None:
    """Write a model into `folder`, its weights as float16; each file appears whole or not at all.

    Raises:
        CheckpointError: the parts do not belong together, or a weight is not finite in float16.
    """
    save(folder, checkpoint.config, checkpoint.vocabulary, checkpoint.image_tokenizer, checkpoint.transformer)
    save_tensors(folder / ENCODER, encoder)
    (folder / ENCODER_CONFIG).write_text(json.dumps(asdict(encoder.config), indent=2) + "\n", encoding="utf-8")
    documents.save(folder / DOCUMENTS)


def read(folder: Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Bundle:
    """Return the model of `folder`, its transformer as `dtype`.

    Raises:
        CheckpointError: a file is missing, damaged, or does not fit the others.
    """
    checkpoint = load(folder, dtype, device)
    files = list(files_of(folder))
    embedder = documents = None
    if (folder / ENCODER_CONFIG).exists():
        embedder = DualEmbedder(_encoder(folder, device), checkpoint.vocabulary)
        files += [folder / ENCODER_CONFIG, folder / ENCODER]
    if (folder / DOCUMENTS).exists():
        documents = _documents(folder / DOCUMENTS, checkpoint)
        files.append(folder / DOCUMENTS)
    return Bundle(checkpoint, embedder, documents, digest(files))


def encoder_of(folder: Path) -> DualEncoder:
    """Return the dual encoder of `folder`, on the CPU.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    return _encoder(folder, "cpu")


def _encoder(folder: Path, device: str | torch.device) -> DualEncoder:
    path = folder / ENCODER_CONFIG
    try:
        config: DualEncoderConfig = parsed(DualEncoderConfig, read_json(path), "")
    except ValueError as error:
        raise CheckpointError(f"{path} is not a config: {error}") from error
    with torch.device("meta"):
        encoder = DualEncoder(config)
    load_tensors(folder / ENCODER, encoder, torch.float32, device)
    return encoder.eval()


def _documents(path: Path, checkpoint: Checkpoint) -> DocumentStore:
    try:
        documents = read_documents(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    cells = checkpoint.config.image.grid**2
    if len(documents) and len(documents.document(0)[1]) != cells:
        raise CheckpointError(f"{path} holds pictures of {len(documents.document(0)[1])} codes, not {cells}")
    return documents
