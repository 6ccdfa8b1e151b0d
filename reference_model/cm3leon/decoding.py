"""From logits to the next token: guidance, contrastive decoding, truncation, sampling. Pure functions on tensors.

The usual path of one step: `guided` (or `guided_by_image_and_text`), `restricted` to the ids that may come next,
`Rows.scores`, `sample`; and `best_of` among whole answers.

Shapes are (B, V): B rows, one sample each, over V ids. A setting is a number, or one a row, (B,). Work and scores are
in float64, whatever comes in. An id at -inf cannot be drawn.

No row's answer depends on another row, to the last bit. So elementwise work keeps to exactly rounded arithmetic:
torch takes `exp`, `log` and `lerp` from one library or another by an element's place in the whole tensor. Softmax goes
row by row, and is cumulated in whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

PerRow = float | Tensor
"""One number for all rows, or a tensor (B,) with each row's own."""

Mode = Literal["greedy", "top-p", "cd", "cd-k"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one row chooses its next id.

    "greedy" takes the likeliest. "top-p" draws from the nucleus of mass `top_p`. "cd" and "cd-k" draw from the
    contrastive scores of the ids at least `alpha` times as likely as the likeliest, or as the `k`-th likeliest. What is
    drawn is drawn at `temperature`, of which 0 takes the best. The settings of other modes are not looked at.

    The CM3leon paper gives no values; `alpha` 0.1 is Li et al.'s, arXiv:2210.15097.

    Raises:
        ValueError: a setting is out of its range, or "cd" has a k of its own.
    """

    mode: Mode = "top-p"
    temperature: float = 1.0
    top_p: float = 1.0
    alpha: float = 0.1
    k: int = 1

    def __post_init__(self) -> None:
        if self.mode not in ("greedy", "top-p", "cd", "cd-k"):
            raise ValueError(f"mode is {self.mode!r}; it is one of greedy, top-p, cd, cd-k")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature is {self.temperature}; it is finite and not negative")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; a nucleus has a mass in (0, 1]")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it lies in [0, 1]")
        if self.k < 1 or (self.mode == "cd" and self.k != 1):
            raise ValueError(f"k is {self.k} in mode {self.mode}; it is 1 in cd, and at least 1 in cd-k")


def mixture(first: Sampling, second: Sampling, n: int) -> tuple[Sampling, ...]:
    """Return the settings of `n` samples of one prompt: half by `first`, which has the odd one too, half by `second`.

    Source: CM3leon's best images come half from top-p and half from CD-K, arXiv:2309.02591, figure 4.
    """
    halves = (n + 1) // 2
    return (first,) * halves + (second,) * (n - halves)


def guided(unconditional: Tensor, conditional: Tensor, weight: PerRow) -> Tensor:
    """Return u + weight (c - u) of logits (B, V), exactly u at weight 0 and c at weight 1.

    Logits must be finite: `restricted` comes after guidance.

    >>> guided(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]]), 3.0).tolist()
    [[6.0, 1.0]]

    Source: classifier-free guidance, arXiv:2309.02591 section 3.2; the unconditional stream has a mask token for its
    text.
    """
    unconditional, conditional = unconditional.double(), conditional.double()
    column = _column(weight, conditional)
    return torch.where(column == 1, conditional, unconditional + column * (conditional - unconditional))


def guided_by_image_and_text(
    unconditional: Tensor, image: Tensor, full: Tensor, image_weight: PerRow, text_weight: PerRow
) -> Tensor:
    """Return u + image_weight (i - u) + text_weight (f - i) of logits (B, V): guidance for editing.

    `image` saw the source image without the instruction, `full` saw both. Logits must be finite.

    Source: Brooks et al. 2023, arXiv:2211.09800, equation 3; CM3leon edits with weights 1.5 and 7.5, Chameleon's code
    has 1.2 and 3.0.
    """
    image = image.double()
    return guided(unconditional, image, image_weight) + _column(text_weight, image) * (full.double() - image)


def restricted(logits: Tensor, admissible: Tensor) -> Tensor:
    """Return logits (B, V) with -inf wherever the booleans `admissible`, (V,) or (B, V), are False."""
    return logits.double().masked_fill(~admissible, -torch.inf)


def tempered(logits: Tensor, temperature: PerRow) -> Tensor:
    """Return logits (B, V) / temperature; at temperature 0 only the largest is left, the lowest id of equals."""
    logits = logits.double()
    ids = torch.arange(logits.shape[-1], device=logits.device)
    largest = logits.masked_fill(ids != logits.argmax(-1, keepdim=True), -torch.inf)
    column = _column(temperature, logits)
    return torch.where(column == 0, largest, logits / column.masked_fill(column == 0, 1.0))


def top_p(logits: Tensor, p: PerRow) -> Tensor:
    """Return logits (B, V) with -inf outside the fewest ids, likeliest first, whose mass reaches `p`.

    At least one id is left; of equally likely ids the lowest come first; all are left at p = 1.

    Source: nucleus sampling, Holtzman et al. 2020, arXiv:1904.09751.
    """
    logits = logits.double()
    ordered = _ordered(logits)
    masses = _whole_masses(ordered)
    cumulated, share = masses.cumsum(-1), _column(p, logits)
    beyond = torch.searchsorted(cumulated.double(), share * cumulated[:, -1:])
    count = torch.where(share >= 1, logits.shape[-1], (beyond + 1).clamp(max=logits.shape[-1]))
    least = ordered.gather(-1, count - 1)
    dropped = logits < least
    excess = logits.shape[-1] - count - dropped.sum(-1, keepdim=True)  # equals of the last one, of higher ids
    if logits.device.type != "cpu" or bool(excess.any()):
        level = logits == least
        dropped |= level & (level.flip(-1).cumsum(-1).flip(-1) <= excess)
    return torch.where(dropped, -torch.inf, logits)


def top_k(logits: Tensor, k: PerRow) -> Tensor:
    """Return logits (B, V) with -inf outside the `k` largest, the lowest ids of equals; all are left at k >= V."""
    logits = logits.double()
    order = logits.argsort(dim=-1, descending=True, stable=True)
    kept = torch.arange(logits.shape[-1], device=logits.device) < _column(k, logits)
    return logits.masked_fill(~_in_place(kept.expand_as(logits), order), -torch.inf)


def contrastive(expert: Tensor, amateur: Tensor, alpha: PerRow, k: PerRow = 1) -> Tensor:
    """Return log p_expert - log p_amateur (B, V), in nats, where p_expert >= alpha times its `k`-th largest; else -inf.

    `expert` and `amateur` are logits (B, V) with and without the text, over the same admissible ids. k = 1 is
    contrastive decoding (CD), more is CD-K; a `k` beyond the admissible ids leaves them all.

    Source: arXiv:2309.02591 section 3.2, after Li et al. 2023, arXiv:2210.15097.
    """
    expert, amateur = expert.double(), amateur.double()
    likelihoods = expert.softmax(-1)
    place = (_column(k, expert).long() - 1).clamp(max=expert.shape[-1] - 1).expand(len(expert), 1)
    largest = _ordered(likelihoods).gather(-1, place)
    plausible = (likelihoods >= _column(alpha, expert) * largest) & (expert > -torch.inf)
    ratio = expert.log_softmax(-1) - amateur.log_softmax(-1)
    return torch.where(plausible, ratio, -torch.inf)


@dataclass(frozen=True, slots=True)
class Rows:
    """The settings of B rows as tensors (B,), and what any or all rows need: two streams, a sort, a draw."""

    temperature: Tensor
    top_p: Tensor
    alpha: Tensor
    k: Tensor
    contrasts: Tensor
    any_contrasts: bool
    any_truncates: bool
    any_takes_the_best: bool
    all_take_the_best: bool

    @classmethod
    def of(cls, settings: Sequence[Sampling], device: torch.device | str = "cpu") -> Rows:
        """Return the rows of `settings`, on `device`."""

        def column(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        temperatures = [0.0 if row.mode == "greedy" else row.temperature for row in settings]
        contrasts = [row.mode in ("cd", "cd-k") for row in settings]
        shares = [row.top_p if row.mode == "top-p" else 1.0 for row in settings]
        return cls(
            column(temperatures),
            column(shares),
            column([row.alpha for row in settings]),
            column([row.k for row in settings]),
            torch.tensor(contrasts, dtype=torch.bool, device=device),
            any(contrasts),
            any(share < 1 for share in shares),
            0.0 in temperatures,
            not any(temperatures),
        )

    def scores(self, logits: Tensor, expert: Tensor | None = None, amateur: Tensor | None = None) -> Tensor:
        """Return what each row is to be sampled from (B, V).

        Greedy and top-p rows take `logits` (guided, if guidance there is); contrastive rows take `expert` and `amateur`
        in their place. Temperature comes before top-p, and after contrast, of which the paper says nothing.

        Raises:
            ValueError: a contrastive row has no expert or no amateur.
        """
        if self.any_contrasts:
            if expert is None or amateur is None:
                raise ValueError("a row contrasts an expert with an amateur; give the logits of both")
            contrasted = contrastive(expert, amateur, self.alpha, self.k)
            logits = torch.where(self.contrasts[:, None], contrasted, logits.double())
        if self.any_takes_the_best:
            scores = tempered(logits, self.temperature)
        else:
            scores = logits.double() / self.temperature[:, None]
        return top_p(scores, self.top_p) if self.any_truncates else scores

    def ids(self, scores: Tensor, uniforms: Tensor) -> Tensor:
        """Return the ids (B,) drawn from `scores` (B, V) as `inverse_cdf` draws, without a look at what is certain."""
        if not self.all_take_the_best:
            return inverse_cdf(scores, uniforms)
        best = scores.max(-1)
        return best.indices.masked_fill(~best.values.isfinite(), scores.shape[-1])


def inverse_cdf(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Return the ids (B,) at which the cumulated softmax of logits (B, V) first exceeds `uniforms` (B,) in [0, 1).

    Nothing is checked, so that nothing waits for the device, and a row that has no softmax gets V; `sample` checks.
    """
    cumulated = _whole_masses(logits.double()).cumsum(-1)
    height = (uniforms.to(logits.device, torch.float64)[:, None] * cumulated[:, -1:]).floor().long()
    return torch.searchsorted(cumulated, height, right=True).squeeze(-1)


