"""Image-text-to-text models of the transformers library: `-m transformers:REPO`, for captions and questions.

A request becomes one turn of chat in the model's own template; a model without a template is given the picture and the
words. Decoding is greedy unless the request names a temperature; then the noise is drawn on the CPU from the request's
own seed (Gumbel-max), so that a sample's answer is the same in any company and on any device that rounds alike.

One request is answered at a time. `-a together=8` answers 8 in each pass, left-padded and always of one shape (see
`passes.py`): faster on a GPU, and another model as far as the cache is concerned, because it rounds differently.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from PIL import Image as PillowImage

from evalkit.errors import WeightsError
from evalkit.images import pixels
from evalkit.models.checkpoints import Checkpoint, checkpoint, library_versions, trust_of
from evalkit.models.decoding import Network, Processor, decoding, draws, padded_left, padding_id, read
from evalkit.models.knobs import Unanswerable, choice, require_known, whole
from evalkit.models.passes import passes
from evalkit.models.prompts import LONGEST, TEXT_JOBS, Prompts, prompts_of
from evalkit.types import Answer, Generation, Image, Job, JsonScalar, Request, Text
from evalkit.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

CODE = 1
"""Version of what turns a request into an answer here: raised when an answer would change."""
KNOBS = frozenset({"max_tokens", "temperature", "top_p", "stop"})
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Setting:
    """How a checkpoint is run; all of it can change an answer."""

    precision: str
    together: int
    beams: int
    chat: bool
    device: str
    spread: bool
    """Whether the layers are spread over all devices (`device_map=auto`)."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One request made into tensors."""

    position: int
    request: Request
    tensors: Mapping[str, Tensor]

    @property
    def shape(self) -> Hashable:
        """What must be equal for two rows to be answered in one pass."""
        r = self.request
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in sorted(self.tensors.items()))
        return shapes, r.max_tokens, r.job, r.temperature, r.top_p, r.stop


