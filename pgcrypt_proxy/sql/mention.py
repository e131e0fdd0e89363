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

#: A relation as a statement names it: its schema, None where none is written, and its name.
RelationName = tuple[str | None, str]
NO_RELATIONS: frozenset[RelationName] = frozenset()
#: Of a text that was not parsed: it may name any.
ANY_RELATIONS: frozenset[RelationName] = frozenset({(None, "")})

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
_SQL_RUNNING = (
    r"(query_to_xml\w*|table_to_xml\w*|cursor_to_xml\w*|schema_to_xml\w*|database_to_xml\w*"
    r"|ts_stat|ts_rewrite|crosstab\w*|connectby|dblink\w*|xpath_table|lo_import|lo_export"
    r"|pg_read_file|pg_read_binary_file|pg_logical_slot_\w+)"
)
#: In the name of every one of them is one of these.
SQL_RUNNING_PARTS = frozenset(
    {
        "_to_xml", "ts_stat", "ts_rewrite", "crosstab", "connectby", "dblink", "xpath_table", "lo_import", "lo_export",
        "pg_read_file", "pg_read_binary_file", "pg_logical_slot_",
    }
)  # fmt: skip
SQL_RUNNING_FUNCTIONS = re.compile(f"^{_SQL_RUNNING}$")
#: DO is also in ON CONFLICT DO, which then counts as code.
_RUNS_CODE = re.compile(rf"\b({_SQL_RUNNING}|do|function|procedure)\b", re.IGNORECASE)


@dataclass(slots=True)
class Mentions:
    """`relations`: (schema or None, name, byte location); `functions`: (name, byte location); `strings`: all others.

    `targets`: (INSERT, UPDATE or DELETE; schema or None, name, byte location) of everything written to. `types` are
    names of types, without schema.
    """

    relations: list[tuple[str | None, str, int]] = field(default_factory=list)
    functions: list[tuple[str, int]] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    cte_names: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    targets: list[tuple[str, str | None, str, int]] = field(default_factory=list)


def _last_name(names: list[Node]) -> str:
    return str(names[-1]["String"].get("sval", "")) if names else ""


def _events(kind: str, tree: Node) -> tuple[str, ...]:
    """What a node of this kind may do to its `relation`."""
    if kind == "InsertStmt":
        updates = tree.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE"
        return ("INSERT", "UPDATE") if updates else ("INSERT",)
    if kind == "CopyStmt":
        return ("INSERT",) if tree.get("is_from") else ()
    return _WRITES.get(kind, ())


_WRITES = {"UpdateStmt": ("UPDATE",), "DeleteStmt": ("DELETE",), "MergeStmt": ("INSERT", "UPDATE", "DELETE")}


def find(tree: Node, kind: str = "") -> Mentions:
    """Everything `tree`, a node of `kind`, names. Walks all of it, whatever the nodes are; needs no recursion."""
    found = Mentions()
    stack: list[Any] = [{kind: tree}]
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
            found.functions.append((_last_name(node["funcname"]), node.get("location", 0)))
        elif "ctename" in node:
            found.cte_names.add(node["ctename"])
        elif "typemod" in node and "names" in node:
            found.types.add(_last_name(node["names"]))
        elif "sval" in node and isinstance(node["sval"], str):
            found.strings.append(node["sval"])
        for tag, value in node.items():
            if isinstance(value, dict):
                stack.append(value)
                target = value.get("relation")
                if target is not None and (events := _events(tag, value)):
                    place = target.get("schemaname"), target["relname"], target.get("location", 0)
                    found.targets += [(event, *place) for event in events]
            elif isinstance(value, list):
                stack.append(value)
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
    folded = text.casefold()  # unlike lower, the same for a character wherever it stands
    return "u&" in folded or any(_as_written(name) in folded for name in names)


def _as_written(name: str) -> str:
    """As the name stands in a text, in one case: quote marks in it are doubled."""
    return name.replace('"', '""').casefold()


def text_runs_code(text: str) -> bool:
    """Whether `text`, which was not parsed, may run or make code, in which escapes can spell any name."""
    return _RUNS_CODE.search(text) is not None
