"""Code in procedural languages: what can be told of it without understanding it. Errs towards danger."""

from __future__ import annotations

import re

_PIECES = re.compile(
    r"""(?P<name>"(?:[^"]|"")*")|--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$""", re.DOTALL
)
_DYNAMIC = re.compile(r"\bexecute\b", re.IGNORECASE)
#: Ways in which languages other than PL/pgSQL reach the database.
_REACHES_DATABASE = re.compile(r"execute|query|cursor|prepare|spi|plpy|plv8", re.IGNORECASE)


def without_strings(source: str) -> str:
    """PL/pgSQL or SQL without its comments and string constants; with backslashes it stays as it is.

    Where a string with a backslash ends depends on settings.
    """
    if "\\" in source:
        return source
    return _PIECES.sub(lambda found: found["name"] or " ", source)


def runs_dynamic_sql(language: str, source: str) -> bool:
    """Whether a body may run SQL that does not stand in it. Code in C has no body that says anything."""
    if language in ("sql", "c", "internal"):
        return False
    if language != "plpgsql":
        return _REACHES_DATABASE.search(source) is not None
    return _DYNAMIC.search(without_strings(source)) is not None
