"""Which relations and functions are made from protected tables, however indirectly. Pure; knows rows only.

A view over a protected table, a function whose body names one, a view that
calls such a function, a function that reads such a view... until nothing new
turns up. Names are matched as words and without case, so the answer errs
towards too many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pgcrypt_proxy.ops.catalog_queries import CatalogRows
from pgcrypt_proxy.sql.code import runs_dynamic_sql

WORD = re.compile(r"\w[\w$]*")


def derive(
    rows: CatalogRows,
    protected: Iterable[int],
    absent_names: Iterable[str] = (),
    safe_functions: frozenset[int] = frozenset(),
) -> tuple[frozenset[int], frozenset[int]]:
    """OIDs of derived relations and of tainted functions.

    `protected` are OIDs of protected tables; `absent_names` are tables that
    rules name and the database lacks: a function may name them already.
    `safe_functions` are never tainted, whatever they read.
    """
    roots = set(protected)
    absent = list(absent_names)
    names = {relation.oid: relation.name for relation in rows.relations}
    judged = [f for f in rows.functions if f.oid not in safe_functions]
    sources = {f.oid: f.source.lower() for f in judged}
    words = {oid: frozenset(WORD.findall(source)) for oid, source in sources.items()}
    function_names = {f.oid: f.name for f in judged}
    relations = _down(roots, rows.inheritance) | _up(roots, rows.inheritance)
    # What a body builds at run time cannot be seen; extensions know nothing of an application's tables.
    functions = {f.oid for f in judged if f.source and not f.is_of_extension and runs_dynamic_sql(f.language, f.source)}
    if not roots and not absent:
        functions.clear()
    sensitive = {name.lower() for name in absent}
    while True:
        sensitive |= {names[oid].lower() for oid in roots | relations if oid in names}
        sensitive |= {function_names[oid].lower() for oid in functions}
        found_functions = {
            oid for oid in sources if oid not in functions and _mentions(words[oid], sources[oid], sensitive)
        } | _readers(rows.function_reads, roots | relations, functions)
        functions_now = functions | (found_functions & function_names.keys())
        relations_now = relations | _readers(rows.rule_reads, roots | relations, functions_now)
        relations_now |= _up(relations_now, rows.inheritance)
        if (relations_now, functions_now) == (relations, functions):
            return frozenset(relations - roots), frozenset(functions)
        relations, functions = relations_now, functions_now


def _mentions(words: frozenset[str], source: str, names: set[str]) -> bool:
    if not words.isdisjoint(names):
        return True
    return any(name in source for name in names if not WORD.fullmatch(name))


def _readers(reads: Iterable[tuple[int, bool, int]], relations: set[int], functions: set[int]) -> set[int]:
    return {who for who, is_function, what in reads if what in (functions if is_function else relations)}


def _up(start: set[int], inheritance: Iterable[tuple[int, int]]) -> set[int]:
    return _closure(start, inheritance)


def _down(start: set[int], inheritance: Iterable[tuple[int, int]]) -> set[int]:
    return _closure(start, [(parent, child) for child, parent in inheritance])


def _closure(start: set[int], edges: Iterable[tuple[int, int]]) -> set[int]:
    targets: dict[int, list[int]] = {}
    for source, target in edges:
        targets.setdefault(source, []).append(target)
    found: set[int] = set()
    todo = list(start)
    while todo:
        for target in targets.get(todo.pop(), ()):
            if target not in found:
                found.add(target)
                todo.append(target)
    return found
