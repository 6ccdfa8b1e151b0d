"""How an image-text-to-text network of the transformers library decodes: prompts padded on the left, draws, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias

from evalkit.models.prompts import cut

if TYPE_CHECKING:
    from torch import Tensor

Processor: TypeAlias = Any
Network: TypeAlias = Any
Decoding: TypeAlias = Any
"""Of transformers, which is not typed throughout."""

PADDED_TO = 64
"""In a pass of several, a prompt is padded to the next multiple of this many tokens."""
TOKEN_WISE = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "cross_attention_mask"})
"""What a processor returns with one entry a token along dimension 1."""


def padding_id(processor: Processor) -> int:
    """Return the id that fills prompts: the tokenizer's padding, or its end of text."""
    tokenizer = processor.tokenizer
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def padded_left(tensors: Mapping[str, Tensor], padding: int) -> dict[str, Tensor]:
    """Return one request's tensors with prompts of the next multiple of `PADDED_TO` tokens."""
    import torch

    if "input_ids" not in tensors:
        return dict(tensors)
    length = tensors["input_ids"].shape[1]
    missing = -length % PADDED_TO
    padded = dict(tensors)
    for name in TOKEN_WISE & tensors.keys():
        tensor = tensors[name]
        shape = (tensor.shape[0], missing, *tensor.shape[2:])
        padded[name] = torch.cat([tensor.new_full(shape, padding if name == "input_ids" else 0), tensor], dim=1)
    return padded


def decoding(network: Network, beams: int, longest: int, padding: int) -> Decoding:
    """Return the checkpoint's own way of decoding, made greedy (or by beams) and bounded."""
    config = deepcopy(network.generation_config)
    config.update(do_sample=False, num_beams=beams, max_new_tokens=longest, max_length=None)
    config.update(temperature=None, top_p=None, top_k=None, typical_p=None, min_p=None)
    config.pad_token_id = padding if config.pad_token_id is None else config.pad_token_id
    return config


def draws(seeds: Sequence[int], temperature: float | None, top_p: float | None) -> Sequence[object] | None:
    """Return what turns taking the likeliest token into drawing one: nothing without a temperature."""
    if not temperature:
        return None
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    dice = [torch.Generator().manual_seed(seed) for seed in seeds]

    class Draws(LogitsProcessor):  # type: ignore[misc]  # transformers has no types
        """Adds Gumbel noise of each row's own generator: the likeliest of the sum is a draw from the softmax."""

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            waits = [torch.empty(scores.shape[1]).exponential_(generator=one) for one in dice]
            return scores - torch.stack(waits).clamp_min(1e-38).log().to(scores.device)

    warpers = [TemperatureLogitsWarper(float(temperature))]
    if top_p is not None and top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    found: Sequence[object] = LogitsProcessorList([*warpers, Draws()])
    return found


def read(processor: Processor, ids: Tensor, ends: int | list[int] | None, stops: Sequence[str]) -> tuple[str, bool]:
    """Return the text of the new tokens `ids` `(L,)`, and whether it ended by itself: by a stop or an end of text."""
    known = ends if isinstance(ends, list) else [ends]
    said = processor.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    ended = any(stop in said for stop in stops) or any(token in known for token in ids.tolist())
    return cut(said, tuple(stops)), ended
