"""Scenes as JSON, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from evalkit.errors import DataError
from evalkit.types import Json
from evalkit_tasks.blocksworld.scene import COLOURS, GROUNDS, STYLES, Background, Block, Scene, arranged
from evalkit_tasks.blocksworld.shapes import SHAPES, SIZES, TEXTURES, UNITS

W = TypeVar("W", bound=str)


def scene_json(scene: Scene) -> Json:
    """Return `scene` as JSON: its background and its blocks, the farthest first."""
    blocks: list[Json] = [
        {
            "shape": block.shape,
            "color": block.colour,
            "size": block.size,
            "texture": block.texture,
            "x": block.x,
            "y": block.y,
        }
        for block in scene.blocks
    ]
    return {"background": {"color": scene.background.colour, "style": scene.background.style}, "blocks": blocks}


def scene_of(document: Json, where: str) -> Scene:
    """Return the scene that `document` holds; `where` names it in errors.

    Raises:
        DataError: something is missing or unknown; the message names it.
    """
    whole = _object(document, where)
    ground = _object(whole.get("background"), f"{where}, background")
    background = Background(_word(ground, "color", GROUNDS, where), _word(ground, "style", STYLES, where))
    blocks = whole.get("blocks")
    if not isinstance(blocks, list):
        raise DataError(f"{where} has no list of blocks; write the files anew")
    return arranged([_block(_object(block, where), where) for block in blocks], background)


def _block(document: dict[str, Json], where: str) -> Block:
    return Block(
        _word(document, "shape", SHAPES, where),
        _word(document, "color", COLOURS, where),
        _word(document, "size", SIZES, where),
        _word(document, "texture", TEXTURES, where),
        _place(document, "x", where),
        _place(document, "y", where),
    )


def _object(document: Json, where: str) -> dict[str, Json]:
    if not isinstance(document, dict):
        raise DataError(f"{where} is {document!r}, not an object; write the files anew")
    return document


def _word(document: dict[str, Json], name: str, known: Sequence[W], where: str) -> W:
    value = document.get(name)
    for word in known:
        if word == value:
            return word
    raise DataError(f"{where} has the {name} {value!r}; it must be one of {', '.join(known)}")


def _place(document: dict[str, Json], name: str, where: str) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= UNITS:
        raise DataError(f"{where} has {name} = {value!r}; it must be a whole number between 0 and {UNITS}")
    return value
