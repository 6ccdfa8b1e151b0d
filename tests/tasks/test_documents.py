"""What a user is told of each benchmark, as `evalkit ls tasks NAME` shows it."""

from __future__ import annotations

import re

import pytest

from evalkit.cli.inventory import described
from evalkit.interfaces import TaskSpec
from evalkit_tasks import TASKS

AT_A_COMMIT = re.compile(r"[Oo]fficial\s+scorers?[:,].* at\s[0-9a-f]{7}\b", re.DOTALL)
NO_SCORER = re.compile(r"no\s+(official\s+)?scorer", re.DOTALL)


@pytest.mark.parametrize("spec", TASKS, ids=lambda spec: spec.name)
def test_it_tells_of_protocol_pitfalls_anchors_and_licence(spec: TaskSpec) -> None:
    told = described(spec.factory)
    assert f"`{spec.name}@{spec.version}`" in told.partition("\n\n")[0], "the first sentence has the versioned name"
    assert "One item" in told, "a real item is shown"
    assert "Protocol" in told
    assert "Pitfalls" in told
    assert "nchors" in told or "no published numbers" in told
    assert "Data" in told
    assert spec.licence


@pytest.mark.parametrize(
    "spec", [spec for spec in TASKS if not spec.name.startswith("blocksworld_")], ids=lambda spec: spec.name
)
def test_it_names_its_source_and_the_official_scorer_at_a_commit_or_says_that_there_is_none(spec: TaskSpec) -> None:
    told = described(spec.factory)
    assert spec.citation
    assert AT_A_COMMIT.search(told) or NO_SCORER.search(told)
