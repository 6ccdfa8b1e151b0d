"""The published models as `-m cm3leon:NAME -a weights=DIR` asks for them. Nothing is fetched: their files are gated.

What their licence allows is told before a file is opened.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path

import torch

from cm3leon.adapter import CHAMELEON_DEFAULTS, JOBS, Cm3leon
from cm3leon.chameleon import AnotherModel, load
from cm3leon.chameleon_files import layout
from cm3leon.chameleon_prompts import DRAWING_JOBS
from cm3leon.checkpoints import Checkpoint, CheckpointError, digest
from cm3leon.config import CONFIGS, Config
from cm3leon.image_tokenizer import NO_DECODER
from cm3leon.quantisation import quantise
from cm3leon.settings import Settings, require_applicable, settings_of
from cm3leon.transformer import Transformer
from evalkit.errors import WeightsError
from evalkit.models.knobs import choice
from evalkit.models.prompts import TEXT_JOBS, prompts_of
from evalkit.types import Job
from evalkit.workspace import Workspace

REPOSITORIES: Mapping[str, str] = types.MappingProxyType(
    {
        "chameleon-7b": "facebook/chameleon-7b",
        "chameleon-30b": "facebook/chameleon-30b",
        "anole-7b": "GAIR/Anole-7b-v0.1",
    }
)
"""Names of published models, and where on huggingface.co each is."""
OPTIONS = ("vqgan", "draw", "shape", "caption_prompt", "vqa_prompt")
"""Options of published models alone."""


def published_model(workspace: Workspace, name: str, options: Mapping[str, str]) -> Cm3leon:
    """Return the published model `name`, one of `REPOSITORIES`, that lies in `-a weights=DIR`.

    Raises:
        UsageError: an option is out of its range or of another model.
        WeightsError: no folder is named, or one that lacks a file or a tensor, or holds another model.
    """
    require_applicable(name, options, ("captions", "documents"))
    settings = settings_of(workspace, options, "bf16", CHAMELEON_DEFAULTS)
    jobs, prompts = _jobs(name, options), prompts_of(options)
    any_shape = choice(options, "shape", ("published", "any"), "published") == "any"
    config = CONFIGS[name]
    if not options.get("weights"):
        raise WeightsError(_how_to_get(config))
    workspace.progress.say(f"{name}: {config.licence}")
    folder = Path(options["weights"]).expanduser()
    vqgan = Path(options["vqgan"]).expanduser() if options.get("vqgan") else None
    try:
        checkpoint = _loaded(folder, vqgan, None if any_shape else config, settings)
        files = digest(layout(folder, vqgan).files)
    except AnotherModel as error:
        raise WeightsError(f"{error}; -a shape=any takes it as it is") from error
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if set(jobs) & set(DRAWING_JOBS) and checkpoint.image_tokenizer.decoder is None:
        raise WeightsError(f"{folder} draws no pictures: {NO_DECODER} (-a vqgan=PATH), or say -a draw=no")
    label = f"cm3leon:{name}{' shape=any' if any_shape else ''}"
    return Cm3leon(label, checkpoint, files, settings.defaults, jobs=jobs, prompts=prompts, rows=settings.rows)


def _jobs(name: str, options: Mapping[str, str]) -> tuple[Job, ...]:
    """Return what a model may be asked: Chameleon draws only where `-a draw=yes` says so, Anole unless told not to."""
    draws = choice(options, "draw", ("no", "yes"), "yes" if name.startswith("anole") else "no") == "yes"
    return tuple(job for job in JOBS if job in TEXT_JOBS or (draws and job in DRAWING_JOBS))


def _loaded(folder: Path, vqgan: Path | None, published: Config | None, settings: Settings) -> Checkpoint:
    if settings.precision != "int8":
        return load(folder, published, vqgan, settings.dtype, settings.device)
    # a GPU that the whole weights do not fit on holds them once they are quantised
    checkpoint = load(folder, published, vqgan, settings.dtype)
    quantise(checkpoint.transformer)
    checkpoint.transformer.to(settings.device)
    checkpoint.image_tokenizer.to(settings.device)
    return checkpoint


def _how_to_get(config: Config) -> str:
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in Transformer(config.transformer).parameters())
    repository = REPOSITORIES[config.name]
    return (
        f"cm3leon:{config.name} needs -a weights=DIR, a folder with config.json, tokenizer.json and model*.safetensors "
        "(transformers' layout), or with models/*/{params.json, consolidated*.pth} and tokenizer/{text_tokenizer.json, "
        f"vqgan.yaml, vqgan.ckpt}} (Meta's): about {2 * weights / 1e9:.0f} GB. Licence: {config.licence}. Nothing is "
        f"fetched for you: accept the licence at https://huggingface.co/{repository}, then run `hf auth login` and "
        f"`hf download {repository} --local-dir DIR`"
    )
