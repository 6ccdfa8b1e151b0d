"""`evalkit view`: a page on this machine that follows runs as they go on."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from evalkit.cli.report import written
from evalkit.cli.run_flags import RUNS
from evalkit.errors import EvalkitError, UsageError
from evalkit.workspace import Workspace, default_cache_dir

HOST = "127.0.0.1"
"""No other machine can reach the page."""
PAGES = {"/": ("page.html", "text/html; charset=utf-8"), "/state.json": ("state.json", "application/json")}
HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def view(runs: Path = RUNS, /, *, port: int = 8765, cache: Path | None = None) -> int:
    """Serve a page about runs as they go on, on this machine alone, until Ctrl-C.

    Args:
        runs: Folder of runs; ./runs without it.
        port: Port of the page; 0 takes a free one.
        cache: Folder in which pictures are looked for besides the one that a run names.
    """
    with server(runs, port, Workspace(cache=cache or default_cache_dir())) as serving:
        print(f"http://{HOST}:{serving.server_port}/  follows {runs.resolve()}; Ctrl-C ends it", flush=True)
        try:
            serving.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print("ended; runs go on")
    return 0


def server(runs: Path, port: int, workspace: Workspace) -> PageServer:
    """Return a server of the page about the runs in the folder `runs`, ready to serve.

    Raises:
        UsageError: the port is taken.
    """
    try:
        return PageServer(runs, port, workspace)
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be had ({error}); name another with --port, or 0 for a free one"
        ) from error


class PageServer(ThreadingHTTPServer):
    """Makes the page and its state anew whenever they are asked for, one at a time."""

    def __init__(self, runs: Path, port: int, workspace: Workspace) -> None:
        self._runs, self._workspace, self._lock = runs, workspace, Lock()
        super().__init__((HOST, port), _Handler)

    def content(self, file: str) -> bytes:
        """Return a file of the page as it is now.

        Raises:
            EvalkitError: a run's folder or a cache is damaged.
        """
        folders = sorted(path for path in self._runs.iterdir() if path.is_dir()) if self._runs.is_dir() else []
        with self._lock, TemporaryDirectory() as place:
            return written("view", folders, Path(place) / file, self._workspace).read_bytes()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET for the page and its state, to this machine's own names alone."""

    server: PageServer

    def do_GET(self) -> None:
        """Send what is asked for."""
        name, _, _ = self.headers.get("Host", "").rpartition(":")
        if name not in {HOST, "localhost"}:  # a page elsewhere may have its name lead here
            self._send(HTTPStatus.FORBIDDEN, "text/plain", b"this page is for this machine alone\n")
        elif self.path not in PAGES:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page\n")
        else:
            file, kind = PAGES[self.path]
            try:
                content = self.server.content(file)
            except EvalkitError as error:
                self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", f"{error}\n".encode())
            else:
                self._send(HTTPStatus.OK, kind, content)

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for header, value in (("Content-Type", kind), ("Content-Length", str(len(content))), *HEADERS):
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Keep the terminal quiet."""
