"""Which triggers and rules may move protected values when somebody writes to a table. Pure; knows rows only.

A trigger's body runs on the server, on envelopes: what it copies into another
column is ciphertext there, and what it computes is computed on ciphertext. So a
write that sets off such a body is refused. A body passes when it provably keeps
away from protected values: it names no protected column, no row as a whole, no
protected table, and makes no SQL at run time. Comments and strings do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pgcrypt_proxy.ops.catalog_queries import CatalogRows, TriggerRow
from pgcrypt_proxy.sql.code import runs_dynamic_sql, without_strings

Hazards = tuple[tuple[str, str], ...]

#: Bits of pg_trigger.tgtype (pg_trigger.h).
_EVENT_BITS = (("INSERT", 4), ("DELETE", 8), ("UPDATE", 16))
#: pg_rewrite.ev_type
_RULE_EVENTS = {"2": "UPDATE", "3": "INSERT", "4": "DELETE"}

#: Trigger functions in C that do to the row what their arguments say, and nothing else.
_KNOWN_FUNCTIONS = frozenset(
    {
        "suppress_redundant_updates_trigger", "tsvector_update_trigger", "tsvector_update_trigger_column",
        "moddatetime", "insert_username", "autoinc",
    }
)  # fmt: skip

_RETURNED = re.compile(r"\breturn\s+(?:new|old|coalesce\s*\(\s*(?:new|old)\s*,\s*(?:new|old)\s*\))\s*;", re.IGNORECASE)
_WHOLE_ROW = re.compile(r"\b(?:new|old)\b(?!\s*\.\s*[\w\"])", re.IGNORECASE)


def hazards(
    rows: CatalogRows,
    protected: Iterable[tuple[int, int]],
    sensitive: Mapping[int, str],
    tainted: Iterable[str],
    safe_functions: frozenset[int],
) -> dict[int, Hazards]:
    """By relation OID: (event, what would move protected values then).

    `protected` are (relation OID, attribute number); `sensitive` are protected
    and derived relations with their names; `tainted` are names of functions that
    may touch them. Functions of schema pgcrypt are the product's own.
    """
    columns: dict[int, set[str]] = {}
    names = {(r.oid, number): name for r in rows.relations for name, number, _ in r.attributes}
    for oid, number in protected:
        if (oid, number) in names:
            columns.setdefault(oid, set()).add(names[oid, number])
    away = frozenset({*sensitive.values(), *tainted})
    found: dict[int, list[tuple[str, str]]] = {}
    for trigger in rows.triggers:
        if trigger.function_oid in safe_functions or trigger.function_schema == "pgcrypt":
            continue
        own = columns.get(trigger.relation_oid, set())
        if _moves(trigger, own, away):
            what = f"trigger {trigger.name} (function {trigger.function})"
            events = [event for event, bit in _EVENT_BITS if trigger.type & bit]
            found.setdefault(trigger.relation_oid, []).extend((event, what) for event in events)
    for oid, name, event in rows.table_rules:
        if event in _RULE_EVENTS and (oid in sensitive or _rule_reads(rows, oid, sensitive)):
            found.setdefault(oid, []).append((_RULE_EVENTS[event], f"rule {name}"))
    return _spread(rows, found)


def _moves(trigger: TriggerRow, own: set[str], away: frozenset[str]) -> bool:
    """Whether the trigger of a table with the protected columns `own` may move values of `own` or from `away`."""
    if own and (_names(trigger.condition, own) or trigger.has_transition_tables):
        return True
    if trigger.language in ("c", "internal"):
        # tgargs: strings with a NUL behind each
        return bool(own) and (trigger.function_name not in _KNOWN_FUNCTIONS or bool(own & set(trigger.arguments)))
    code = _RETURNED.sub(" ", without_strings(trigger.source))
    if _names(code, away):
        return True
    if not own:
        return False
    if trigger.language != "plpgsql" or runs_dynamic_sql(trigger.language, trigger.source) or _WHOLE_ROW.search(code):
        return True
    return _names(code, own)


def _names(code: str, names: Iterable[str]) -> bool:
    folded = code.lower()
    return any(re.search(rf"(?<![\w$]){re.escape(name.lower())}(?![\w$])", folded) for name in names)


def _rule_reads(rows: CatalogRows, oid: int, sensitive: Mapping[int, str]) -> bool:
    return any(who == oid and not is_function and what in sensitive for who, is_function, what in rows.rule_reads)


def _spread(rows: CatalogRows, found: dict[int, list[tuple[str, str]]]) -> dict[int, Hazards]:
    """A write to a parent reaches its children, a write to a view the tables below it."""
    reaches: dict[int, set[int]] = {}
    for child, parent in rows.inheritance:
        reaches.setdefault(child, set()).add(parent)
    for view, is_function, what in rows.rule_reads:
        if not is_function:
            reaches.setdefault(what, set()).add(view)
    todo = list(found)
    while todo:
        oid = todo.pop()
        for above in reaches.get(oid, ()):
            known = found.setdefault(above, [])
            new = [hazard for hazard in found[oid] if hazard not in known]
            if new:
                known += new
                todo.append(above)
    return {oid: tuple(sorted(what)) for oid, what in found.items()}
