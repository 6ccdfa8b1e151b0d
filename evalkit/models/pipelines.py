"""What pipelines of the diffusers library can be asked for, and what they are shown."""

from __future__ import annotations

import inspect
from typing import Any, TypeAlias

from PIL import Image as PillowImage

from evalkit.errors import UsageError, nearest
from evalkit.images import pixels
from evalkit.models.knobs import Unanswerable
from evalkit.types import Image, LabelMap, Mask, Request, Text

Pipeline: TypeAlias = Any
Scheduler: TypeAlias = Any
"""Of diffusers, which is not typed throughout."""


def pipeline_kinds(class_name: str) -> frozenset[str]:
    """Return the kinds of request that a pipeline of this class takes: text, image, inpainting, or its `own` edits."""
    import diffusers
    from diffusers.pipelines import auto_pipeline as auto

    if class_name in {found.__name__ for found in auto.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}:
        tables = {"image": auto.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, "inpainting": auto.AUTO_INPAINT_PIPELINES_MAPPING}
        name = next(n for n, c in auto.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.items() if c.__name__ == class_name)
        return frozenset({"text", *(kind for kind, table in tables.items() if name in table)})
    found = getattr(diffusers, class_name, None)
    takes = inspect.signature(found.__call__).parameters if found is not None else ()
    return frozenset({"own"} if "image" in takes else {"text"})


def shown_pictures(request: Request) -> dict[str, PillowImage.Image]:
    """Return the pictures of a request by what pipelines call them."""
    found: dict[str, PillowImage.Image] = {}
    for part in request.parts:
        if isinstance(part, Text):
            continue
        if not isinstance(part, (Image, Mask, LabelMap)):
            raise Unanswerable(f"a {type(part).__name__} cannot be shown to this model")
        image = part if isinstance(part, Image) else part.image
        name = "mask_image" if isinstance(part, Mask) or image.role == "mask" else "image"
        if name in found:
            raise Unanswerable(f"this model takes one {name}, and the request holds two")
        found[name] = PillowImage.fromarray(pixels(image))
    return found


def other_scheduler(current: Scheduler, name: str) -> Scheduler:
    """Return the scheduler of class `name`, set up as `current` is.

    Raises:
        UsageError: it does not go with the pipeline.
    """
    import diffusers

    able = [found.__name__ for found in current.compatibles]
    if name not in able:
        raise UsageError(f"-a scheduler={name} does not go with this pipeline{nearest(name, able)}")
    return getattr(diffusers, name).from_config(current.config)
