"""What a driver says of one type in one of the tables, and how programs in other languages say it: a line of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """`values` are exact spellings of the values read back, `native` the type that the language calls them by.

    `declared` is all that the driver tells of the result column's type, `parameter` of the parameter's where it
    asks. `error` says what did not work instead of all that.
    """

    column: str
    table: str
    native: str = ""
    values: tuple[str, ...] = ()
    declared: str = ""
    parameter: str = ""
    error: str = ""


def parsed(line: str) -> Answer:
    """An answer from its line."""
    said = json.loads(line)
    return Answer(**{**said, "values": tuple(said.get("values", ()))})
