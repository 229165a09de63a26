"""Pages of the site that are written from the code at every build, so that they cannot be stale; an mkdocs hook.

The reference of recipes comes from the schema, that of commands from the command line, the evidence from the catalogue
of findings and their published results. README and other files from outside docs/ become pages, their links rewritten.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "eval"), str(ROOT / "reward_models")]

from rltk.cli import COMMANDS, command_parser  # noqa: E402
from rltk.compare.catalogue import Finding, load_catalogue  # noqa: E402
from rltk.compare.results import PUBLISHED, read_result  # noqa: E402
from rltk.recipe.words import Shape, in_words, is_named, recipe_shape, variants  # noqa: E402

BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "eval/README.md": "reference/rltk_eval.md",
    "reward_models/README.md": "reference/rltk_reward_models.md",
}
"""Files of the repository that are pages of the site too."""
LINK = re.compile(r"\[([^\]\n]*)\]\((?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?\)")
STATUSES = {
    "documented": "published, with a primary source",
    "contested": "published results disagree",
    "folklore": "often said, without a primary source",
    "extension": "published by nobody",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    made = {page: (ROOT / source).read_text(encoding="utf-8") for source, page in BESIDE.items()}
    made |= {"reference/recipe.md": recipe_page(), "reference/commands.md": commands_page()}
    made["evidence.md"] = evidence_page()
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository lead to their page; where there is none, the text stays without a link."""
    at = page.file.src_uri
    source = next((source for source, made in BESIDE.items() if made == at), f"docs/{at}")

    def linked(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        target = BESIDE.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(target) is None:
            return f"`{match[1].strip('`')}`"
        return f"[{match[1]}]({posixpath.relpath(target, posixpath.dirname(at) or '.')}{match[3] or ''})"

    return LINK.sub(linked, markdown)


def recipe_page() -> str:
    shape = recipe_shape()
    head = [
        "# Recipe",
        "Every key, from the schema that `rltk schema` prints. On the command line `optim.lr=1e-4` overrides "
        "`lr` in the section `optim`. A section of several forms is told apart by `type`. Under `profiles` may stand "
        "any of these keys again, by the name of a profile, for the kind of machine that it is for.",
    ]
    plain = {key: value for key, value in shape["properties"].items() if not is_section(value)}
    parts = ["## At the top", keys_table(plain, shape)]
    for name, section in shape["properties"].items():
        if is_section(section):
            parts += section_part(name, section["additionalProperties"] if is_named(section) else section)
    return "\n\n".join([*head, *parts]) + "\n"


def is_section(shape: Shape) -> bool:
    return bool(variants(shape)) or "properties" in shape or is_named(shape)


def section_part(name: str, shape: Shape) -> Iterator[str]:
    if not variants(shape):
        yield from (f"## {name}", cell(shape.get("description", "")), keys_table(shape["properties"], shape))
        return
    yield f"## {name}"
    for kind, form in variants(shape).items():
        yield f"### {name}: type {kind}"
        yield cell(form.get("description", ""))
        yield keys_table({key: value for key, value in form["properties"].items() if key != "type"}, form)


def keys_table(properties: dict[str, Shape], owner: Shape) -> str:
    """A row a key; the keys of a section within a section stand among them, after a dot."""
    rows = [row for key, shape in properties.items() for row in key_rows(key, shape, owner)]
    return "\n".join(["| key | may be | default | |", "|---|---|---|---|", *rows])


def key_rows(key: str, shape: Shape, owner: Shape) -> Iterator[str]:
    if "properties" in shape and not variants(shape):
        for inner, inner_shape in shape["properties"].items():
            yield from key_rows(f"{key}.{inner}", inner_shape, shape)
        return
    default = "required" if key.rpartition(".")[2] in owner.get("required", ()) else shown(shape.get("default"))
    yield f"| `{key}` | {cell(in_words(shape))} | {default} | {cell(shape.get('description', ''))} |"


def shown(default: Any) -> str:
    import json

    return f"`{json.dumps(default)}`"


def cell(text: str) -> str:
    """On one line, with nothing that a table or markdown would take for its own."""
    return re.sub(r"([|<*_{}\[\]])", r"\\\1", " ".join(text.split()))


def commands_page() -> str:
    parts = [
        "# Commands",
        "What `rltk COMMAND --help` says. Mistakes are answered in one sentence, with exit status 2.",
    ]
    for name, command in COMMANDS.items():
        parts += [f"## rltk {name}", f"{command.about[0].upper()}{command.about[1:]}."]
        parts.append(f"```text\n{command_parser(name).format_help().strip()}\n```")
    return "\n\n".join(parts) + "\n"


def evidence_page() -> str:
    """The findings by status, each with what was measured here, where anything was."""
    catalogue = list(load_catalogue().values())
    parts = [
        "# What the evidence says",
        "What the literature and practice say of low-rank adapters against full fine-tuning, finding by finding, and "
        "what rltk measured of it. `rltk findings ID` measures one on your machine; `rltk findings --status` tells all "
        "results. A finding without a result has not been measured yet, and nothing is claimed about it.",
    ]
    for status, meaning in STATUSES.items():
        chosen = [finding for finding in catalogue if finding.status == status]
        if chosen:
            parts += [f"## {status.capitalize()}", f"{meaning[0].upper()}{meaning[1:]}: {len(chosen)} findings."]
            parts += [part for finding in chosen for part in finding_parts(finding)]
    return "\n\n".join(parts) + "\n"


def finding_parts(finding: Finding) -> list[str]:
    rows = [
        ("source", finding.source),
        ("documented", finding.reference),
        ("measured by", finding.measure),
        ("reproduced if", finding.rule),
        ("here", result_of(finding)),
    ]
    table = "\n".join(["| | |", "|---|---|", *(f"| {key} | {cell(value)} |" for key, value in rows)])
    return [f"### {finding.id}", f"{cell(finding.claim)}.", table]


def result_of(finding: Finding) -> str:
    result = read_result(PUBLISHED, finding.id)
    if result is None:
        return "no published result"
    return f"{result['verdict']}: {result['summary']} (commit {result['commit']}, {result['date'][:10]})"
