"""`evalkit doctor`: what is installed, what is broken or missing, and the command that mends it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import groupby
from pathlib import Path
from typing import Literal

from evalkit.cli.app import DISTRIBUTION, application, installed_version
from evalkit.cli.inventory import located_data, located_weights
from evalkit.cli.sources import unknown_variables
from evalkit.cli.torch_state import TorchState, torch_state, torchvision_mend
from evalkit.cli.words import columns, page_width, print_json, size
from evalkit.errors import EvalkitError
from evalkit.workspace import Workspace, default_cache_dir

MARKS = {"ok": "ok", "missing": "--", "broken": "!!"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` is what to do about it, empty where nothing need be done."""

    section: str
    name: str
    state: Literal["ok", "missing", "broken"]
    detail: str
    mend: str = ""


def doctor(*, cache: Path | None = None, data_dir: Path | None = None, json: bool = False) -> int:
    """Say what is installed, what is missing, and how to get it. The exit code is 1 where something is broken.

    Args:
        cache: Folder of answers, features and weights that all runs share; `evalkit doctor` says where.
        data_dir: Folder to look for data in as well.
        json: Print JSON on standard output, and nothing else there.
    """
    workspace = Workspace(cache=cache or default_cache_dir(), data_dir=data_dir)
    findings = list(_findings(workspace))
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]}, sys.stdout)
    else:
        print(_text(findings))
    return int(any(finding.state == "broken" for finding in findings))


def _findings(workspace: Workspace) -> Iterator[Finding]:
    yield from _machine()
    yield from _packages()
    yield from _torch(torch_state())
    yield from _inventory("weights", workspace)
    yield from _inventory("data", workspace)
    yield from _folders(workspace)
    yield from _variables()


def _text(findings: list[Finding]) -> str:
    blocks = []
    for section, found in groupby(findings, key=lambda finding: finding.section):
        rows = []
        for finding in found:
            rows.append((MARKS[finding.state], finding.name, finding.detail))
            if finding.mend:
                rows.append(("", "", f"-> {finding.mend}"))
        blocks.append(f"{section}\n{columns(rows, page_width(), indent='  ')}")
    broken = sum(finding.state == "broken" for finding in findings)
    missing = sum(finding.state == "missing" for finding in findings)
    blocks.append(f"{broken} broken, {missing} missing; what is missing is needed only by what names it")
    return "\n\n".join(blocks)


def _machine() -> Iterator[Finding]:
    python = platform.python_version()
    yield Finding("machine", "python", "ok", f"{python} at {sys.executable}")
    yield Finding("machine", "platform", "ok", f"{platform.platform()}, {os.cpu_count()} cores")
    java = shutil.which("java")
    if java:
        yield Finding("machine", "java", "ok", java)
    else:
        wanted = "only METEOR and SPICE need it; install a JRE, as in `apt install default-jre-headless`"
        yield Finding("machine", "java", "missing", "not on the path", wanted)


def _packages() -> Iterator[Finding]:
    yield Finding("packages", "evalkit", "ok", installed_version())
    needed = _requirements()
    for name in needed.pop("", ()):
        installed = _version(name)
        if installed:
            yield Finding("packages", name, "ok", installed)
        else:
            yield Finding("packages", name, "broken", "not installed", f"pip install {name}")
    for extra, names in needed.items():
        missing = [name for name in names if not _version(name)]
        if missing:
            detail = f"optional; not installed: {', '.join(missing)}"
            yield Finding("packages", f"[{extra}]", "missing", detail, f"pip install {' '.join(missing)}")
        else:
            installed = ", ".join(f"{name} {_version(name)}" for name in names)
            yield Finding("packages", f"[{extra}]", "ok", installed)


def _version(name: str) -> str:
    """Return the installed version of a package, empty for one that is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _requirements() -> dict[str, list[str]]:
    """Return the packages that evalkit requires, by the extra that needs them, which is empty for none."""
    try:
        texts = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        texts = ["torch", "torchvision"]
    found: dict[str, list[str]] = {"": []}
    for text in texts:
        name = re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)", text)
        found.setdefault(extra[1] if extra else "", []).append(name)
    found.pop("test", None)
    return found


def _torch(state: TorchState) -> Iterator[Finding]:
    if state.torch_error:
        yield Finding("torch", "torch", "broken", state.torch_error, "pip install torch torchvision")
        return
    yield Finding("torch", "torch", "ok", state.torch)
    if state.torchvision_error:
        yield Finding("torch", "torchvision", "broken", state.torchvision_error, torchvision_mend(state))
    else:
        yield Finding("torch", "torchvision", "ok", state.torchvision)
    if state.devices:
        for index, device in enumerate(state.devices):
            yield Finding("torch", f"cuda:{index}", "ok", device)
    elif shutil.which("nvidia-smi"):
        detail = f"there is an NVIDIA driver, but torch {state.torch} cannot use it"
        yield Finding("torch", "gpu", "broken", detail, "install a CUDA build of torch that fits the driver")
    else:
        yield Finding("torch", "gpu", "missing", "none; models and features run on the CPU")


def _inventory(section: Literal["weights", "data"], workspace: Workspace) -> Iterator[Finding]:
    try:
        entries = located_weights(workspace) if section == "weights" else located_data(workspace)
    except (EvalkitError, ImportError) as error:
        yield Finding(section, section, "broken", str(error))
        return
    for name, entry in entries.items():
        if entry["found"]:
            yield Finding(section, name, "ok", str(entry["path"]))
        elif entry["problem"]:
            yield Finding(section, name, "broken", str(entry["problem"]))
        elif entry.get("partly"):
            yield Finding(section, name, "ok", f"{entry['partly']} at {entry['path']}")
        else:
            yield Finding(section, name, "missing", f"{entry['summary']} ({entry['size']})", str(entry["get"]))


def _folders(workspace: Workspace) -> Iterator[Finding]:
    folder = workspace.cache
    if folder.is_dir():
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        yield Finding("cache", "folder", "ok", f"{folder}, {size(used)}")
    else:
        yield Finding("cache", "folder", "ok", f"{folder}, not made yet")
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        yield Finding("cache", "writable", "broken", f"{there} cannot be written", "choose another with --cache DIR")
    yield Finding("cache", "disk free", "ok", size(shutil.disk_usage(there).free))
    offline = "EVALKIT_OFFLINE is set: nothing is fetched" if workspace.offline else "allowed"
    yield Finding("cache", "network", "ok", offline)


def _variables() -> Iterator[Finding]:
    try:
        unknown = unknown_variables(application())
    except ImportError as error:
        yield Finding("environment", "evalkit", "broken", str(error), f"pip install {DISTRIBUTION}")
        return
    for name, near in unknown.items():
        yield Finding("environment", name, "broken", f"no flag has this name{near}", f"unset {name}")
