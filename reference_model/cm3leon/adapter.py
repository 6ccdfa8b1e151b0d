"""CM3leon and its published successors as models of evalkit: answers that depend on nothing but the request.

What a family is asked, id by id, is its `Layout` (`prompts.py`, `chameleon_prompts.py`); all else is the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image as PillowImage

from cm3leon.candidates import gathered, nearest_picture, nearest_text
from cm3leon.chameleon_prompts import DRAWING_JOBS, ChameleonReader
from cm3leon.checkpoints import Checkpoint
from cm3leon.decoding import Sampling, mixture
from cm3leon.generate import ROWS, Generator, Prompt
from cm3leon.places import place_table
from cm3leon.prompts import Ids, Layout, Reader, caption_of, fitted, picture_of
from cm3leon.quantisation import precision_of
from cm3leon.retrieval import DocumentStore, Embedder
from evalkit.errors import RunError
from evalkit.images import Pixels, image_of, pixels
from evalkit.models.knobs import Unanswerable, require_known
from evalkit.models.prompts import Prompts, prompts_of
from evalkit.types import IMAGE_JOBS, Answer, Generation, Job, JsonScalar, Request, Text

CODE = 1
"""Version of what turns a request into an answer: raised when an answer would change."""
JOBS: tuple[Job, ...] = (
    "text-to-image",
    "text-guided-editing",
    "structure-to-image",
    "object-to-image",
    "segmentation-to-image",
    "captioning",
    "vqa",
)
LONGEST_WORDS: dict[Job, int] = {"captioning": 96, "vqa": 24}
_KNOBS = frozenset({"temperature", "top_p"})
_TEXT_KNOBS = _KNOBS | {"max_tokens"}
_IMAGE_KNOBS = _KNOBS | {"best_of", "guidance", "width", "height"}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a request says nothing."""

    guidance: Mapping[Job, float] = field(default_factory=dict)
    """Guidance of each job against the stream without its text; 1, which is none, for jobs that are not here."""
    image_guidance: float = 1.5
    temperature: float = 1.0
    top_p: float = 0.95
    mode: str = "top-p"
    """`top-p`, `cd`, `cd-k`, or `mixture`: half of the candidates each by top-p and cd-k."""
    alpha: float = 0.1
    k: int = 2
    documents: int = 0
    """Retrieved documents before a wish for a picture."""
    captions: int = 1
    """Captions that are written of a picture, the likeliest and sampled ones; the one nearest to it is the answer."""


CHAMELEON_DEFAULTS = Defaults(
    dict.fromkeys(DRAWING_JOBS, 3.0),
    image_guidance=1.2,
    temperature=0.7,
    top_p=0.9,
)
"""What Meta's code and Anole's draw with. Source: facebookresearch/chameleon, inference/chameleon.py, `Options`."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """One candidate for one request's answer."""

    position: int
    prompt: Prompt


