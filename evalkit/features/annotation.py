"""What annotators with weights have in common: the weight found, the choices as fields, and their fingerprint."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property

from evalkit.errors import UsageError
from evalkit.features.fingerprints import fingerprint_of
from evalkit.features.planes import BytePlane
from evalkit.images import Pixels
from evalkit.types import JsonScalar
from evalkit.weight_files import Weight
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found, require
from evalkit.workspace import Workspace


class WeightedAnnotator(ABC):
    """The weight of an annotator of the name `name`, and what its maps depend on besides.

    With `choices` and `plane`, which each has of its own, it is an `Annotator`.
    """

    name: str
    """Also the name in the weights table."""
    code_version: int
    """Raised with every change that moves a map."""
    needs: tuple[str, ...] = ()
    """Packages that it needs beyond evalkit's own, which the extra of the first one's name installs."""

    def __init__(self, workspace: Workspace, table: Mapping[str, Weight] = WEIGHTS) -> None:
        self.workspace = workspace
        self._table = table

    @property
    @abstractmethod
    def choices(self) -> Mapping[str, JsonScalar]:
        """How a picture reaches the network, and how its answer becomes a map."""
        ...

    @abstractmethod
    def plane(self, picture: Pixels) -> BytePlane:
        """Return the map `(H, W)` of a picture `(H, W, 3)`.

        Raises:
            WeightsError: see `prepare`, or the file is damaged or of another architecture.
        """
        ...

    def prepare(self) -> None:
        """Find the weights.

        Raises:
            UsageError: a package is not installed.
            WeightsError: they cannot be had.
        """
        for package in self.needs:
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError as error:
                raise UsageError(
                    f"{self.name} needs {package}; pip install 'evalkit-multimodal[{self.needs[0]}]'"
                ) from error
        _ = self.found

    @property
    def protocol_fields(self) -> Mapping[str, JsonScalar]:
        """Every choice that moves a map by more than rounding.

        Raises:
            WeightsError: see `prepare`.
        """
        own: dict[str, JsonScalar] = {"annotator": self.name, "annotator_weights": self.found.sha256}
        return {**own, "annotator_dtype": "float32", **self.choices}

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the protocol fields, of this code, and of the libraries and processor that may move a level.

        Raises:
            WeightsError: see `prepare`.
        """
        libraries = ("torch", *self.needs)
        return fingerprint_of(self.protocol_fields, self.code_version, self.workspace.device, libraries)

    @cached_property
    def found(self) -> Found:
        """The weight.

        Raises:
            WeightsError: see `prepare`.
        """
        return require(self.name, self.workspace, self._table)
