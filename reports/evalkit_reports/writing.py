"""Writing a report: whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evalkit.errors import UsageError


def write_whole(output: Path, text: str) -> None:
    """Write `text` to `output` as UTF-8, beside its place first; folders that are missing are made.

    Raises:
        UsageError: the file cannot be written.
    """
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(output)
    except OSError as error:
        raise UsageError(f"the report {output} cannot be written ({error}); choose another place with -o") from error
