"""What a server says of the model that it serves: a part of what the model's answers are stored under."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.keys import canonical_json, digest
from evalkit.models.api_client import Client, Server
from evalkit.models.limits import Limits, Meter
from evalkit.types import Json, JsonScalar
from evalkit.workspace import Workspace

CLOCK_SECONDS = 3600
"""A model that was `created` within the last hour: the server tells the time of day, as vLLM and SGLang do."""


def described(workspace: Workspace, server: Server, model: str) -> dict[str, JsonScalar]:
    """Return the server's version, and what its list of models says of `model`, each None where it says nothing.

    Offline it is what the server said the last time.

    Raises:
        UsageError: offline, and the server was never asked.
        RunError: the server cannot be reached.
    """
    path = workspace.cache / "servers" / f"{digest([server.url, model])}.json"
    if workspace.offline:
        return _remembered(path, model)
    client = Client(server, Meter(Limits()))
    try:
        listed = _listed(client.get(f"{server.url}/models"), model)
        version = client.get(f"{server.url.removesuffix('/v1')}/version")
    finally:
        client.close()
    told = version.get("version") if isinstance(version, dict) else None
    found: dict[str, JsonScalar] = {
        "listed": canonical_json(dict(listed)) if listed else None,
        "version": told if isinstance(told, str) else None,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(found), encoding="utf-8")
    beside.replace(path)
    return found


def _remembered(path: Path, model: str) -> dict[str, JsonScalar]:
    try:
        found: dict[str, JsonScalar] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"the server of {model} was never asked what it is; run once without --offline") from error
    return found


def _listed(document: Json, model: str) -> Mapping[str, JsonScalar]:
    """Return the plain facts of the list's entry of that name."""
    rows = document.get("data") if isinstance(document, dict) else None
    entry = (
        next((r for r in rows if isinstance(r, dict) and r.get("id") == model), {}) if isinstance(rows, list) else {}
    )
    facts = {n: v for n, v in entry.items() if n != "object" and not isinstance(v, (list, dict))}
    created = facts.get("created")
    if isinstance(created, (int, float)) and abs(created - time.time()) < CLOCK_SECONDS:
        del facts["created"]
    return facts
