"""Downloads, against a real server on this machine."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.downloads import fetch, file_sha256
from evalkit.errors import DataError
from evalkit.workspace import Workspace

CONTENT = bytes(range(256)) * 8192
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """A file server whose manners a test chooses, and what it was asked."""

    content: bytes = CONTENT
    ranges: bool = True
    etag: str = '"one"'
    cut_after: int | None = None
    """Bytes after which a connection is closed early."""
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.status != 200:
            handler.send_error(self.status)
            return
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        current = handler.headers.get("If-Range", self.etag) == self.etag
        start = int(match[1]) if match and self.ranges and current else 0
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", self.etag)
        handler.end_headers()
        handler.wfile.write(body if self.cut_after is None else body[: self.cut_after])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            return  # the client hung up, as some tests mean it to

    with Quiet(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}/file.bin"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(cache=tmp_path / "cache", offline=False)


def test_a_fetched_file_is_the_served_one_and_nothing_lies_beside_it(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    to = tmp_path / "folder" / "file.bin"
    assert fetch(server.url, to, workspace, sha256=SHA256, size=len(CONTENT)) == to
    assert to.read_bytes() == CONTENT
    assert list(to.parent.iterdir()) == [to]


def test_a_connection_that_breaks_off_is_taken_up_where_it_ended(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    server.cut_after = len(CONTENT) * 3 // 5
    fetch(server.url, tmp_path / "f", workspace, sha256=SHA256, size=len(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={server.cut_after}-"]


def test_a_later_run_takes_up_the_part_of_an_earlier_one(server: Server, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    fetch(server.url, tmp_path / "f", workspace, sha256=SHA256, size=None)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_server_that_ignores_ranges_sends_it_all_again(server: Server, workspace: Workspace, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    fetch(server.url, tmp_path / "f", workspace, sha256=SHA256, size=len(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_of_an_older_version_is_not_built_on(server: Server, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"old" * 100)
    (tmp_path / "f.part.version").write_text('"zero"')
    fetch(server.url, tmp_path / "f", workspace, sha256=None, size=None)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_that_nothing_vouches_for_is_not_built_on(server: Server, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    fetch(server.url, tmp_path / "f", workspace, sha256=None, size=len(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_that_never_gets_further_is_an_error_and_half_a_file_is_never_used(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    server.cut_after = 0
    (tmp_path / "f.part").write_bytes(CONTENT[:500])
    with pytest.raises(DataError, match=r"broke off after 500 bytes.*run it again"):
        fetch(server.url, tmp_path / "f", workspace, sha256=SHA256, size=len(CONTENT))
    assert not (tmp_path / "f").exists()
    assert (tmp_path / "f.part").read_bytes() == CONTENT[:500]


def test_other_content_of_the_right_size_is_an_error_that_names_both_digests(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    server.content = b"\1" + CONTENT[1:]
    other = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(DataError, match=rf"f\.part.*{other} instead of {SHA256}.*run it again"):
        fetch(server.url, tmp_path / "f", workspace, sha256=SHA256, size=len(CONTENT))
    assert list(tmp_path.glob("f*")) == [tmp_path / "f.part.lock"]


def test_another_size_is_an_error_before_anything_is_fetched(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"serves 2,097,152 bytes instead of 7"):
        fetch(server.url, tmp_path / "f", workspace, sha256=None, size=7)
    assert not (tmp_path / "f").exists()


def test_a_file_that_is_there_is_checked_and_not_fetched(server: Server, workspace: Workspace, tmp_path: Path) -> None:
    to = tmp_path / "f"
    to.write_bytes(CONTENT)
    assert fetch(server.url, to, workspace, sha256=SHA256, size=len(CONTENT)) == to
    assert server.asked == []
    to.write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match=r"2,097,151 bytes instead of 2,097,152.*move it away"):
        fetch(server.url, to, workspace, sha256=SHA256, size=len(CONTENT))


def test_offline_forbids_the_network_and_says_how_to_lift_it(server: Server, tmp_path: Path) -> None:
    workspace = Workspace(cache=tmp_path, offline=True)
    with pytest.raises(DataError, match=r"forbidden; drop --offline, unset EVALKIT_OFFLINE"):
        fetch(server.url, tmp_path / "f", workspace, sha256=None, size=None)
    assert server.asked == []


def test_a_file_address_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    workspace = Workspace(cache=tmp_path, offline=True)
    fetch((tmp_path / "source").as_uri(), tmp_path / "f", workspace, sha256=SHA256, size=len(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["ftp://example.org/f", "data:text/plain,hello", "/etc/hostname"])
def test_other_kinds_of_address_are_refused(url: str, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only http, https and file"):
        fetch(url, tmp_path / "f", workspace, sha256=None, size=None)


def test_a_refusal_of_the_server_is_an_error_with_its_code(
    server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    server.status = 404
    with pytest.raises(DataError, match="answers 404"):
        fetch(server.url, tmp_path / "f", workspace, sha256=None, size=None)


def test_an_address_that_nobody_serves_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/f", tmp_path / "f", workspace, sha256=None, size=None)


def test_two_fetches_at_once_do_not_mix_their_parts(server: Server, workspace: Workspace, tmp_path: Path) -> None:
    def run() -> None:
        fetch(server.url, tmp_path / "f", workspace, sha256=SHA256, size=len(CONTENT))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_made_is_an_error(server: Server, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        fetch(server.url, tmp_path / "taken" / "f", workspace, sha256=None, size=None)


def test_the_digest_of_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        file_sha256(tmp_path / "nothing")
