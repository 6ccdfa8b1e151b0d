"""How sure a number is: intervals for every kind of estimator, paired differences, Holm, power, rank tiers.

Pure numpy and scipy on arrays; nothing here knows what a run is. All draws come from a seed that the caller gives, so
that equal arguments give equal intervals. README.md has the formulas and their sources.
"""

from __future__ import annotations

from evalkit.stats.bootstrap import Statistic, bca_bootstrap, percentile_bootstrap
from evalkit.stats.components import Components, variance_components
from evalkit.stats.holm import holm
from evalkit.stats.jackknife import jackknife_influence, jackknife_interval, jackknife_standard_error
from evalkit.stats.means import clustered_standard_error, mean_interval
from evalkit.stats.paired import Paired, independent_difference, paired_bootstrap, paired_difference
from evalkit.stats.power import clusters_needed, minimum_detectable
from evalkit.stats.rates import rate_interval, wilson_interval
from evalkit.stats.student import Doubles, Indices, student_interval, student_quantile
from evalkit.stats.tiers import Standing, standings

__all__ = [
    "Components",
    "Doubles",
    "Indices",
    "Paired",
    "Standing",
    "Statistic",
    "bca_bootstrap",
    "clustered_standard_error",
    "clusters_needed",
    "holm",
    "independent_difference",
    "jackknife_influence",
    "jackknife_interval",
    "jackknife_standard_error",
    "mean_interval",
    "minimum_detectable",
    "paired_bootstrap",
    "paired_difference",
    "percentile_bootstrap",
    "rate_interval",
    "standings",
    "student_interval",
    "student_quantile",
    "variance_components",
    "wilson_interval",
]
