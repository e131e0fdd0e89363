"""Which relations, functions and strings a statement names, found without understanding it.

This is what makes *untouched* provable: every node that can name a relation is
found by its shape in the tree, whatever statement it stands in. A statement in
which nothing sensitive is mentioned touches no protected column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pgcrypt_proxy.sql.parse import Node

#: Statements whose strings are settings, channels or names of no relation.
NEUTRAL_STATEMENTS = frozenset(
    {
        "TransactionStmt", "VariableSetStmt", "VariableShowStmt", "DiscardStmt", "ListenStmt", "NotifyStmt",
        "UnlistenStmt", "CheckPointStmt", "ConstraintsSetStmt", "DeallocateStmt", "FetchStmt",
        "ClosePortalStmt", "ExecuteStmt", "LoadStmt",
    }
)  # fmt: skip

#: Statements that are DML, or carry DML, and no schema change: their strings are data.
DATA_STATEMENTS = frozenset(
    {
        "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "ExplainStmt", "PrepareStmt",
        "DeclareCursorStmt", "CopyStmt", "CallStmt", "LockStmt", "VacuumStmt", "TruncateStmt",
    }
)  # fmt: skip

#: Functions of PostgreSQL and its contrib modules that run SQL given as text.
SQL_RUNNING_FUNCTIONS = re.compile(
    r"^(query_to_xml\w*|table_to_xml\w*|cursor_to_xml\w*|schema_to_xml\w*|database_to_xml\w*"
    r"|ts_stat|ts_rewrite|crosstab\w*|connectby|dblink\w*|xpath_table|lo_import|lo_export"
    r"|pg_read_file|pg_read_binary_file|pg_logical_slot_\w+)$"
)


@dataclass(slots=True)
class Mentions:
    """`relations`: (schema or None, name, byte location); `functions`: (name, byte location); `strings`: all others."""

    relations: list[tuple[str | None, str, int]] = field(default_factory=list)
    functions: list[tuple[str, int]] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    cte_names: set[str] = field(default_factory=set)


def _function_name(names: list[Node]) -> str:
    return str(names[-1]["String"].get("sval", "")) if names else ""


def find(tree: Node) -> Mentions:
    """Everything `tree` names. Walks all of it, whatever the nodes are; needs no recursion."""
    found = Mentions()
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
            continue
        if not isinstance(node, dict):
            continue
        if "relname" in node:
            found.relations.append((node.get("schemaname"), node["relname"], node.get("location", 0)))
        elif "funcname" in node and isinstance(node["funcname"], list):
            found.functions.append((_function_name(node["funcname"]), node.get("location", 0)))
        elif "ctename" in node:
            found.cte_names.add(node["ctename"])
        elif "sval" in node and isinstance(node["sval"], str):
            found.strings.append(node["sval"])
        stack.extend(value for value in node.values() if isinstance(value, dict | list))
    return found


def spelled_in(string: str, names: frozenset[str]) -> str | None:
    """The first of `names` that stands in `string` as a word, in any case; for names and bodies in DDL.

    A Unicode-escaped identifier can spell any name: it counts as the first.
    """
    folded = string.lower()
    for name in sorted(names):
        if 'u&"' in folded or re.search(rf"(?<![\w$]){re.escape(name.lower())}(?![\w$])", folded):
            return name
    return None


def text_mentions(text: str, names: frozenset[str]) -> bool:
    """Whether `text`, which could not be parsed, may spell one of `names`.

    Unicode-escaped identifiers can spell any name, so they count as a mention.
    """
    folded = text.lower()
    return "u&" in folded or any(name.lower() in folded for name in names)
