"""How long work tells of itself: a bar on a terminal, plain lines elsewhere, nothing under `--json`."""

from __future__ import annotations

from typing import Protocol


class Bar(Protocol):
    """One piece of work under way."""

    def advance(self, steps: int = 1) -> None:
        """Say that `steps` more are done."""
        ...

    def close(self) -> None:
        """Say that the work has ended."""
        ...


class Progress(Protocol):
    """Where work is told of."""

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        """Return a bar for work of `total` steps, each one `unit` ("image", "B"); None where the end is unknown."""
        ...

    def say(self, line: str) -> None:
        """Tell one line to the person who waits."""
        ...


class _SilentBar:
    def advance(self, steps: int = 1) -> None:
        return None

    def close(self) -> None:
        return None


class Silent:
    """Tells nothing."""

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        """Return a bar that shows nothing."""
        return _SilentBar()

    def say(self, line: str) -> None:
        """Drop the line."""
        return
