"""What the phases of rules allow: columns that are plain for now, and columns on their way (ADR 0013, 0014, 0017).

A database by itself must not be able to bring it about that plain values pass:
a move counts only where the rule of its column says so. Pure; knows rules and rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pgcrypt_proxy.ops.catalog_queries import CatalogRows
from pgcrypt_proxy.policy.model import IMPORTING, OPENING, REINDEXING, SEALING, Rule
from pgcrypt_proxy.sql.catalog import Move, ProtectedColumn

#: States of pgcrypt.moves in which the column that applications use has not changed yet.
_UNDER_WAY = frozenset({"filling", "switching"})
_PHASES = {"seal": SEALING, "open": OPENING, "reindex": REINDEXING, "import": IMPORTING}
_WORDS = {"seal": "being sealed", "open": "being made plain", "reindex": "being reindexed", "import": "being imported"}

#: Phases in which a column may be without envelopes, and statements on it pass as they are.
PLAIN_PHASES = (SEALING, OPENING, IMPORTING)
#: The phases of columns that are to be sealed.
TO_BE_SEALED = (SEALING, IMPORTING)


def moves(
    rules: Mapping[tuple[str, str, str], Rule], rows: CatalogRows, problems: list[str]
) -> dict[int, tuple[Move, ...]]:
    """The columns on their way, by relation OID. A move that no rule consents to is one of `problems`."""
    relations = {relation.oid: relation for relation in rows.relations}
    found: dict[int, tuple[Move, ...]] = {}
    for row in sorted(rows.moves, key=lambda row: row.column_id):
        relation = relations.get(row.relation_oid)
        if relation is None or row.state not in _UNDER_WAY:
            continue
        rule = rules.get((relation.schema, relation.name, row.column_name))
        phase = _PHASES[row.direction]
        if rule is None or rule.phase != phase:
            where = f"{relation.schema}.{relation.name}.{row.column_name}"
            place, says = (
                (f"{rule.source}: ", f"its rule's phase is {rule.phase}") if rule else ("", "no rule names it")
            )
            problems.append(
                f"{place}{where} is {_WORDS[row.direction]} while applications use it, and {says}: "
                f"write phase: {phase} until that is done"
            )
            continue
        move = Move(row.column_id, row.state, row.column_name)
        found[row.relation_oid] = (*found.get(row.relation_oid, ()), move)
    return found


def check_generations(columns: Iterable[ProtectedColumn], problems: list[str]) -> None:
    """Terms of one index domain are compared with each other, wherever they are: all must be of one generation."""
    first: dict[str, ProtectedColumn] = {}
    for column in columns:
        other = first.setdefault(column.index_domain, column) if column.is_armed and column.search else column
        if other.index_generation != column.index_generation:
            problems.append(
                f"{other.qualified_name} and {column.qualified_name} share index domain {column.index_domain}, and have"
                f" terms of index key generations {other.index_generation} and {column.index_generation}: restore both"
                " from the same backup"
            )


def plain_notes(rules: Mapping[str, Rule], plain: Mapping[tuple[int, int], ProtectedColumn]) -> Iterator[str]:
    """A sentence for each column that is plain for now; `rules` by qualified name."""
    for column in plain.values():
        rule = rules[column.qualified_name]
        if rule.phase == IMPORTING:
            yield f"{column.qualified_name} holds what the application encrypts itself: its rule's phase is {IMPORTING}"
            continue
        what = "may be" if rule.phase == SEALING else "may be already"
        yield f"{column.qualified_name} is plain for now, which it {what} while the phase of its rule is {rule.phase}"


def withheld_notes(columns: Iterable[ProtectedColumn]) -> Iterator[str]:
    """A sentence for each column that was imported, and whose rule says still that it is being so."""
    for column in columns:
        if column.is_withheld:
            yield f"{column.qualified_name} is imported, and no value of it passes: take phase out of its rule"
