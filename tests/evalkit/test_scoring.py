"""Laws of scoring beside generating: it never falls behind without end."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from evalkit.interfaces import Scored
from evalkit.scoring import CHUNK, WAITING, Scoring
from evalkit.types import Generation, Sample
from tests.fakes import MeanBrightness


class Held(MeanBrightness):
    """A metric that scores nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def update(self, state: dict[str, float], scored: Sequence[Scored]) -> dict[str, float]:
        self.go.wait(30)
        return state | {item.sample.id: 0.0 for item in scored}


def test_generating_waits_where_scoring_falls_behind() -> None:
    metric, added = Held(), []
    with Scoring([metric]) as scoring:

        def add() -> None:
            for number in range(2 * WAITING * CHUNK):
                scoring.add(Scored(Sample(str(number), ()), Generation(())))
                added.append(number)

        thread = threading.Thread(target=add)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert len(added) <= (WAITING + 1) * CHUNK
        metric.go.set()
        thread.join(30)
        (result,) = scoring.finish()
    assert len(result.per_sample["brightness"]) == 2 * WAITING * CHUNK