@dataclass(frozen=True)
class ImageTextModel:
    """Answers with one checkpoint, which is loaded when the first request comes."""

    checkpoint: Checkpoint
    prompts: Prompts
    setting: Setting
    versions: Mapping[str, JsonScalar]

    @property
    def name(self) -> str:
        """The repository, or the folder's name."""
        return f"transformers:{self.checkpoint.name}"

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The checkpoint's digest, the prompts, how it is run, and the libraries."""
        s = self.setting
        return {
            "model": "transformers",
            "code": CODE,
            **self.checkpoint.identity,
            **self.prompts.identity,
            **self.versions,
            "precision": s.precision,
            "together": s.together,
            "num_beams": s.beams,
            "chat": s.chat,
            "device": s.device.partition(":")[0],
            "device_map": "auto" if s.spread else None,
        }

    @property
    def capabilities(self) -> frozenset[Job]:
        """Captions and questions."""
        return frozenset(TEXT_JOBS)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position and answer; a `Failure` for one that this model cannot be asked.

        Raises:
            WeightsError: the checkpoint cannot be loaded, or changed since its digest was taken.
        """
        if self.setting.together == 1:  # one by one, so that no more than one picture is held as tensors
            for position, request in enumerate(requests):
                yield from self._answered([(position, request)])
        else:
            yield from self._answered(list(enumerate(requests)))

    def _answered(self, asked_for: Sequence[tuple[int, Request]]) -> Iterator[tuple[int, Answer]]:
        rows: list[_Row] = []
        for position, request in asked_for:
            try:
                rows.append(self._row(position, request))
            except Unanswerable as error:
                yield position, error.failure()
        for together, real in passes([(row.shape, row) for row in rows], self.setting.together):
            started = time.perf_counter()
            answers = self._pass(together)[:real]
            each = (time.perf_counter() - started) / real
            for row, (text, ended) in zip(together, answers, strict=False):
                yield row.position, Generation((Text(text),), "stop" if ended else "length", each)

    @cached_property
    def _loaded(self) -> tuple[Processor, Network]:
        """The processor and the network."""
        from transformers import AutoModelForImageTextToText, AutoProcessor
        from transformers.utils import logging

        logging.disable_progress_bar()
        trust, folder, s = self.checkpoint.trust, self.checkpoint.folder, self.setting
        try:
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=trust.code, local_files_only=True)
            network = AutoModelForImageTextToText.from_pretrained(
                folder,
                dtype=s.precision,
                use_safetensors=None if trust.pickles else True,
                trust_remote_code=trust.code,
                local_files_only=True,
                device_map="auto" if s.spread else None,
            )
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise _unloadable(self.checkpoint, error) from error
        self.checkpoint.require_unchanged()
        return processor, (network if s.spread else network.to(s.device)).eval()

    def _row(self, position: int, request: Request) -> _Row:
        require_known(request, KNOBS)
        if request.top_p is not None and not request.temperature:
            raise Unanswerable(f"top_p={request.top_p} needs a temperature: without one the likeliest token is taken")
        if request.temperature and self.setting.beams > 1:
            raise Unanswerable(
                f"temperature={request.temperature} and num_beams={self.setting.beams} exclude each other"
            )
        pieces = self.prompts.pieces(request)
        pictures = [PillowImage.fromarray(pixels(piece)) for piece in pieces if isinstance(piece, Image)]
        words = [piece for piece in pieces if isinstance(piece, str)]
        processor, _ = self._loaded
        if self.setting.chat and getattr(processor, "chat_template", None):
            tensors = self._chat(processor, pieces, pictures)
        else:
            tensors = dict(processor(images=pictures or None, text="\n".join(words) or None, return_tensors="pt"))
        if self.setting.together > 1:
            tensors = padded_left(tensors, padding_id(processor))
        return _Row(position, request, tensors)

    def _chat(self, processor: Processor, pieces: Sequence[object], pictures: Sequence[object]) -> dict[str, Tensor]:
        shown = iter(pictures)
        content = [
            {"type": "text", "text": piece} if isinstance(piece, str) else {"type": "image", "image": next(shown)}
            for piece in pieces
        ]
        system = [{"role": "system", "content": [{"type": "text", "text": self.prompts.system}]}]
        turns = [*(system if self.prompts.system else []), {"role": "user", "content": content}]
        return dict(
            processor.apply_chat_template(
                [turns], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )
        )

    def _pass(self, rows: Sequence[_Row]) -> list[tuple[str, bool]]:
        """Return each row's text, and whether it ended by itself."""
        import torch

        processor, network = self._loaded
        asked_for = rows[0].request
        tensors = {name: torch.cat([row.tensors[name] for row in rows]) for name in rows[0].tensors}
        dtypes = {name: network.dtype if tensor.is_floating_point() else None for name, tensor in tensors.items()}
        tensors = {name: tensor.to(network.device, dtypes[name]) for name, tensor in tensors.items()}
        longest = asked_for.max_tokens or LONGEST[asked_for.job]
        config = decoding(network, self.setting.beams, longest, padding_id(processor))
        config.stop_strings = list(asked_for.stop) or None
        with torch.inference_mode():
            made = network.generate(
                **tensors,
                generation_config=config,
                logits_processor=draws([row.request.seed for row in rows], asked_for.temperature, asked_for.top_p),
                tokenizer=processor.tokenizer,
            ).cpu()
        prompt = tensors["input_ids"].cpu() if "input_ids" in tensors else made[:, :0]
        if torch.equal(made[:, : prompt.shape[1]], prompt):
            made = made[:, prompt.shape[1] :]
        return [read(processor, ids, config.eos_token_id, asked_for.stop) for ids in made]


def _unloadable(found: Checkpoint, error: Exception) -> WeightsError:
    if "trust_remote_code" in str(error) and not found.trust.code:
        return WeightsError(f"{found.source} needs code of its own, which is not run unless -a trust_remote_code=yes")
    said = next(iter(str(error).splitlines()), type(error).__name__)
    return WeightsError(f"{found.source} is not an image-text-to-text checkpoint that transformers can load: {said}")


def transformers_model(workspace: Workspace, argument: str, options: Mapping[str, str]) -> ImageTextModel:
    """Return the model of the checkpoint in folder or hub repository `argument`.

    Raises:
        UsageError: an option has no such value, or the library is missing.
        WeightsError: the checkpoint is missing, or would need a trust that was not given.
    """
    versions = library_versions("torch", "tokenizers", "transformers")
    setting = Setting(
        precision=choice(options, "precision", PRECISIONS, "auto"),
        together=whole(options, "together", 1),
        beams=whole(options, "num_beams", 1),
        chat=choice(options, "chat", ("yes", "no"), "yes") == "yes",
        device=workspace.device,
        spread=choice(options, "device_map", ("none", "auto"), "none") == "auto",
    )
    if setting.spread:
        library_versions("accelerate", "transformers")
    found = checkpoint(workspace, argument, options.get("revision", ""), trust_of(options))
    return ImageTextModel(found, prompts_of(options), setting, versions)
