"""Progress inside a notebook: one bar of HTML for each piece of work, renewed in place; needs no widgets."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any, TypeAlias

from evalkit.progress import Bar

RENEWED_SECONDS = 0.2
"""Least time between two renewals of a bar."""
Handle: TypeAlias = Any
"""Of IPython: something shown that can be renewed."""


def in_a_notebook() -> bool:
    """Return whether a notebook's kernel runs this process; IPython is not imported to find out."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


class NotebookProgress:
    """Shows bars and lines as the output of the cell that runs."""

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        """Return a bar, shown at once."""
        return _HtmlBar(what, total, unit)

    def say(self, line: str) -> None:
        """Show the line."""
        _display(f"<div>{escape(line)}</div>")


class _HtmlBar:
    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done, self._shown_at, self._start = 0, time.monotonic(), time.monotonic()
        self._handle = _display(self._html())

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        if time.monotonic() - self._shown_at >= RENEWED_SECONDS:
            self._renew()

    def close(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._shown_at = time.monotonic()
        self._handle.update(_html(self._html()))

    def _html(self) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        paced = f", {rate:,.3g} {escape(self._unit)}s/s" if self._done else ""
        bar = f'<progress max="{self._total}" value="{self._done}"></progress> ' if self._total else ""
        return f"<div>{escape(self._what)}: {bar}{self._done:,}{of}{paced}</div>"


def _html(text: str) -> object:
    from IPython.display import HTML

    return HTML(text)


def _display(text: str) -> Handle:
    from IPython.display import display

    return display(_html(text), display_id=True)
