"""Numbers that a task is held to: golden values that are run again, and published ones that are only shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Anchor:
    """A number that a task must give, or that was published for it.

    With a `model`, as `-m` names it, `evalkit verify` runs it again, with the task's `options` and `protocol`, and the
    number must come out within `tolerance`. Without one the model is not evalkit's to run: then it is only shown.
    """

    metric: str
    value: float
    source: str
    """Who measured or published it, and on what."""
    tolerance: float = 0.0
    model: str = ""
    options: tuple[tuple[str, str], ...] = ()
    protocol: str | None = None
    data: str | None = None
