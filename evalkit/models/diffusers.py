"""Pipelines of the diffusers library: `-m diffusers:REPO`, for pictures from words, pictures and maps.

    text-to-image            any text-to-image pipeline
    text-guided-editing      an instruct-edit pipeline as it is; any other by image-to-image (`-a strength=`), and by
                             inpainting where the request has a mask
    structure-to-image,      a ControlNet beside the pipeline: `-a controlnet=REPO`
    segmentation-to-image

Noise comes from a CPU generator of each request's own seed. One request is answered at a time; `-a together=4` makes 4
in each pass, always of one shape (see `passes.py`): another model as far as the cache is concerned.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import WeightsError
from evalkit.images import Pixels, image_of
from evalkit.models.checkpoints import Checkpoint, checkpoint, library_versions, trust_of
from evalkit.models.knobs import Unanswerable, choice, positive, require_known, whole
from evalkit.models.passes import passes
from evalkit.models.pipelines import Pipeline, other_scheduler, pipeline_kinds, shown_pictures
from evalkit.types import Answer, Failure, Generation, Job, JsonScalar, Request, Text
from evalkit.workspace import Workspace

if TYPE_CHECKING:
    import torch

CODE = 1
"""Version of what turns a request into an answer here: raised when an answer would change."""
ARGUMENTS = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "image_guidance": "image_guidance_scale",
    "negative_prompt": "negative_prompt",
    "width": "width",
    "height": "height",
}
"""Fields of a request, and what pipelines call them."""
PRECISIONS = ("float32", "bfloat16", "float16")
MAPS: frozenset[Job] = frozenset({"structure-to-image", "segmentation-to-image"})


@dataclass(frozen=True, slots=True)
class Setting:
    """How the pipeline is run; all of it can change an answer."""

    precision: str
    together: int
    scheduler: str
    """Class of the scheduler; empty for the checkpoint's own."""
    strength: float | None
    variant: str
    device: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One request made into a pipeline's arguments: those that each row has, and those that a pass shares."""

    position: int
    request: Request
    kind: str
    own: Mapping[str, object]
    shared: tuple[tuple[str, int | float], ...]
    sizes: tuple[tuple[str, tuple[int, int]], ...]

    @property
    def shape(self) -> Hashable:
        """What must be equal for two rows to be made in one pass."""
        return self.kind, tuple(sorted(self.own)), self.shared, self.sizes


