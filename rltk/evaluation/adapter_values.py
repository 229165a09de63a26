"""Whether the values in an adapter_config.json are of the kinds that PEFT writes there, which PEFT hardly asks."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rltk.errors import UserError


class Kind(NamedTuple):
    words: str
    fits: Callable[[Any], bool]


def is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: Any) -> bool:
    is_finite = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return is_finite and not isinstance(value, bool)


def is_text_or_null(value: Any) -> bool:
    return value is None or isinstance(value, str)


def names_modules(value: Any) -> bool:
    """A text is a regular expression, and null leaves the choice to PEFT."""
    return is_expression(value) if isinstance(value, str) else value is None or is_list_of_texts(value)


def is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def is_expression(value: str) -> bool:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def is_pattern(value: Any) -> bool:
    """Numbers by regular expressions of the modules that they are for."""
    is_object = isinstance(value, dict)
    return value is None or (is_object and all(map(is_expression, value)) and all(map(is_number, value.values())))


TEXT = Kind("a text or null", is_text_or_null)
PATTERN = Kind("an object of numbers by regular expressions", is_pattern)
KINDS = {
    "r": Kind("a whole number from 1 on", is_rank),
    "lora_alpha": Kind("a number", is_number),
    "target_modules": Kind("a list of names, a regular expression or null", names_modules),
    "rank_pattern": PATTERN,
    "alpha_pattern": PATTERN,
    "base_model_name_or_path": TEXT,
    "revision": TEXT,
    "task_type": TEXT,
    "peft_type": TEXT,
}


def refuse_odd_values(file: Path, config: Mapping[str, Any]) -> None:
    """UserError names the first of the keys there whose value is of another kind."""
    for key, kind in KINDS.items():
        if key in config and not kind.fits(config[key]):
            raise UserError(
                f"{file} is damaged ({key} = {config[key]!r:.60} is not {kind.words}); save the adapter again."
            )
