"""Chromium without a window, and what is asked of it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    "--enable-logging=stderr",
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

ASKED = (
    "<script>(async () => {{ {script} }})().catch((error) => ({{error: String(error)}}))"
    ".then((answer) => console.log('ANSWER ' + JSON.stringify(answer)));</script>"
)
"""Runs a script that may await, and says what it returned where `ask` can hear it."""


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
    command = [CHROMIUM, *FLAGS, "--virtual-time-budget=20000", f"--user-data-dir={profile}", *flags, page.as_uri()]
    environment = {**os.environ, "HOME": str(profile)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=True)
    return Seen(ended.stdout, ended.stderr)


def ask(page: Path, profile: Path, script: str) -> Any:
    """What a script at the end of a copy of the page returns. Time is real here; under `browse` it stands still."""
    assert CHROMIUM is not None
    copy = with_script(page, profile, ASKED.format(script=script))
    command = [CHROMIUM, *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", copy.as_uri()]
    environment = {**os.environ, "HOME": str(profile)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    limit = Timer(120, process.kill)
    limit.start()
    try:
        assert process.stderr is not None
        said = (re.search(r'"ANSWER (.*)", source: ', line) for line in process.stderr)
        return json.loads(next(found[1] for found in said if found is not None))
    finally:
        limit.cancel()
        process.terminate()
        process.communicate()


def with_script(page: Path, profile: Path, script: str) -> Path:
    copy = profile.with_suffix(".html")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{script}</body>"), encoding="utf-8")
    return copy


def room(page: Path, profile: Path, width: int) -> Room:
    """What a copy of the page says of itself in a window of this width."""
    seen = browse(with_script(page, profile, PROBE), profile, f"--window-size={width},900", "--dump-dom")
    found = re.search(r'data-probe="(\d+) (\d+) (\d+)"', seen.dom)
    assert found is not None, "the page never came to its end"
    return Room(*map(int, found.groups()))
