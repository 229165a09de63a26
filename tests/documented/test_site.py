"""The site builds without a warning, and its generated pages hold what the code holds."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rltk.cli import COMMANDS
from rltk.compare.catalogue import load_catalogue
from rltk.recipe.schema import Recipe
from tests.documented.pages import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="THE SITE IS NOT BUILT: pip install -e '.[docs]' for mkdocs-material")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def text(site: Path, page: str) -> str:
    """The words of a page's article."""
    source = (site / page / "index.html").read_text(encoding="utf-8")
    article = source[source.index("<article") : source.index("</article")]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", article)).split())


@pytest.mark.slow
def test_the_reference_has_every_key_and_every_command(site: Path) -> None:
    recipe, commands = text(site, "reference/recipe"), text(site, "reference/commands")
    for name in Recipe.model_fields:
        assert name in recipe
    for key in ("micro_tokens", "rates.points", "mask_truncated", "in_flight", "type python"):
        assert key in recipe, key
    assert "What a function of your own gives" in recipe
    for name in COMMANDS:
        assert f"usage: rltk {name}" in commands


@pytest.mark.slow
def test_the_evidence_has_every_finding_and_claims_nothing_that_was_not_measured(site: Path) -> None:
    page, catalogue = text(site, "evidence"), load_catalogue()
    for finding in catalogue.values():
        assert f"{finding.id} " in page and finding.source in page
    published = {path.stem for path in (ROOT / "docs" / "results" / "findings").glob("*.json")}
    assert page.count("no published result") == len(catalogue.keys() - published)


@pytest.mark.slow
def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loads = re.findall(r"<(?:script|img|iframe|link)[^>]+(?:src|href)=\"?(https?://[^\s\">]+)", page.read_text())
        assert not loads, f"{page}: {loads}"
