"""Progress on standard error: bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from evalkit.cli.words import duration, quantity, size
from evalkit.progress import Bar, Progress

LINE_SECONDS = 5.0
"""Least time between two lines of one piece of work."""
QUIET_SECONDS = 60.0
"""Time after which a line is written though less than `LINE_SHARE` was done."""
LINE_SHARE = 0.05
BAR_WIDTH = 10
FIGURES_WIDTH = 56
"""Columns that a terminal keeps for a bar and its figures; the rest is for what the work is called."""


@contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """Yield the progress that suits standard error; its bars are closed when the block ends."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bars = Bars()
    try:
        yield bars
    finally:
        bars.stop()


def amount(done: float, total: float | None, unit: str) -> str:
    """Return how much is done: `120 of 500 images`, `3.1 MB of 80 MB`.

    >>> amount(120, 500, "image"), amount(3, None, "image"), amount(3_100_000, 80_000_000, "B")
    ('120 of 500 images', '3 images', '3.1 MB of 80 MB')
    """
    if total is None:
        return quantity(done, unit)
    part = size(round(done)) if unit == "B" else f"{done:,.0f}"
    return f"{part} of {quantity(total, unit)}"


def pace(done: float, total: float | None, unit: str, rate: float | None) -> str:
    """Return the rate in units a second, and the time left where the end is known.

    >>> pace(100, 500, "image", 10.0), pace(100, None, "image", 0.5), pace(0, 500, "image", None)
    ('10 images/s, 40 s left', '0.50 images/s', '')
    """
    if not rate:
        return ""
    shown = f"{quantity(rate, unit)}/s"
    return f"{shown}, {duration((total - done) / rate)} left" if total is not None and done < total else shown


class _Amount(ProgressColumn):
    """How much of a task is done."""

    def render(self, task: Task) -> Text:
        unit = str(task.fields["unit"])
        parts = [task.completed] if task.total is None else [task.completed, task.total]
        return Text("/".join(size(round(part)) if unit == "B" else f"{part:,.0f}" for part in parts), no_wrap=True)


class _Pace(ProgressColumn):
    """Rate and time left; the time taken once it is done."""

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"in {duration(task.finished_time or 0.0)}", no_wrap=True)
        return Text(pace(task.completed, task.total, str(task.fields["unit"]), task.speed), no_wrap=True)


class Bars:
    """Bars on a terminal, shown while any piece of work is open."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live: RichProgress | None = None
        self._open = 0
        self._lock = Lock()

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        """Return a bar."""
        with self._lock:
            if self._live is None:
                columns = (TextColumn("{task.description}"), BarColumn(BAR_WIDTH), _Amount(), _Pace())
                self._live = RichProgress(*columns, console=self._console)
                self._live.start()
            self._open += 1
            room = max(12, self._console.width - FIGURES_WIDTH)
            shown = what if len(what) <= room else what[: room - 1] + "…"
            return _TerminalBar(self, self._live, self._live.add_task(escape(shown), total=total, unit=unit))

    def say(self, line: str) -> None:
        """Write a line above the bars."""
        console = self._live.console if self._live else self._console
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    def bar_closed(self) -> None:
        """Leave the bars on the screen as they are once none is open."""
        with self._lock:
            self._open -= 1
            if self._open == 0 and self._live is not None:
                self._live.stop()
                self._live = None

    def stop(self) -> None:
        """Close everything that is still open."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None


class _TerminalBar:
    def __init__(self, owner: Bars, live: RichProgress, task: TaskID) -> None:
        self._owner = owner
        self._live = live
        self._task = task
        self._closed = False

    def advance(self, steps: int = 1) -> None:
        self._live.advance(self._task, steps)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._live.stop_task(self._task)
        self._owner.bar_closed()


class Lines:
    """Plain lines, never more than one each `LINE_SECONDS` for a piece of work."""

    def bar(self, what: str, total: int | None, unit: str) -> Bar:
        """Return work that is told of in lines."""
        return _LineBar(what, total, unit)

    def say(self, line: str) -> None:
        """Write the line."""
        print(line, file=sys.stderr, flush=True)


class _LineBar:
    def __init__(self, what: str, total: int | None, unit: str) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._done = 0
        self._start = self._told_at = time.monotonic()
        self._told = 0
        self._closed = False
        self._lock = Lock()
        self._tell("")

    def advance(self, steps: int = 1) -> None:
        with self._lock:
            self._done += steps
            now = time.monotonic()
            if self._is_due(now):
                self._told_at, self._told = now, self._done
                rate = self._done / (now - self._start)
                self._tell(pace(self._done, self._total, self._unit, rate))

    def _is_due(self, now: float) -> bool:
        waited = now - self._told_at
        if waited < LINE_SECONDS:
            return False
        return waited >= QUIET_SECONDS or (self._done - self._told) >= LINE_SHARE * (self._total or 0)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._tell(f"in {duration(time.monotonic() - self._start)}")

    def _tell(self, pace_text: str) -> None:
        parts = [f"{self._what}: {amount(self._done, self._total, self._unit)}", *([pace_text] if pace_text else [])]
        print(", ".join(parts), file=sys.stderr, flush=True)
