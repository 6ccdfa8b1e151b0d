"""Small checkpoints that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from .checkpoint_files import save_controlnet, save_diffusion, save_llava


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaVA that nobody writes to."""
    return save_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion that nobody writes to."""
    return save_diffusion(tmp_path_factory.mktemp("diffusion"))


@pytest.fixture(scope="session")
def pix2pix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An InstructPix2Pix that nobody writes to."""
    return save_diffusion(tmp_path_factory.mktemp("pix2pix"), edits=True)


@pytest.fixture(scope="session")
def controlnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ControlNet for the Stable Diffusion that nobody writes to."""
    return save_controlnet(tmp_path_factory.mktemp("controlnet"))
