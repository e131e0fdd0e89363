"""A statement's text without its values and comments, which can be planned as the statement itself can."""

from __future__ import annotations

from pgcrypt_proxy.sql.parse import Unparsable, parse

#: Names of literals in PostgreSQL's grammar.
LITERALS = frozenset({"SCONST", "USCONST", "ICONST", "FCONST", "BCONST", "XCONST"})
#: Their values may be plain words.
_SETTINGS = frozenset({"VariableSetStmt", "AlterRoleSetStmt", "AlterDatabaseSetStmt", "AlterSystemStmt"})


def without_values(sql: str) -> str | None:
    """`sql` on one line, with a parameter for each literal, numbered behind its own.

    None for what cannot be parsed, holds nothing, or sets a setting: there values need no quotes.
    """
    try:
        text = parse(sql)
    except Unparsable:
        return None
    if not text.statements or any(statement.kind in _SETTINGS for statement in text.statements):
        return None
    tokens = text.tokens
    last = max((int(sql[t.start + 1 : t.end]) for t in tokens if t.name == "PARAM"), default=0)
    words: list[str] = []
    for token in tokens:
        if token.name in LITERALS:
            last += 1
            words.append(f"${last}")
        elif token.name not in ("SQL_COMMENT", "C_COMMENT"):
            words.append(sql[token.start : token.end].replace("\n", " "))
    return " ".join(words)
