"""Laws of the table of FID protocols."""

from __future__ import annotations

import pytest

from evalkit.errors import UsageError
from evalkit.features.inputs import input_protocol, preparation
from evalkit.metrics.protocols import FID_PROTOCOLS, fid_protocol


def test_the_default_is_torch_fidelity() -> None:
    assert next(iter(FID_PROTOCOLS)) == "torch-fidelity"


@pytest.mark.parametrize("name", FID_PROTOCOLS)
def test_each_names_an_input_and_a_preparation_that_exist(name: str) -> None:
    named = fid_protocol(name)
    assert named.name == name
    assert input_protocol(named.input).name == named.input
    assert preparation(named.preparation).name == named.preparation


def test_the_usual_coco_preparation_crops_and_takes_lanczos_to_256() -> None:
    named = fid_protocol("coco-256")
    assert (named.input, named.preparation) == ("torch-fidelity", "crop-lanczos-256")


def test_a_typo_is_a_usage_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"no FID protocol named 'cleanfid'.*'clean-fid'"):
        fid_protocol("cleanfid")