@dataclass(frozen=True)
class PipelineModel:
    """Answers with one pipeline, which is loaded when the first request comes."""

    checkpoint: Checkpoint
    controlnet: Checkpoint | None
    setting: Setting
    versions: Mapping[str, JsonScalar]

    @property
    def name(self) -> str:
        """The repository, or the folder's name."""
        return f"diffusers:{self.checkpoint.name}"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The digests of pipeline and ControlNet, how they are run, and the libraries."""
        s = self.setting
        return {
            "model": "diffusers",
            "code": CODE,
            **self.checkpoint.identity,
            **self.versions,
            "controlnet": None if self.controlnet is None else self.controlnet.content,
            "precision": s.precision,
            "together": s.together,
            "scheduler": s.scheduler,
            "strength": s.strength,
            "variant": s.variant,
            "device": s.device.partition(":")[0],
        }

    @property
    def capabilities(self) -> frozenset[Job]:
        """What the pipeline's class can be asked for."""
        if self.controlnet is not None:
            return MAPS
        kinds = pipeline_kinds(self._class_name)
        found: set[Job] = {"text-to-image"} if "text" in kinds else set()
        return frozenset(found | ({"text-guided-editing"} if kinds - {"text"} else set()))

    @property
    def _class_name(self) -> str:
        index = self.checkpoint.folder / "model_index.json"
        try:
            name = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{index} does not name a pipeline ({error!r}); name a pipeline's folder") from error
        return str(name[-1] if isinstance(name, list) else name)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position and picture; a `Failure` for one that this pipeline cannot be asked.

        Raises:
            WeightsError: the checkpoint cannot be loaded, or changed since its digest was taken.
        """
        rows: list[_Row] = []
        for position, request in enumerate(requests):
            try:
                rows.append(self._row(position, request))
            except Unanswerable as error:
                yield position, error.failure()
        for together, real in passes([(row.shape, row) for row in rows], self.setting.together):
            started = time.perf_counter()
            made = self._pass(together)[:real]
            each = (time.perf_counter() - started) / real
            for row, (picture, flagged) in zip(together, made, strict=False):
                yield row.position, _answer(row.request, picture, flagged, each)

    @cached_property
    def _pipelines(self) -> Mapping[str, Pipeline]:
        """The pipeline by each kind of request that it takes; all share their weights."""
        import diffusers

        diffusers.utils.logging.disable_progress_bar()
        first = self._loaded()
        self.checkpoint.require_unchanged()
        if self.setting.scheduler:
            first.scheduler = other_scheduler(first.scheduler, self.setting.scheduler)
        first.set_progress_bar_config(disable=True)
        first.to(self.setting.device)
        if self.controlnet is not None:
            return {"map": first}
        builders = {
            "image": diffusers.AutoPipelineForImage2Image,
            "inpainting": diffusers.AutoPipelineForInpainting,
        }
        kinds = pipeline_kinds(self._class_name)
        made = {kind: builders[kind].from_pipe(first) for kind in kinds & builders.keys()}
        for pipeline in made.values():
            pipeline.set_progress_bar_config(disable=True)
        return {**made, **dict.fromkeys(kinds - builders.keys(), first)}

    def _loaded(self) -> Pipeline:
        import diffusers

        common = {
            "dtype": _dtype(self.setting.precision),
            "use_safetensors": None if self.checkpoint.trust.pickles else True,
            "local_files_only": True,
        }
        folder, trusted = self.checkpoint.folder, {"trust_remote_code": self.checkpoint.trust.code}
        named = {"variant": self.setting.variant} if self.setting.variant else {}
        try:
            if self.controlnet is None:
                return diffusers.DiffusionPipeline.from_pretrained(folder, **common, **trusted, **named)
            net = diffusers.ControlNetModel.from_pretrained(self.controlnet.folder, **common)
            self.controlnet.require_unchanged()
            return diffusers.AutoPipelineForText2Image.from_pretrained(folder, controlnet=net, **common, **named)
        except (OSError, ValueError, ImportError, AttributeError) as error:
            said = next(iter(str(error).splitlines()), type(error).__name__)
            raise WeightsError(f"{self.checkpoint.source} cannot be loaded by diffusers: {said}") from error

    def _row(self, position: int, request: Request) -> _Row:
        require_known(request, ARGUMENTS)
        if (request.width is None) != (request.height is None):  # pipelines then ignore the one that is named
            raise Unanswerable(f"width={request.width} and height={request.height}: name both or neither")
        words = " ".join(part.text for part in request.parts if isinstance(part, Text))
        pictures = shown_pictures(request)
        kind = self._kind(request, pictures)
        own: dict[str, object] = {"prompt": words, **pictures}
        shared: dict[str, int | float] = {}
        for field, argument in ARGUMENTS.items():
            value = getattr(request, field)
            if isinstance(value, str):
                own[argument] = value
            elif value is not None:
                shared[argument] = value
        if self.setting.strength is not None and kind in {"image", "inpainting"}:
            shared["strength"] = self.setting.strength
        known = inspect.signature(type(self._pipelines[kind]).__call__).parameters
        for argument in (*own, *shared):
            if argument not in known:
                said = f"{type(self._pipelines[kind]).__name__} takes no {argument}"
                raise Unanswerable(f"{said}, which the request sets; leave it out")
        sizes = tuple((name, picture.size) for name, picture in pictures.items())
        return _Row(position, request, kind, own, tuple(shared.items()), sizes)

    def _kind(self, request: Request, pictures: Mapping[str, object]) -> str:
        if self.controlnet is not None:
            kind = "map"
        elif request.job == "text-to-image":
            kind = "text"
        else:
            kind = "own" if "own" in self._pipelines else "inpainting" if "mask_image" in pictures else "image"
        if (kind == "text") == bool(pictures):
            raise Unanswerable(f"a request for {request.job} with {len(pictures)} pictures means nothing to this model")
        if kind not in self._pipelines:
            raise Unanswerable(f"{self._class_name} cannot be asked for {request.job} with {sorted(pictures)}")
        return kind

    def _pass(self, rows: Sequence[_Row]) -> list[tuple[Pixels | None, bool]]:
        """Return each row's picture (None: not finite), and whether a safety checker flagged it."""
        import torch

        dice = [torch.Generator().manual_seed(row.request.seed) for row in rows]
        own = {name: [row.own[name] for row in rows] for name in rows[0].own}
        made = self._pipelines[rows[0].kind](**own, **dict(rows[0].shared), generator=dice, output_type="np")
        flags = getattr(made, "nsfw_content_detected", None) or [False] * len(rows)
        return [(_bytes(picture), bool(flag)) for picture, flag in zip(made.images, flags, strict=True)]


def _bytes(picture: np.ndarray[Any, Any]) -> Pixels | None:
    """Return a picture of floats in 0 to 1 as bytes, rounded as diffusers does."""
    return (picture * 255).round().astype(np.uint8) if np.isfinite(picture).all() else None


def _answer(request: Request, picture: Pixels | None, flagged: bool, seconds: float) -> Answer:
    if flagged:
        return Failure("refusal", "the pipeline's safety checker flagged the picture", seconds)
    if picture is None:
        return Failure("malformed", "the picture is not finite; try -a precision=float32", seconds)
    height, width, _ = picture.shape
    if (request.width or width, request.height or height) != (width, height):
        return Failure("malformed", f"asked for {request.width} x {request.height}, made {width} x {height}", seconds)
    return Generation((image_of(picture),), seconds=seconds)


def _dtype(precision: str) -> torch.dtype:
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def diffusers_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> PipelineModel:
    """Return the model of the pipeline in folder or hub repository `argument`.

    Raises:
        UsageError: an option has no such value, or the library is missing.
        WeightsError: the checkpoint is missing, or would need a trust that was not given.
    """
    versions = library_versions("torch", "transformers", "diffusers")
    setting = Setting(
        precision=choice(options, "precision", PRECISIONS, "float32"),
        together=whole(options, "together", 1),
        scheduler=options.get("scheduler", ""),
        strength=positive(options, "strength"),
        variant=options.get("variant", ""),
        device=workspace.device,
    )
    trust = trust_of(options)
    net = options.get("controlnet")
    return PipelineModel(
        checkpoint(workspace, argument, options.get("revision", ""), trust),
        checkpoint(workspace, net, options.get("controlnet_revision", ""), trust) if net else None,
        setting,
        versions,
    )
