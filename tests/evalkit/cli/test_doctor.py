"""Laws of `evalkit doctor`: it survives what it looks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from .conftest import Ended

Command = Callable[..., Ended]
MISMATCH = "operator torchvision::nms does not exist"


def stub(folder: Path, name: str, text: str) -> Path:
    """A package of that name in `folder` that runs `text` when it is imported."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(text)
    return folder


def ahead(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(folder), environment["PYTHONPATH"]])}


def finding(ended: Ended, name: str) -> dict[str, str]:
    findings = ended.document["findings"]
    found: dict[str, str]
    (found,) = [f for f in findings if f["name"] == name and f["section"] != "packages"]
    return found


def test_a_torchvision_of_another_build_is_recognised(
    spawn: Command, environment: Mapping[str, str], tmp_path: Path
) -> None:
    site = stub(tmp_path / "site", "torch", "__version__ = '2.13.0+cpu'\nclass cuda:\n    device_count = lambda: 0\n")
    stub(site, "torchvision", f"raise RuntimeError({MISMATCH!r})\n")
    ended = spawn("doctor", "--json", variables=ahead(environment, site))
    assert ended.code == 1
    assert finding(ended, "torch")["state"] == "ok"
    found = finding(ended, "torchvision")
    assert found["state"] == "broken"
    assert MISMATCH in found["detail"]
    assert "torch 2.13.0+cpu and torchvision are different builds" in found["mend"]
    assert "pip install torch torchvision" in found["mend"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise ImportError('libtorch.so is missing')", "libtorch.so is missing"),
        ("import os; os._exit(11)", "ends the process with code 11"),
        ("print('hello from a chatty torch'); raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_torch_that_cannot_be_imported_is_said_so(
    spawn: Command, environment: Mapping[str, str], tmp_path: Path, text: str, said: str
) -> None:
    site = stub(tmp_path / "site", "torch", text + "\n")
    ended = spawn("doctor", variables=ahead(environment, site))
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert said in " ".join(ended.out.split())
    assert "pip install torch torchvision" in ended.out


def test_doctor_names_the_machine_the_weights_the_data_and_the_cache(
    spawn: Command, environment: Mapping[str, str], tmp_path: Path
) -> None:
    site = stub(tmp_path / "site", "torch", "__version__ = '2.99'\nclass cuda:\n    device_count = lambda: 0\n")
    stub(site, "torchvision", "__version__ = '0.99'\n")
    ended = spawn("doctor", "--json", variables={**ahead(environment, site), "EVALKIT_OFFLINE": "1"})
    findings = ended.document["findings"]
    sections = {f["section"] for f in findings}
    assert {"machine", "packages", "torch", "weights", "cache"} <= sections
    assert finding(ended, "torchvision")["detail"] == "0.99"
    assert "nothing is fetched" in finding(ended, "network")["detail"]
    weights = [f for f in findings if f["section"] == "weights"]
    assert all(f["state"] == "ok" or f["mend"].startswith("evalkit fetch ") for f in weights)


def test_a_variable_that_is_no_flag_is_pointed_out(
    spawn: Command, environment: Mapping[str, str], tmp_path: Path
) -> None:
    site = stub(tmp_path / "site", "torch", "raise ImportError('not needed here')\n")
    variables = {
        **ahead(environment, site),
        "EVALKIT_OUTPTU": "x",
        "EVALKIT_LIMIT": "3",
        "EVALKIT_DATASETS": "/nowhere",
    }
    ended = spawn("doctor", "--json", variables=variables)
    assert "did you mean 'EVALKIT_OUTPUT'" in finding(ended, "EVALKIT_OUTPTU")["detail"]
    findings = ended.document["findings"]
    named = [f["name"] for f in findings if f["section"] == "environment"]
    assert named == ["EVALKIT_OUTPTU"]
