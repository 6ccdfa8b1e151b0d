"""The shapes of what a spec names as its code: how a task, a model, a report and a dataset are built, by workspace.

A spec (`evalkit.interfaces`) holds `package.module:name`; what stands there is called as one of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from evalkit.interfaces import Model, Task
from evalkit.workspace import Workspace


class TaskFactory(Protocol):
    """Builds a task; `options` holds only names that its spec lists."""

    def __call__(self, workspace: Workspace, protocol: str | None, options: Mapping[str, str]) -> Task:
        """Return the task on the workspace's data."""
        ...


class ModelFactory(Protocol):
    """Builds a model; `options` holds only names that its spec lists."""

    def __call__(self, workspace: Workspace, argument: str, options: Mapping[str, str]) -> Model:
        """Return the model; `argument` is what stood behind the colon in `-m name:argument`."""
        ...


class ReportFactory(Protocol):
    """Writes one file about the runs kept in folders; `workspace.cache` is searched for their pictures too."""

    def __call__(self, runs: Sequence[Path], output: Path, workspace: Workspace) -> None:
        """Write `output`, whole or not at all."""
        ...


class DataFetcher(Protocol):
    """Fetches a dataset; `options` holds only names that its spec lists."""

    def __call__(self, workspace: Workspace, options: Mapping[str, str]) -> list[Path]:
        """Return the dataset's files; what is already there and whole is not fetched again."""
        ...


class DataLocator(Protocol):
    """Finds a dataset without the network; it is asked by listings, so that its module imports nothing heavy."""

    def __call__(self, workspace: Workspace) -> list[tuple[str, Path | None]]:
        """Return what the dataset consists of, each with the place where it was found, None where it was not."""
        ...
