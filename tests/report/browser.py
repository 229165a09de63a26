"""Chromium without a window, and what is asked of it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--virtual-time-budget=20000"),
]
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM NOT FOUND: pages are not tried in a browser"),
]
PROBE = (
    "<script>addEventListener('load', () => setTimeout(() => { const page = document.documentElement; "
    "page.dataset.probe = [page.scrollWidth, innerWidth, performance.getEntriesByType('resource').length].join(' ');"
    "}, 500));</script>"
)


class Seen(NamedTuple):
    dom: str
    log: str


class Room(NamedTuple):
    width: int
    """Of all there is on the page."""
    window: int
    resources: int
    """Files that the page loaded."""


def browse(page: Path, profile: Path, *flags: str) -> Seen:
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    environment = {**os.environ, "HOME": str(profile)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=True)
    return Seen(ended.stdout, ended.stderr)


def room(page: Path, profile: Path, width: int) -> Room:
    """What a copy of the page says of itself in a window of this width."""
    copy = profile.with_suffix(".html")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    seen = browse(copy, profile, f"--window-size={width},900", "--dump-dom")
    found = re.search(r'data-probe="(\d+) (\d+) (\d+)"', seen.dom)
    assert found is not None, "the page never came to its end"
    return Room(*map(int, found.groups()))
