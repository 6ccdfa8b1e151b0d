"""What an API model may spend: requests and tokens a minute, requests and money in all."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.errors import RunError, UsageError
from evalkit.interfaces import Option
from evalkit.models.knobs import positive, whole

MINUTE = 60.0
MILLION = 1_000_000
LIMIT_OPTIONS = (
    Option("requests_per_minute", "", "most requests in any minute; no limit by default"),
    Option("tokens_per_minute", "", "most tokens in any minute, answers included; no limit by default"),
    Option("max_requests", "", "most requests of this command, repeated ones included; --max-requests"),
    Option("max_cost", "", "most that this command may cost, by the prices below; --max-cost"),
    Option("input_price", "", "price of a million tokens of prompt"),
    Option("output_price", "", "price of a million tokens of answer"),
    Option("image_price", "", "price of a picture that is made"),
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, and pictures made; of one request or of many."""

    read: int = 0
    written: int = 0
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Each None where there is none; prices are of a million tokens, and of a picture."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_requests: int | None = None
    max_cost: float | None = None
    input_price: float = 0.0
    output_price: float = 0.0
    image_price: float = 0.0

    def cost(self, usage: Usage) -> float:
        """Return what `usage` costs.

        >>> Limits(input_price=2.0, output_price=8.0).cost(Usage(read=500_000, written=250_000))
        3.0
        """
        tokens = usage.read * self.input_price + usage.written * self.output_price
        return tokens / MILLION + usage.pictures * self.image_price


def limits_of(options: Mapping[str, str]) -> Limits:
    """Return the limits that the options set.

    Raises:
        UsageError: one is no number, or money is limited and no price is named.
    """
    prices = [positive(options, name) or 0.0 for name in ("input_price", "output_price", "image_price")]
    most = positive(options, "max_cost")
    if most is not None and not any(prices):
        raise UsageError(
            "a limit on the cost needs prices: -a input_price=2.5 -a output_price=10 (of a million tokens)"
        )
    requests = whole(options, "max_requests", 0, least=0) if options.get("max_requests") else None
    a_minute = positive(options, "requests_per_minute"), positive(options, "tokens_per_minute")
    return Limits(*a_minute, requests, most, *prices)


class BudgetSpent(RunError):
    """No more may be sent; what was answered is kept."""


@dataclass(slots=True)
class Meter:
    """Counts what is sent against `limits`; threads share it."""

    limits: Limits
    sent: int = 0
    spent: float = 0.0
    dearest: float = 0.0
    lost: int = 0
    """Requests in a row that found no server, each in all its tries."""
    _reserved: float = 0.0
    _recent: deque[tuple[float, int]] = field(default_factory=deque)
    """Time and tokens of each request of the last minute."""
    _paused_until: float = 0.0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def admit(self, expected: Usage, stop: threading.Event) -> float | None:
        """Return what was set aside for a request of `expected` size once it may be sent; None when stopped.

        A request is expected to cost no less than the dearest one until now. It must be settled afterwards.

        Raises:
            BudgetSpent: it would exceed a limit of this command.
        """
        tokens = expected.read + expected.written
        with self._changed:
            while not stop.is_set():
                cost = max(self.limits.cost(expected), self.dearest)
                self._require_budget(cost)
                wait = self._wait(tokens)
                if wait <= 0 and self._affordable(cost):
                    self.sent += 1
                    self._reserved += cost
                    self._recent.append((time.monotonic(), tokens))
                    return cost
                self._changed.wait(min(wait, 1.0) if wait > 0 else 0.1)
        return None

    def settle(self, reserved: float, used: Usage) -> None:
        """Replace what was set aside for a request by what it used."""
        cost = self.limits.cost(used)
        with self._changed:
            self._reserved = max(0.0, self._reserved - reserved)
            self.spent += cost
            self.dearest = max(self.dearest, cost)
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Let nobody send for `seconds`: the server asked for it."""
        with self._changed:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _affordable(self, cost: float) -> bool:
        most = self.limits.max_cost
        return most is None or self.spent + self._reserved + cost <= most

    def _require_budget(self, cost: float) -> None:
        kept = "every answer is kept; give the command again with a larger limit to go on"
        most = self.limits.max_requests
        if most is not None and self.sent >= most:
            raise BudgetSpent(f"the budget of {most:,} requests (--max-requests) is spent; {kept}")
        if not self._affordable(cost) and self._reserved < 1e-9:
            raise BudgetSpent(
                f"the budget of {self.limits.max_cost:g} (--max-cost) is spent: {self.spent:.4g} for {self.sent:,} "
                f"requests, and the next may cost {cost:.4g}; {kept}"
            )

    def _wait(self, tokens: int) -> float:
        """Return the seconds until the limits of a minute, and a pause that the server asked for, let one more pass."""
        now = time.monotonic()
        while self._recent and self._recent[0][0] <= now - MINUTE:
            self._recent.popleft()
        until = self._paused_until
        most = self.limits.requests_per_minute
        if most is not None and len(self._recent) >= max(1, int(most)):
            until = max(until, self._recent[len(self._recent) - max(1, int(most))][0] + MINUTE)
        room = self.limits.tokens_per_minute
        if room is not None:
            until = max(until, self._until_room(room - tokens))
        return until - now

    def _until_room(self, room: float) -> float:
        """Return when the tokens of the last minute will be at most `room`; one larger than all waits for none."""
        held = sum(tokens for _, tokens in self._recent)
        for sent_at, tokens in self._recent:
            if held <= max(room, 0.0):
                return 0.0
            held -= tokens
            if held <= max(room, 0.0):
                return sent_at + MINUTE
        return 0.0
