"""The base of every section of a recipe, and the field types that need care when read from YAML."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

RULE = "rule"
NAME_IN_WORDS = "letters, digits, '.', '_' and '-' that begin with a letter or a digit"
EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


class Section(BaseModel):
    # A key that is a word of Python's, such as `from`, is the alias of its field.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, serialize_by_alias=True)


def broken_rule(must: str, *keys: str) -> PydanticCustomError:
    """The error for a rule that no type states: `must` ends a sentence that begins with the first key and its value.

    A validator of a section names the keys it looked at, relative to the section; a validator of a field names none.
    """
    return PydanticCustomError(RULE, "{must}", {"must": must, "keys": keys})


def read_exponent(value: object) -> object:
    """PyYAML follows YAML 1.1, where 1e-5 (no dot) is a string: read it as the number it is in YAML 1.2."""
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def without_secrets(url: str) -> str:
    """The resolved recipe is kept in the run folder, and in whatever that is uploaded to."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise broken_rule("must hold no user, password or query, as it is kept in the run folder; use token_file")
    return url


# Strict: to pydantic true is 1 and "8" is 8 unless told otherwise. The bounds stand inside, before the validator,
# because pydantic writes those outside it into the JSON Schema under names that no editor knows.
Text = Annotated[str, Field(min_length=1)]
Url = Annotated[Text, AfterValidator(without_secrets)]
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1)]
Whole = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0), BeforeValidator(read_exponent)]
NonNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0), BeforeValidator(read_exponent)]
Fraction = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, lt=1), BeforeValidator(read_exponent)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1), BeforeValidator(read_exponent)]
AtLeastOne = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=1), BeforeValidator(read_exponent)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False), BeforeValidator(read_exponent)]
Name = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", json_schema_extra={"patternErrorMessage": NAME_IN_WORDS})
]
"""What may become the name of a folder."""
