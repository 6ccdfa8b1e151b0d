"""The part of the Ray executor that runs at the worker: it holds the model and answers leases."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from evalkit.cache.records import store_pictures
from evalkit.errors import DataError, EvalkitError
from evalkit.executors.local import LocalExecutor, batch_sizes
from evalkit.interfaces import Model
from evalkit.remote_blobs import RemoteBlobs, is_remote
from evalkit.types import Answer, Generation, Image, Job, JsonScalar, LabelMap, Mask, Part, Request
from evalkit.workspace import Workspace

BuildModel: TypeAlias = Callable[[Workspace], Model]
"""Builds the model where it is called; it travels to the workers by pickle."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A worker holds the model: what it is, and where."""

    name: str
    identity: Mapping[str, JsonScalar]
    capabilities: frozenset[Job]
    batch: int
    node: str
    process: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A lease is answered; `batch` is how many requests the worker would best get next."""

    batch: int


Message: TypeAlias = "tuple[int, Answer] | Ended | EvalkitError"
"""What a worker sends while it answers a lease: a place in the lease with its answer, its end, or a fatal error."""


class Worker:
    """Holds the model. Made into a Ray actor by the executor."""

    def __init__(self, build: BuildModel, workspace: Workspace, folder: str, blobs: str | None) -> None:
        self._build = build
        self._workspace = workspace
        self._blobs = RemoteBlobs(blobs) if blobs is not None and is_remote(blobs) else None
        if Path(folder).is_dir():  # names of files and modules mean what they mean to the caller
            os.chdir(folder)

    def load(self) -> Loaded | EvalkitError:
        """Return what the model is, once it is built."""
        try:
            model = self._build(self._workspace)
            self._executor = LocalExecutor(model, batch_sizes(model, self._workspace))
            identity, able = dict(model.identity), frozenset(model.capabilities)
        except EvalkitError as error:
            return error
        return Loaded(model.name, identity, able, self._executor.batch, socket.gethostname(), os.getpid())

    def answers(self, lease: Sequence[Request]) -> Iterator[Message]:
        """Yield the answers as they come, then the end."""
        try:
            for index, answer in self._executor.answers(lease):
                yield index, self._on_its_way(answer)
        except EvalkitError as error:
            yield error
            return
        yield Ended(self._executor.batch)

    def _on_its_way(self, answer: Answer) -> Answer:
        """Return the answer as the driver can use it, its pictures stored already where both reach the store."""
        if not isinstance(answer, Generation):
            return answer
        return portable(answer) if self._blobs is None else store_pictures(answer, self._blobs)


Carried = TypeVar("Carried", Request, Generation)


def portable(noun: Carried) -> Carried:
    """Return a request or an answer with every picture's file in memory: another machine may not see the file."""
    return replace(noun, parts=tuple(map(_portable_part, noun.parts)))


def _portable_part(part: Part) -> Part:
    if isinstance(part, Image):
        return _portable_image(part)
    if isinstance(part, (Mask, LabelMap)):
        return replace(part, image=_portable_image(part.image))
    return part


def _portable_image(image: Image) -> Image:
    path = image.content
    if not isinstance(path, Path):
        return image
    try:
        return replace(image, content=path.read_bytes())
    except OSError as error:
        raise DataError(f"picture {path} cannot be read ({error}); restore it, then run again") from error
