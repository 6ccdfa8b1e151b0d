"""A change of the code that makes FID's family is a new version: stored findings and protocols must not mix them."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import evalkit.metrics
from evalkit.metrics.findings import METRIC_VERSION

FAMILY = (
    "distribution",
    "extrapolation",
    "family",
    "findings",
    "frechet",
    "inception_score",
    "jackknife",
    "kernel",
    "manifold",
    "protocols",
)
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "metric_code.json"


def _code_without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [
                part
                for part in node.body
                if not (
                    isinstance(part, ast.Expr)
                    and isinstance(part.value, ast.Constant)
                    and isinstance(part.value.value, str)
                )
            ]
    return ast.dump(tree)


def _code_digest() -> str:
    hasher = hashlib.sha256()
    folder = Path(next(iter(evalkit.metrics.__path__)))
    for name in FAMILY:
        source = (folder / f"{name}.py").read_text(encoding="utf-8")
        hasher.update(f"{name}\n{_code_without_docstrings(source)}\n".encode())
    return hasher.hexdigest()


def test_words_and_comments_are_not_code() -> None:
    plain = "def f():\n    return 1\n"
    assert _code_without_docstrings(plain) == _code_without_docstrings(
        'def f():\n    """One."""\n    return 1  # one\n'
    )
    assert _code_without_docstrings(plain) != _code_without_docstrings("def f():\n    return 2\n")


def test_changed_scoring_code_has_a_new_version() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert [METRIC_VERSION, _code_digest()] == [golden["version"], golden["digest"]], (
        "FID's family in evalkit/metrics changed: if a number moves, raise METRIC_VERSION in findings.py; then record "
        f"version {METRIC_VERSION} and digest {_code_digest()} in {GOLDEN.name}"
    )
