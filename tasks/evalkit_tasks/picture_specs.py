"""The benchmarks of pictures that are not FID, as the table of this room lists them: nothing heavy is imported here."""

from __future__ import annotations

from evalkit.interfaces import Option, TaskSpec

_B32, _L14 = "openai-vit-b32", "openai-vit-l14"
_CLIP_WEIGHTS = ("clip-openai-vit-b32", "clip-merges")

_MAGICBRUSH = TaskSpec(
    name="magicbrush",
    version=1,
    job="text-guided-editing",
    summary="edits of real photos against the pictures that people made of them, turn by turn or session by session",
    factory="evalkit_tasks.magicbrush:magicbrush",
    data=("magicbrush", "blocksworld"),
    metrics=("l1", "l2", f"clip_i[{_B32}]", "dino[dino-vits16]", f"clip_t[{_B32}]"),
    protocols=("magicbrush",),
    weights=(*_CLIP_WEIGHTS, "dino-vits16"),
    options=(Option("turns", "single", "single: each turn on the true picture; multi: on what the model made of it"),),
    citation="Zhang 2023, arXiv:2306.10012",
    licence="CC BY 4.0",
)

PICTURE_TASKS: tuple[TaskSpec, ...] = (_MAGICBRUSH,)
