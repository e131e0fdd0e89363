"""The hidden column comes, and, if it is thought better of, goes again. Each in one short transaction."""

from __future__ import annotations

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_queries, sealed_types
from pgcrypt_proxy.ops.catalog_rules import logical_type
from pgcrypt_proxy.ops.column_facts import ColumnFacts
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.keyring_store import hold_active_keys
from pgcrypt_proxy.ops.online import checks, moves, triggers
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.locking import locked
from pgcrypt_proxy.ops.online.moves import Move


def begin(connection: psycopg.Connection, target: Target) -> None:
    """Add the hidden column and what keeps track of changes. Raises ConfigError with every obstacle."""
    rule = target.rule
    checks.raise_obstacles(target, checks.assess(connection, target, checks.facts(connection, target), is_short=True))
    _clean_up(connection)
    with connection.transaction():
        if rule.tenant is not None:
            hold_active_keys(connection)  # or a tenant's erasure begins meanwhile
        _begin(connection, target)


def _begin(connection: psycopg.Connection, target: Target) -> None:
    rule = target.rule
    with locked(connection, quoted(rule.schema, rule.table)):
        facts = checks.facts(connection, target)
        checks.raise_obstacles(target, checks.assess(connection, target, facts, is_short=True))
        if target.generation is not None:
            column_id = sealed_types.claim_anew(connection, _required_id(connection, facts), target.generation)
            hidden_type = sealed_types.name(column_id)
        elif target.is_sealing:
            logical = logical_type(rule, catalog_queries.fetch_types(connection))
            column_id = sealed_types.claim_bare(connection, rule, logical)
            hidden_type = sealed_types.name(column_id)
        else:
            column_id = _required_id(connection, facts)
            hidden_type = sealed_types.column(connection, column_id, target.place, facts.relation_oid).type.sql
        moves.add(connection, column_id, facts.relation_oid, facts.name, target.direction)
        move = moves.find(connection, *target.place)
        assert move is not None
        connection.execute(
            f"ALTER TABLE {move.qualified_table} ADD COLUMN {quoted(move.hidden)} {hidden_type}".encode()
        )
        if target.is_sealing:
            sealed_types.constrain(connection, column_id)
        tenant = rule.tenant if target.direction == moves.SEAL else None
        triggers.create(connection, move, "" if tenant is None else tenant.column)
        triggers.check(connection, move)


def abandon(connection: psycopg.Connection, move: Move) -> None:
    """Take everything away again. A plain hidden column leaves its values behind: its rows must be scrubbed."""
    with locked(connection, move.qualified_table):
        triggers.drop(connection, move)
        connection.execute(f"ALTER TABLE {move.qualified_table} DROP COLUMN {quoted(move.hidden)}".encode())
        if move.is_sealing:
            moves.remove(connection, move)
            sealed_types.forget(connection, move.column_id)
        elif not move.moved:
            moves.remove(connection, move)
        else:
            moves.turn_to_scrubbing(connection, move, moves.SEAL)


def _clean_up(connection: psycopg.Connection) -> None:
    """What was left behind by tables that were dropped while a column was on its way."""
    with connection.transaction():
        for column_id, direction in moves.remove_dropped(connection):
            connection.execute(f"DROP FUNCTION IF EXISTS {triggers.function(column_id)}()".encode())
            if direction != moves.OPEN:
                sealed_types.forget(connection, column_id)


def _required_id(connection: psycopg.Connection, facts: ColumnFacts) -> int:
    found = sealed_types.id_of(connection, facts.relation_oid, facts.name)
    if found is None:
        raise ConfigError(f"{facts.qualified_name} is not sealed", sqlstate="55000")
    return found
