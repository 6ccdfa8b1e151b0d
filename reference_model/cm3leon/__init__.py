"""A reference CM3leon: text from pictures and pictures from text in one decoder-only transformer. See README.md."""

from __future__ import annotations

from evalkit.interfaces import ModelSpec

MODELS: tuple[ModelSpec, ...] = ()
