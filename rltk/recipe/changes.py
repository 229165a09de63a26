"""What a recipe says: the keys that are not at their default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from rltk.recipe.fields import Section


class Change(NamedTuple):
    key: str
    value: Any
    """As JSON holds it."""
    default: Any
    """None where there is none."""


def changes(section: Section, prefix: str = "") -> Iterator[Change]:
    """A section's type comes first and always: it says how to read the rest."""
    fields = type(section).model_fields
    for key in sorted(fields, key=lambda key: key != "type"):
        value, field = getattr(section, key), fields[key]
        key = field.alias or key
        if isinstance(value, Section):
            yield from changes(value, f"{prefix}{key}.")
        elif isinstance(value, dict) and all(isinstance(named, Section) for named in value.values()):
            for name, named in value.items():
                yield from changes(named, f"{prefix}{key}.{name}.")
        elif key == "type" or field.is_required():
            yield Change(prefix + key, to_jsonable_python(value), None)
        elif value != field.default:
            yield Change(prefix + key, to_jsonable_python(value), to_jsonable_python(field.default, fallback=str))