def sample(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Return one id a row (B,), drawn from the softmax of logits (B, V) by the caller's `uniforms` (B,) in [0, 1).

    An id at -inf is never drawn, nor one less likely than 2^-61.

    Raises:
        ValueError: the shapes do not fit, a uniform is outside [0, 1), or a row holds NaN or +inf or only -inf.
    """
    if logits.ndim != 2 or uniforms.shape != logits.shape[:1]:
        raise ValueError(f"logits {tuple(logits.shape)} and uniforms {tuple(uniforms.shape)} are not (B, V) and (B,)")
    if not bool(((uniforms >= 0) & (uniforms < 1)).all()):
        raise ValueError(f"uniforms must lie in [0, 1), these are {uniforms.tolist()}")
    usable = logits.amax(-1).isfinite()
    if not bool(usable.all()):
        row = int(usable.long().argmin())
        raise ValueError(f"row {row} holds NaN or +inf, or leaves no id to draw; see what the model returned for it")
    return inverse_cdf(logits, uniforms)


def best_of(scores: Tensor) -> Tensor:
    """Return which of n answers to keep, (B,), by scores (B, n), higher being better: the best, the first of equals.

    Raises:
        ValueError: the shape is not (B, n) with n at least 1, or a score is NaN.

    Source: CM3leon draws 8 images a prompt and keeps the one that CLIP ranks first, arXiv:2309.02591 table 1.
    """
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"scores {tuple(scores.shape)} are not (B, n) of at least one answer")
    if bool(scores.isnan().any()):
        raise ValueError("a score is NaN, so that no answer is the best; score the answers again")
    return scores.argmax(-1)


def _column(value: PerRow, like: Tensor) -> Tensor:
    column = torch.as_tensor(value, dtype=torch.float64, device=like.device)
    return column.reshape(-1, 1)


def _ordered(logits: Tensor) -> Tensor:
    """Return each row of `(B, V)` in order, the largest first."""
    if logits.device.type == "cpu":
        # numpy sorts float64 twenty times as fast as torch, which carries the places along
        return torch.from_numpy(np.sort(logits.numpy(force=True), axis=-1)[:, ::-1].copy())
    # a GPU would sort one row after the other; so all are sorted as one, and then by their row
    places = logits.flatten().argsort(descending=True, stable=True)
    places = places[(places // logits.shape[-1]).int().argsort(stable=True)]
    return logits.flatten()[places].view(logits.shape)


def _in_place(ordered: Tensor, order: Tensor) -> Tensor:
    """Return booleans (B, V) by id from those by rank, `order` giving the id of each rank."""
    return torch.zeros_like(ordered).scatter(-1, order, ordered)


def _whole_masses(logits: Tensor) -> Tensor:
    """Return the softmax of logits (B, V) in units of 2^-61, rounded down, 0 where it is NaN.

    A sum of floats depends on its order, and on a GPU the order on the number of rows; a sum of whole numbers does not.
    """
    return (logits.softmax(-1) * 2.0**61).nan_to_num(0.0).long()