@dataclass(frozen=True)
class Cm3leon:
    """Answers requests with one checkpoint, CM3leon's or Chameleon's; `digest` is that of its files."""

    name: str
    checkpoint: Checkpoint
    digest: str
    defaults: Defaults
    documents: DocumentStore | None = None
    embedder: Embedder | None = None
    jobs: tuple[Job, ...] = JOBS
    prompts: Prompts = field(default_factory=lambda: prompts_of({}))
    """What Chameleon is asked with; CM3leon has prompts of its own."""
    rows: int = ROWS
    """Rows of a batch of the generator."""
    _generator: Generator = field(init=False, repr=False)
    _layout: Layout = field(init=False, repr=False)

    def __post_init__(self) -> None:
        vocabulary, side = self.checkpoint.vocabulary, self.checkpoint.config.image.pixels
        table = place_table(vocabulary, self.checkpoint.config.image.grid**2)
        generator = Generator(
            self.checkpoint.transformer, table, vocabulary.codes, vocabulary.marks.word_ends, self.rows
        )
        object.__setattr__(self, "_generator", generator)
        layout: Layout = Reader(side, self._coded, vocabulary)
        if (end_of_turn := vocabulary.marks.end_of_turn) is not None:
            layout = ChameleonReader(side, self._coded, vocabulary, end_of_turn, self.prompts)
        object.__setattr__(self, "_layout", layout)

    @property
    def identity(self) -> Mapping[str, JsonScalar]:
        """The digests of weights and documents, the code's version, what it is computed with, and the settings."""
        d = self.defaults
        return {
            "model": self.checkpoint.config.name,
            "code": CODE,
            "weights": self.digest,
            "documents": self.documents.digest if self.documents is not None and d.documents else None,
            "retrieved": d.documents,
            "captions": d.captions,
            "precision": precision_of(self.checkpoint.transformer),
            "device": self.checkpoint.transformer.head.device.type,
            "rows": self.rows,
            "sampling": f"{d.mode} temperature {d.temperature} top_p {d.top_p} alpha {d.alpha} k {d.k}",
            "guidance": f"{sorted(d.guidance.items())} image {d.image_guidance}",
            "torch": torch.__version__,
            **self._layout.identity,
        }

    @property
    def capabilities(self) -> frozenset[Job]:
        """Every job of CM3leon's; of a published model's, those that it was made and may be used for."""
        return frozenset(self.jobs)

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield each request's position and answer; a `Failure` where a request cannot be read.

        Raises:
            RunError: a GPU has too little memory, which fewer requests would not change: a batch has `rows` rows.
        """
        try:
            yield from self._answers(requests)
        except torch.OutOfMemoryError as error:
            fewer = f"-a rows={max(1, self.rows // 4)} or " if self.rows > 1 else ""
            raise RunError(
                f"{self.name} does not fit on this GPU with {self.rows} answers at once; "
                f"{fewer}-a precision=int8 takes less memory"
            ) from error

    def _answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        drawn: list[_Wish] = []
        said: dict[int, list[_Wish]] = {}
        for position, request in enumerate(requests):
            try:
                wishes = self._wishes(position, request)
            except Unanswerable as error:
                yield position, error.failure()
                continue
            if request.job in IMAGE_JOBS:
                drawn += wishes
            else:
                said.setdefault(request.max_tokens or LONGEST_WORDS[request.job], []).extend(wishes)
        yield from self._pictures(requests, drawn)
        for longest, wishes in said.items():
            yield from self._words(requests, wishes, longest)

    def _wishes(self, position: int, request: Request) -> list[_Wish]:
        """Return the candidates of one request."""
        _require_understood(request)
        found = self._found(request)
        streams, weights = _needed(self._layout.streams(request, found), self._weights(request))
        samplings = self._samplings(request)
        seeds = random.Random(request.seed)
        context = self.checkpoint.transformer.config.context
        longest, new = max(map(len, streams)), self._new(request)
        if longest + new + 32 > context:
            raise Unanswerable(
                f"sample {request.sample_id} of {request.task} takes {longest} tokens; this model reads "
                f"{context - new - 32}"
            )
        return [_Wish(position, Prompt(streams, weights, sampling, seeds.getrandbits(62))) for sampling in samplings]

    def _new(self, request: Request) -> int:
        if request.job in IMAGE_JOBS:
            return self.checkpoint.config.image.grid**2
        return request.max_tokens or LONGEST_WORDS[request.job]

    def _found(self, request: Request) -> list[tuple[str, tuple[int, ...]]]:
        """Return the retrieved documents of a wish, the best one nearest to it."""
        count = self.defaults.documents
        if request.job != "text-to-image" or not count or self.documents is None or self.embedder is None:
            return []
        words = caption_of(request)
        if not words.strip():
            return []
        (numbers,) = self.documents.retrieve(self.embedder.texts([words]), count)
        return [self.documents.document(number) for number in reversed(numbers)]

    def _weights(self, request: Request) -> tuple[float, ...]:
        text = self.defaults.guidance.get(request.job, 1.0) if request.guidance is None else request.guidance
        if request.job != "text-guided-editing":
            return (text,)
        picture = self.defaults.image_guidance if request.image_guidance is None else request.image_guidance
        return picture, text

    def _samplings(self, request: Request) -> list[Sampling]:
        d = self.defaults
        temperature = d.temperature if request.temperature is None else request.temperature
        top_p = d.top_p if request.top_p is None else request.top_p
        nucleus = Sampling("top-p", temperature, top_p)
        if request.job not in IMAGE_JOBS:
            likeliest = Sampling("greedy") if request.temperature is None else nucleus
            several = request.job == "captioning" and temperature > 0 and self.embedder is not None
            # the dual encoder reads no longer ones
            several = several and self._new(request) <= LONGEST_WORDS["captioning"]
            return [likeliest] + [nucleus] * (d.captions - 1 if several else 0)
        contrast = Sampling("cd-k", temperature, alpha=d.alpha, k=d.k)
        if d.mode == "mixture":
            return list(mixture(nucleus, contrast, request.best_of))
        one = {"top-p": nucleus, "cd-k": contrast, "cd": replace(contrast, mode="cd", k=1)}[d.mode]
        return [one] * request.best_of

    def _pictures(self, requests: Sequence[Request], wishes: Sequence[_Wish]) -> Iterator[tuple[int, Answer]]:
        written = self._generator.pictures([wish.prompt for wish in wishes])
        drawn = ((number, self._decoded(codes)) for number, codes in written)
        for position, candidates in gathered([wish.position for wish in wishes], drawn):
            request = requests[position]
            best = candidates[nearest_picture(self.embedder, caption_of(request), candidates)]
            yield position, Generation((image_of(_sized(best, request)),))

    def _words(
        self, requests: Sequence[Request], wishes: Sequence[_Wish], longest: int
    ) -> Iterator[tuple[int, Answer]]:
        decode = self.checkpoint.vocabulary.decode
        written = self._generator.words([wish.prompt for wish in wishes], longest)
        said = ((number, (decode(ids).strip(), ended)) for number, ids, ended in written)
        for position, candidates in gathered([wish.position for wish in wishes], said):
            best = 0
            if len(candidates) > 1:
                shown = fitted(pixels(picture_of(requests[position])), self.checkpoint.config.image.pixels)
                best = nearest_text(self.embedder, shown, [text for text, _ in candidates])
            text, ended = candidates[best]
            yield position, Generation((Text(text),), "stop" if ended else "length")

    @torch.inference_mode()
    def _coded(self, picture: Pixels) -> list[int]:
        x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
        codes: list[int] = self.checkpoint.image_tokenizer.encode(x.to(self._device))[0].tolist()
        return codes

    @torch.inference_mode()
    def _decoded(self, codes: Sequence[int]) -> Pixels:
        # one at a time, so that no picture depends on another
        y = self.checkpoint.image_tokenizer.decode(torch.tensor([list(codes)], device=self._device))[0]
        return ((y + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy(force=True)

    @property
    def _device(self) -> torch.device:
        return self.checkpoint.image_tokenizer.quantize.embedding.weight.device


def _needed(streams: tuple[Ids, ...], weights: tuple[float, ...]) -> tuple[tuple[Ids, ...], tuple[float, ...]]:
    """Return the streams that count: guidance of weight 1 needs none to be against."""
    if len(streams) == 1 or all(weight == 1 for weight in weights):
        return streams[:1], ()
    return streams, weights


def _require_understood(request: Request) -> None:
    """Return if a request sets nothing that would be ignored.

    Raises:
        Unanswerable: it does.
    """
    known = _IMAGE_KNOBS if request.job in IMAGE_JOBS else _TEXT_KNOBS
    own = {"text-to-image": {"negative_prompt"}, "text-guided-editing": {"image_guidance"}}
    require_known(request, known | own.get(request.job, set()))
    if request.job not in IMAGE_JOBS and request.top_p is not None and not request.temperature:
        raise Unanswerable(f"top_p={request.top_p} needs a temperature: without one the likeliest token is taken")
    if (request.width or request.height) != (request.height or request.width):
        raise Unanswerable(f"this model draws squares, not {request.width} x {request.height}; ask for another size")


def _sized(picture: Pixels, request: Request) -> Pixels:
    side = request.width or request.height or len(picture)
    if side == len(picture):
        return picture
    return np.asarray(PillowImage.fromarray(picture).resize((side, side), PillowImage.Resampling.LANCZOS))
