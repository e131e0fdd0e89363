"""Texts too long to be parsed: whether one provably touches nothing protected, in time linear in its length.

It may pass when all its statements begin as queries or DML do, so that it changes neither the session nor a schema,
and when nothing that matters stands anywhere in it, in any spelling: no protected or derived relation, none that
moves protected values when written to, no function that reads such, none that runs SQL made at run time. Strings
and comments count, so what is turned away here may be innocent. PostgreSQL's own lexer finds the statements.
"""

from __future__ import annotations

import re

from pglast.parser import ParseError, split

from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.mention import SQL_RUNNING_PARTS, text_mentions

#: Longer texts are not looked at, as they would have to be held: so many times the length of a text that is parsed.
MAX_TIMES = 16
#: Length times names: what a search costs.
MAX_WORK = 1 << 28

_LEADS = frozenset({"select", "insert", "update", "delete", "merge", "values", "with", "table"})
#: The first word, behind parentheses and comments that hold no others.
_LEAD = re.compile(r"(?:[\s(]|--[^\r\n]*|/\*(?:[^/*]|/(?!\*)|\*(?!/))*\*/)*([a-zA-Z]+)(?![\w$])")
#: By which a query or DML changes the session.
_SETTERS = frozenset({"set_config", "pg_settings"})


def touches_nothing(sql: str, catalog: Catalog) -> bool:
    """Whether `sql` may go to the server unparsed."""
    names = catalog.sensitive_names | catalog.hazard_names | catalog.tainted_functions
    names |= {name for _, name in catalog.system_columns} | SQL_RUNNING_PARTS | _SETTERS
    if len(sql) * len(names) > MAX_WORK or text_mentions(sql, names):
        return False
    try:
        statements = split(sql, with_parser=False)
    except ParseError:
        return False
    end = 0
    for statement in statements:
        start = sql.find(statement, end)
        if not _is_between(sql[end:start]) or not _is_data(statement):
            return False
        end = start + len(statement)
    return _is_between(sql[end:])


def _is_between(gap: str) -> bool:
    """Whether nothing is there: what has no keyword is no statement for the lexer."""
    return not gap.strip("; \t\r\n\f\v")


def _is_data(statement: str) -> bool:
    lead = _LEAD.match(statement)
    return lead is not None and lead[1].lower() in _LEADS
