"""Networks of the transformers library, built from their published architecture and one file of tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch

from evalkit.errors import WeightsError
from evalkit.features.state_dicts import read_tensors
from evalkit.weights import Found

Network: TypeAlias = Any
"""Of transformers, which is not typed throughout."""


def hub_network(kind: Network, config: Network, found: Found, device: str, needless: Sequence[str] = ()) -> Network:
    """Return the network of class `kind` and architecture `config` with the tensors of a file.

    Tensors whose names hold one of `needless` may be missing: the network makes them by itself, or has them and never
    computes with them. What a file holds beyond what the network needs is left alone. The library's own reader puts
    them in place, so that names of its older versions are understood.

    Raises:
        WeightsError: the file is damaged, lacks a tensor, or has one of another shape.
    """
    tensors = {name: torch.from_numpy(value) for name, value in read_tensors(found.path, found.file.layout).items()}
    try:
        with _quietly():
            network, told = kind.from_pretrained(
                None, config=config, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        # What names and values that are none of a network's make the reader raise.
        raise WeightsError(
            f"{found.path} does not fit {kind.__name__} ({error}); it is of another architecture"
        ) from error
    missing = [name for name in told["missing_keys"] if not any(part in name for part in needless)]
    wrong = sorted([*missing, *map(str, told["mismatched_keys"])])
    if wrong:
        raise WeightsError(
            f"{found.path} lacks {len(wrong)} tensors of {kind.__name__} or has them in another shape, the first being "
            f"{wrong[0]}; it is of another architecture"
        )
    return network.eval().to(device)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the library's bars and lists of tensors from the terminal."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
