"""The store of answers: what a model was asked once is never asked again. See README.md in this folder."""

from evalkit.cache.export import ExportedFolder, export
from evalkit.cache.misses import Absent, Difference, Miss, why
from evalkit.cache.rebuild import RebuildReport, rebuild
from evalkit.cache.store import Cache, Summary
from evalkit.cache.sweep import GcReport, gc
from evalkit.cache.verify import Damage, set_aside, verify

__all__ = [
    "Absent",
    "Cache",
    "Damage",
    "Difference",
    "ExportedFolder",
    "GcReport",
    "Miss",
    "RebuildReport",
    "Summary",
    "export",
    "gc",
    "rebuild",
    "set_aside",
    "verify",
    "why",
]
