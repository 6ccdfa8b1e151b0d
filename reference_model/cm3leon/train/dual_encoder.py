"""The stage that trains the dual encoder: each picture finds its own words in the batch, each text its own picture.

A picture also meets its text with one word replaced by another of the same kind, a colour by a colour, or with two
exchanged: the rest of the batch soon differs too much to teach which colour belongs to which shape. The kinds are
learnt from the captions: words that mostly stand between the same neighbours.

Source: symmetric InfoNCE, Radford et al. 2021, arXiv:2103.00020; altered captions as negatives, Yuksekgonul et al.
2022, arXiv:2210.01936.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cm3leon.dual_encoder import DualEncoder, padded
from cm3leon.train.loop import Batch
from cm3leon.train.records import Source, in_range
from cm3leon.vocab import Vocabulary

Kinds = Mapping[str, tuple[str, ...]]
"""Words that may take each word's place."""

_CONTENT = re.compile(r"\w[\w-]{2,}")
"""Words of three letters or more: shorter ones are grammar."""
_WORD_OR_MARK = re.compile(r"[\w-]+|[^\w\s]")
_ALIKE = 0.4
"""Share of their neighbours that two words of a kind have in common."""


@dataclass(frozen=True, slots=True)
class DualEncoderRecipe:
    """What decides the trained weights, besides the schedule."""

    batch: int = 256
    joined: float = 0.3
    """Share of the texts that are two captions of the picture instead of one."""
    noise: float = 0.1
    """Largest deviation of the noise on pictures in [-1, 1], so that decoded pictures are no strangers."""
    read: int = 1_000
    """Records whose captions the kinds of words are learnt from."""
    seed: int = 0


