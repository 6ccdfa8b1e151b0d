"""Two runs of one task side by side: paired differences where they compare, and which protocol field forbids it.

from evalkit.comparison import compare, read_scored_run

comparison = compare(read_scored_run(Path("runs/A")), read_scored_run(Path("runs/B")))
for difference in comparison.differences:
    print(difference.name, difference.difference, difference.interval, difference.adjusted_p)
"""

from __future__ import annotations

from evalkit.comparison.differences import Difference, Incomparable
from evalkit.comparison.pairs import Comparison, compare, compare_all
from evalkit.comparison.ranks import Ranked, rank_tiers
from evalkit.comparison.repeats import seed_components
from evalkit.comparison.scored_run import Samples, ScoredRun, read_scored_run

__all__ = [
    "Comparison",
    "Difference",
    "Incomparable",
    "Ranked",
    "Samples",
    "ScoredRun",
    "compare",
    "compare_all",
    "rank_tiers",
    "read_scored_run",
    "seed_components",
]
