"""A real browser without a window, for the page tests."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=5000",
    "--window-size=1400,4000",
)


@dataclass(frozen=True, slots=True)
class Visit:
    """What the browser made of a page: its document and the lines of its console."""

    document: str
    console: tuple[str, ...]


def visit(page: Path | str, profile: Path) -> Visit:
    """Open `page`, a file or an address, let its script run, and return what came of it; skip where no browser is."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    address = page if isinstance(page, str) else page.resolve().as_uri()
    done = subprocess.run(
        [program, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", address],
        capture_output=True, encoding="utf-8", errors="replace", timeout=180, check=True, cwd=profile.parent,
    )  # fmt: skip
    assert done.stdout.strip(), done.stderr
    return Visit(done.stdout, tuple(line for line in done.stderr.splitlines() if "CONSOLE" in line))


def with_driver(page: str, driver: str) -> str:
    """Return the page with a second script that the policy lets run: a user at work."""
    allowed = base64.b64encode(hashlib.sha256(driver.encode()).digest()).decode()
    eased, times = re.subn(r"script-src ", f"script-src 'sha256-{allowed}' ", page, count=1)
    eased, quoted = re.subn(r"script-src &#39;", f"script-src 'sha256-{allowed}' &#39;", eased, count=1)
    assert times + quoted >= 1
    return eased.replace("</body>", f"<script>{driver}</script></body>")


@dataclass
class Outline(HTMLParser):
    """The tags with their attributes, and the text, of a document."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def outline(document: str) -> Outline:
    parsed = Outline()
    parsed.feed(document)
    parsed.close()
    return parsed
