"""YAML as a tree that remembers where each key was written, so that any later complaint can name the line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rltk.errors import RecipeError

DEEPEST = 20  # a recipe has three levels; an alias that holds itself has no end


class Where(NamedTuple):
    """The place a key was written at; compares in the order in which layers are merged."""

    layer: int
    line: int
    source: str
    profile: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        return f"{place}: profile {self.profile}" if self.profile else place


COMMAND_LINE = Where(layer=2, line=0, source="command line")


class Node(NamedTuple):
    """A value; in a mapping the values are nodes again, in a list they are plain."""

    value: Any
    where: Where
    text: str
    """The value as it was written, or near to it."""

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)


def read_file(path: Path, source: str) -> Node:
    """The mapping in a YAML file; `source` is what messages call the file."""
    place = Where(layer=0, line=0, source=source)
    root = read_yaml(read_text(path, source), lambda line: place._replace(line=line))
    if root is None:
        raise RecipeError(f"{source}: the file is empty; `rltk recipes` lists some to start from.")
    if not root.is_mapping:
        raise RecipeError(f"{root.where}: a recipe is made of keys (`name: my-run`), not {shortened(root.text)}.")
    return root._replace(where=place)


def read_text(path: Path, source: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecipeError(f"{source} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{source} is not text in UTF-8 (byte {error.start}).") from error


def read_yaml(text: str, place: Callable[[int], Where], called: str = "this") -> Node | None:
    """The tree of one YAML document, None when it holds nothing; `place` says where a line is."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        return None if root is None else build(loader, root, place, root.start_mark.line + 1, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RecipeError(f"{place(mark.line + 1 if mark else 0)}: {called} is not YAML: {reason(error)}.") from error
    except yaml.reader.ReaderError as error:
        raise RecipeError(f"{place(0)}: {called} is not YAML: {error.reason} (position {error.position}).") from error


def reason(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "it cannot be read"
    if problem.startswith("but "):
        problem = f"{error.context} {problem}"
    return f"{problem} (indent with spaces, not tabs)" if r"'\t'" in problem else problem


def build(
    loader: yaml.SafeLoader, node: yaml.Node, place: Callable[[int], Where], line: int, path: tuple[str, ...]
) -> Node:
    if isinstance(node, yaml.MappingNode):
        return build_mapping(loader, node, place, line, path)
    try:
        value = loader.construct_object(node, deep=True)
    except ValueError as error:  # 2024-13-45 has the form of a date and is none
        raise RecipeError(
            f"{place(line)}: {'.'.join(path) or 'the value'} {node.value!r} cannot be read: {error}."
        ) from error
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style and node.value
    return Node(value, place(line), node.value if is_plain else as_json(value))


def build_mapping(
    loader: yaml.SafeLoader, node: yaml.MappingNode, place: Callable[[int], Where], line: int, path: tuple[str, ...]
) -> Node:
    if len(path) > DEEPEST:
        raise RecipeError(f"{place(line)}: {'.'.join(path[:3])}... is nested too deeply.")
    refuse_duplicates(node, place, path)
    loader.flatten_mapping(node)  # `<<: *other` becomes the other's pairs, ahead of the mapping's own
    pairs = {key.value: (key, value) for key, value in node.value}
    node.value = list(pairs.values())  # an alias may come by again, and its own pairs are no duplicates
    children = {
        name: build(loader, value, place, key.start_mark.line + 1, (*path, name))
        for name, (key, value) in pairs.items()
    }
    return mapping(children, place(line))


def refuse_duplicates(node: yaml.MappingNode, place: Callable[[int], Where], path: tuple[str, ...]) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        where = place(key.start_mark.line + 1)
        if not isinstance(key, yaml.ScalarNode):
            raise RecipeError(f"{where}: a key must be a word, and here a list or a mapping stands in its place.")
        if key.value in lines:
            first = f", first on line {lines[key.value]}" if where.line else ""
            raise RecipeError(f"{where}: {'.'.join((*path, key.value))} is given twice{first}.")
        lines[key.value] = where.line


def mapping(children: Mapping[str, Node], where: Where) -> Node:
    text = ", ".join(f"{key}: {child.text}" for key, child in children.items())
    return Node(dict(children), where, f"{{{text}}}")


def shortened(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def as_json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def from_plain(value: Any, where: Where) -> Node:
    """The tree of values that were never YAML; all share one place."""
    if isinstance(value, Mapping):
        return mapping({str(key): from_plain(child, where) for key, child in value.items()}, where)
    return Node(value, where, as_json(value))


def to_plain(node: Node) -> Any:
    return {key: to_plain(child) for key, child in node.value.items()} if node.is_mapping else node.value


def merge(base: Node, over: Node) -> Node:
    """`over` on top of `base`: mappings merge, all else is replaced, and so is a section whose `type` changes."""
    if not (base.is_mapping and over.is_mapping) or changes_type(base.value, over.value):
        return over
    merged = {key: merge(base.value[key], child) if key in base.value else child for key, child in over.value.items()}
    return mapping({**base.value, **merged}, base.where)


def changes_type(base: dict[str, Node], over: dict[str, Node]) -> bool:
    return "type" in base and "type" in over and base["type"].value != over["type"].value


def in_profile(node: Node, profile: str) -> Node:
    """The same tree, with every place saying that it belongs to a profile."""
    where = node.where._replace(layer=1, profile=profile)
    if not node.is_mapping:
        return node._replace(where=where)
    return mapping({key: in_profile(child, profile) for key, child in node.value.items()}, where)


def walk(node: Node, path: tuple[str, ...]) -> Iterator[Node]:
    """The nodes on the way down `path`, beginning at the root, as far as they exist."""
    yield node
    if path and node.is_mapping and path[0] in node.value:
        yield from walk(node.value[path[0]], path[1:])
