"""Networks of the transformers library, built from their published architecture and one file of tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch

from evalkit.errors import WeightsError
from evalkit.features.state_dicts import read_tensors
from evalkit.weights import Found

Network: TypeAlias = Any
"""Of transformers, which is not typed throughout."""


def hub_network(kind: Network, config: Network, found: Found, device: str, unused: str = "\0") -> Network:
    """Return the network of class `kind` and architecture `config` with the tensors of a file.

    Tensors whose names start with `unused` may be missing: the network has them and never computes with them.

    Raises:
        WeightsError: the file is damaged, lacks a tensor, or has one of another shape.
    """
    network, missing, misshapen = filled(kind, config, found)
    wrong = sorted([*(name for name in missing if not name.startswith(unused)), *misshapen])
    if wrong:
        raise WeightsError(
            f"{found.path} lacks {len(wrong)} tensors of {kind.__name__} or has them in another shape, the first being "
            f"{wrong[0]}; it is of another architecture"
        )
    return network.eval().to(device)


def filled(kind: Network, config: Network, found: Found) -> tuple[Network, list[str], list[str]]:
    """Return a network with a file's tensors, the names of those that the file lacks, and of those of another shape.

    The library's own reader puts them in place, so that names of its older versions are understood.

    Raises:
        WeightsError: the file is damaged.
    """
    tensors = {name: torch.from_numpy(value) for name, value in read_tensors(found.path, found.file.layout).items()}
    with _quietly():
        network, told = kind.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True
        )
    return network, list(told["missing_keys"]), [str(name) for name in told["mismatched_keys"]]


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
