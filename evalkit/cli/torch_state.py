"""Whether torch and torchvision work, found out in a process of its own: a broken one must not take evalkit with it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

PROBE = """
import json
found = {}
try:
    import torch
    found["torch"] = torch.__version__
    found["devices"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
except BaseException as error:
    found["torch_error"] = f"{type(error).__name__}: {error}"
else:
    try:
        import torchvision
        found["torchvision"] = torchvision.__version__
    except BaseException as error:
        found["torchvision_error"] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(found))
"""
SECONDS = 300
"""Longest that importing torch may take."""
MISMATCH = "operator torchvision::nms does not exist"
"""What torchvision says when torch is another build than the one that it was compiled for."""


@dataclass(frozen=True, slots=True)
class TorchState:
    """Versions where the import worked, else what it said; `devices` are the names of the GPUs that torch sees."""

    torch: str = ""
    torch_error: str = ""
    torchvision: str = ""
    torchvision_error: str = ""
    devices: tuple[str, ...] = ()


def torch_state() -> TorchState:
    """Return what importing torch and torchvision does here."""
    command = [sys.executable, "-c", PROBE]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return TorchState(torch_error=f"importing it takes longer than {SECONDS} s")
    lines = ended.stdout.splitlines()
    if ended.returncode != 0 or not lines:
        return TorchState(torch_error=f"importing it ends the process with code {ended.returncode}")
    found = json.loads(lines[-1])
    return TorchState(
        torch=str(found.get("torch", "")),
        torch_error=str(found.get("torch_error", "")),
        torchvision=str(found.get("torchvision", "")),
        torchvision_error=str(found.get("torchvision_error", "")),
        devices=tuple(str(name) for name in found.get("devices", ())),
    )


def torchvision_mend(state: TorchState) -> str:
    """Return what mends a torchvision that cannot be imported beside a torch that can.

    >>> torchvision_mend(TorchState(torch="2.13.0+cpu", torchvision_error=f"RuntimeError: {MISMATCH}")).split("; ")[0]
    'torch 2.13.0+cpu and torchvision are different builds'
    """
    if MISMATCH not in state.torchvision_error:
        return "pip install --force-reinstall --no-deps torchvision"
    return (
        f"torch {state.torch} and torchvision are different builds; install both from one index: "
        "pip uninstall -y torch torchvision && pip install torch torchvision"
    )
