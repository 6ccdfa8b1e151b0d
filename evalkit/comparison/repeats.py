"""Repeats of one run, each with seeds of its own: how much of the uncertainty is the seeds'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.comparison.evidence import Contributions, evidence
from evalkit.comparison.scored_run import ScoredRun
from evalkit.errors import NotEnoughSamples
from evalkit.stats import Components, variance_components
from evalkit.types import Estimate


def seed_components(runs: Sequence[ScoredRun]) -> dict[str, Components]:
    """Return the components of each estimate's uncertainty over `runs`, which are repeats of one run.

    Of samples that all of them answered. Estimates that are no mean of scores or influences are left out, and so is
    everything where there are too few samples.
    """
    found: dict[str, Components] = {}
    for name in runs[0].estimates:
        known = [_contributions(run, name) for run in runs]
        columns = [one for one in known if one is not None]
        if len(columns) < len(runs):
            continue
        shared = [i for i in columns[0] if all(i in column for column in columns)]
        cluster = dict(zip(runs[0].samples.ids, runs[0].samples.clusters, strict=True))
        scores = np.array([[column[i] for column in columns] for i in shared])
        try:
            found[name] = variance_components(scores, [cluster[i] for i in shared])
        except NotEnoughSamples:
            continue
    return found


def _contributions(run: ScoredRun, name: str) -> dict[str, float] | None:
    estimate = run.estimates.get(name)
    known = evidence(run, name, estimate) if isinstance(estimate, Estimate) else None
    return dict(zip(known.ids, known.values.tolist(), strict=True)) if isinstance(known, Contributions) else None