class DualEncoderStage:
    """Trains a dual encoder on the pictures and captions of records."""

    def __init__(
        self,
        encoder: DualEncoder,
        vocabulary: Vocabulary,
        source: Source,
        recipe: DualEncoderRecipe,
        compiled: bool = True,
    ) -> None:
        self._encoder, self._vocabulary, self._source, self._recipe = encoder, vocabulary, source, recipe
        self._encode_images = torch.compile(encoder.encode_images) if compiled else encoder.encode_images

    @property
    def module(self) -> nn.Module:
        """The encoder."""
        return self._encoder

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        """Return one AdamW; only matrices and convolutions decay."""
        weights = list(self._encoder.parameters())
        groups = [
            {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": 0.05},
            {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
        ]
        return [torch.optim.AdamW(groups, rate, betas=(0.9, 0.95))]

    @cached_property
    def _kinds(self) -> Kinds:
        return kinds(caption for number in range(self._recipe.read) for caption in self._source(number).captions())

    def told(self, number: int) -> list[tuple[str, str]]:
        """Return for each record of batch `number` its text, and the text with a word altered."""
        first = number * self._recipe.batch
        chance = random.Random(self._recipe.seed * 1_000_003 + number)
        records = [self._source(place) for place in range(first, first + self._recipe.batch)]
        texts = [told(record.captions(), self._recipe.joined, chance) for record in records]
        return [(text, altered(text, self._kinds, chance)) for text in texts]

    def batch(self, number: int) -> Batch:
        """Return `pictures` `(B, H, W, 3)`, and `ids` and `mask` `(2 B, T)` of their texts and of the altered ones.

        `same` `(B,)` marks texts that could not be altered, `copies` `(B, B)` those that are another picture's too.
        """
        recipe = self._recipe
        texts, wrong = zip(*self.told(number), strict=True)
        context = self._encoder.config.context
        ids, mask = padded([self._vocabulary.encode(text) for text in (*texts, *wrong)], context)
        first = number * recipe.batch
        pictures = np.stack([self._source(place).pixels() for place in range(first, first + recipe.batch)])
        return {
            "pictures": torch.from_numpy(pictures),
            "ids": ids,
            "mask": mask,
            "same": torch.tensor([a == b for a, b in zip(texts, wrong, strict=True)]),
            "copies": _copies(texts),
            "seed": torch.tensor(recipe.seed * 1_000_003 + number),
        }

    def losses(self, step: int, batch: Batch) -> Mapping[str, Tensor]:
        """Return the loss of a batch, and the share of texts whose nearest picture is their own."""
        encoder = self._encoder
        pictures = self._noisy(in_range(batch["pictures"]), int(batch["seed"]))
        with torch.autocast(pictures.device.type, torch.bfloat16):
            seen = self._encode_images(pictures)
            texts, wrong = encoder.encode_texts(batch["ids"], batch["mask"]).chunk(2)
        own = (encoder.scale * (seen * wrong).sum(1)).masked_fill(batch["same"], -torch.inf)
        return contrasted(encoder.similarity(seen, texts), own, batch["copies"])

    def _noisy(self, pictures: Tensor, seed: int) -> Tensor:
        generator = torch.Generator(pictures.device).manual_seed(seed)
        deviations = torch.rand(len(pictures), 1, 1, 1, generator=generator, device=pictures.device)
        noise = torch.randn(pictures.shape, generator=generator, device=pictures.device)
        return (pictures + deviations * self._recipe.noise * noise).clamp(-1, 1)

    def after(self, step: int) -> None:
        """Do nothing: nothing follows a step."""


def contrasted(scores: Tensor, own: Tensor, copies: Tensor) -> dict[str, Tensor]:
    """Return the losses of scores `(B, B)` of pictures with texts, picture i belonging to text i.

    `own` `(B,)` scores each picture with its altered text, -inf where there is none. `copies` `(B, B)` marks texts that
    are word for word another picture's too: they are no one's wrong answer.
    """
    target = torch.arange(len(scores), device=scores.device)
    open_scores = scores.masked_fill(copies, -torch.inf)
    from_pictures = F.cross_entropy(torch.cat((open_scores, own[:, None]), dim=1), target)
    from_texts = F.cross_entropy(open_scores.T, target)
    right = (open_scores.argmax(0) == target).float().mean()
    told_apart = (scores.diagonal() > own).float().mean()
    loss = (from_pictures + from_texts) / 2
    return {"loss": loss, "pictures": from_pictures, "texts": from_texts, "right": right, "told_apart": told_apart}


def _copies(texts: Sequence[str]) -> Tensor:
    """Return `(B, B)`, true where two different places hold the same text."""
    numbers = {text: number for number, text in enumerate(texts)}
    kind = torch.tensor([numbers[text] for text in texts])
    return (kind[:, None] == kind) & ~torch.eye(len(texts), dtype=torch.bool)


def told(captions: Sequence[str], joined: float, chance: random.Random) -> str:
    """Return one of the captions, or with probability `joined` two of them one after the other."""
    count = 2 if len(captions) > 1 and chance.random() < joined else 1
    return " ".join(chance.sample(list(captions), count))


def kinds(captions: Iterable[str]) -> Kinds:
    """Return for each word those that mostly stand between the same neighbours, words without any left out.

    >>> kinds(["a red star", "a blue star", "a red ring", "a blue ring"])
    {'blue': ('red',), 'red': ('blue',), 'ring': ('star',), 'star': ('ring',)}
    """
    between: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for caption in captions:
        words = ["", *_WORD_OR_MARK.findall(caption), ""]
        for before, word, after in zip(words, words[1:], words[2:], strict=False):
            between[word].add((before, after))
    words = sorted(word for word in between if _CONTENT.fullmatch(word))
    found = {word: tuple(w for w in words if w != word and _alike(between[w], between[word])) for word in words}
    return {word: others for word, others in found.items() if others}


def _alike(a: set[tuple[str, str]], b: set[tuple[str, str]]) -> bool:
    return len(a & b) >= _ALIKE * len(a | b)


def altered(text: str, kinds: Kinds, chance: random.Random) -> str:
    """Return `text` with one word replaced by another of its kind, or two of a kind exchanged where it has them.

    `text` itself where no word has a kind.
    """
    words = [word for word in _CONTENT.finditer(text) if word[0] in kinds]
    if not words:
        return text
    word = chance.choice(words)
    there = [other for other in words if other[0] in kinds[word[0]]]
    if not there or chance.random() < 0.5:
        return text[: word.start()] + chance.choice(kinds[word[0]]) + text[word.end() :]
    first, second = sorted((word, chance.choice(there)), key=re.Match.start)
    return text[: first.start()] + second[0] + text[first.end() : second.start()] + first[0] + text[second.end() :]
