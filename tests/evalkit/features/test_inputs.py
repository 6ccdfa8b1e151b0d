"""Input protocols and preparations by name."""

from __future__ import annotations

import itertools

import pytest

from evalkit.errors import UsageError
from evalkit.features.inputs import INPUT_PROTOCOLS, Preparation, input_protocol, preparation


def test_each_pair_of_protocols_differs_in_a_choice_and_not_only_in_name() -> None:
    for a, b in itertools.combinations(INPUT_PROTOCOLS.values(), 2):
        choices = [{k: v for k, v in p.fields.items() if k != "input"} for p in (a, b)]
        assert choices[0] != choices[1]


@pytest.mark.parametrize("name", ["native", "resize-crop-256", "crop-lanczos-64"])
def test_a_preparation_has_the_name_that_it_was_asked_by(name: str) -> None:
    assert preparation(name).name == name
    assert preparation(name).fields["preparation"] == name


def test_sizes_are_read() -> None:
    assert preparation("crop-lanczos-512") == Preparation("crop-lanczos", 512)


@pytest.mark.parametrize("name", ["", "resize-crop", "resize-crop-0", "resize-crop-12345", "crop-256", "native-256"])
def test_an_unknown_preparation_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="native, resize-crop-SIZE or crop-lanczos-SIZE"):
        preparation(name)


def test_an_unknown_protocol_is_a_usage_error_that_lists_the_known() -> None:
    with pytest.raises(UsageError, match="torch-fidelity, pytorch-fid, clean-fid, torchmetrics"):
        input_protocol("fidelity")
