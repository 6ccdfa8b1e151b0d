"""Small checkpoints that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalkit.models.openai import ApiModel, openai_model
from evalkit.workspace import Workspace
from tests.faults.api_server import FaultServer

from .checkpoint_files import save_controlnet, save_diffusion, save_llava

Build = Callable[..., ApiModel]


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


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that answers well until it is told otherwise."""
    with FaultServer() as started:
        yield started


@pytest.fixture
def api(server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Build the model behind the server."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def built(model: str = "tiny", *, offline: bool = False, **options: str) -> ApiModel:
        given = {"base_url": server.url, "backoff": "0.01", "timeout": "5", **options}
        return openai_model(Workspace(cache=tmp_path / "cache", offline=offline), model, given)

    return built
