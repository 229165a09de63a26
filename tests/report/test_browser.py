"""The page in a real browser: it opens from a file, says nothing on the console, and shows its items as text."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rltk.report.page import report_run
from tests.report import made

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--enable-logging=stderr", "--virtual-time-budget=20000"),
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="CHROMIUM NOT FOUND: pages are not tried in a browser"),
]


def browse(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    environment = {**os.environ, "HOME": str(profile)}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=True)


def test_a_hostile_page_is_text_and_the_console_is_quiet(tmp_path: Path):
    run = made.run(tmp_path / "run", {"before": ["#### 3"] * 30, "after": [made.HOSTILE] * 30})
    seen = browse(report_run(run), tmp_path / "profile", "--dump-dom")
    assert "CONSOLE" not in seen.stderr
    assert "<title>shown/run - rltk</title>" in seen.stdout
    assert "<img" not in seen.stdout
    assert seen.stdout.count("before: wrong") == 20, "items are drawn a page at a time"
    assert "page 1 of 2" in seen.stdout and "30 of 30 items" in seen.stdout


def test_ten_thousand_items_are_a_small_page_that_opens(tmp_path: Path):
    texts = {when: [f"So {i} and {i * 7919 % 1000} make #### {i % 5}" for i in range(10_000)] for when in made.WHEN}
    page = report_run(made.run(tmp_path / "run", texts))
    assert page.stat().st_size < 3_000_000
    seen = browse(page, tmp_path / "profile", "--dump-dom")
    assert re.search(r'<html[^>]* data-items="10000"', seen.stdout)
    assert len(re.findall(r"<li><h3>", seen.stdout)) == 20


def test_the_page_prints(tmp_path: Path):
    run = made.run(tmp_path / "run", {"before": ["#### 3"], "after": ["#### 2"]})
    printed = tmp_path / "page.pdf"
    browse(report_run(run), tmp_path / "profile", f"--print-to-pdf={printed}")
    assert printed.read_bytes().startswith(b"%PDF")
