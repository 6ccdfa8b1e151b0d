"""`-m cm3leon` as evalkit builds it: the shipped model, a folder of the same layout, or a published model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cm3leon.adapter import Cm3leon, Defaults
from cm3leon.bundle import SHIPPED, read
from cm3leon.published import OPTIONS, REPOSITORIES, published_model
from cm3leon.quantisation import quantise
from cm3leon.settings import require_applicable, settings_of
from cm3leon.tensor_files import CheckpointError
from evalkit.errors import UsageError, WeightsError, nearest
from evalkit.models.knobs import whole
from evalkit.types import IMAGE_JOBS
from evalkit.workspace import Workspace

SHIPPED_NAME = "blocksworld"
NAMES = (SHIPPED_NAME, *REPOSITORIES)
SHIPPED_DEFAULTS = Defaults(dict.fromkeys(IMAGE_JOBS, 2.0), temperature=0.6, captions=4)
"""What the shipped model draws and describes with, chosen on scenes that are in no held-out set."""


def cm3leon_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> Cm3leon:
    """Return the model that `-m cm3leon` or `-m cm3leon:NAME` asks for.

    Raises:
        UsageError: an unknown name, or an option out of its range or of another model.
        WeightsError: a file is missing or damaged, or weights do not fit.
    """
    name = argument or SHIPPED_NAME
    if name not in NAMES:
        raise UsageError(f"cm3leon has no weights named {name!r}{nearest(name, NAMES)}")
    if name in REPOSITORIES:
        return published_model(workspace, name, options)
    return _shipped_model(workspace, options)


def _shipped_model(workspace: Workspace, options: Mapping[str, str]) -> Cm3leon:
    require_applicable(SHIPPED_NAME, options, OPTIONS)
    settings = settings_of(workspace, options, "fp32", SHIPPED_DEFAULTS)
    folder = Path(options["weights"]) if options.get("weights") else SHIPPED
    try:
        bundle = read(folder, settings.dtype, settings.device)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if settings.precision == "int8":
        quantise(bundle.checkpoint.transformer)
    most = 0 if bundle.documents is None else 2
    documents = whole(options, "documents", min(most, settings.defaults.documents), least=0)
    if documents > most:
        raise UsageError(f"-a documents={documents} is more than the {most} that this model can retrieve")
    defaults = replace(settings.defaults, documents=documents)
    return Cm3leon(
        "cm3leon", bundle.checkpoint, bundle.digest, defaults, bundle.documents, bundle.embedder, rows=settings.rows
    )
