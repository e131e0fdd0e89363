"""The triggers that empty the hidden column when the value beside it, or its tenant, changes, whoever changes it.

Their conditions are kept parsed by the server, so that a rename of the column does them
no harm, and nobody can change its type. The rows that they let pass cost no call.
"""

from __future__ import annotations

import psycopg

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.index_conversion import quoted
from pgcrypt_proxy.ops.online.moves import Move
from pgcrypt_proxy.sql.catalog import HIDDEN_PREFIX

#: Set by whoever fills, to the column's id: everybody else's change of the hidden column alone is undone.
SETTING = "pgcrypt.filling"

#: A tilde comes behind all letters of ASCII: of BEFORE triggers the last by name fires last.
_LAST = "~"
#: What all their names begin with.
PREFIX = f"{_LAST}{HIDDEN_PREFIX}"

_BEFORE_ROW = """
SELECT t.tgname, t.tgenabled::text FROM pg_catalog.pg_trigger t
WHERE t.tgrelid = %s::bigint::oid AND NOT t.tgisinternal AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0
"""


def names(move: Move) -> tuple[str, str]:
    """The trigger on INSERT, and the one on UPDATE."""
    return f"{_LAST}{move.hidden}_insert", f"{_LAST}{move.hidden}_update"


def create(connection: psycopg.Connection, move: Move, tenant_column: str = "") -> None:
    """In the transaction that adds the hidden column. `tenant_column` says whose the values are that are sealed."""
    hidden, column, table = quoted(move.hidden), quoted(move.column), move.qualified_table
    on_insert, on_update = names(move)
    watched = [column, quoted(tenant_column)] if tenant_column else [column]
    changes = " OR ".join(map(_differs, watched))
    name = function(move.column_id)
    connection.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS"
        f" $body$ BEGIN NEW.{hidden} := NULL; RETURN NEW; END $body$".encode()
    )
    connection.execute(f"GRANT EXECUTE ON FUNCTION {name}() TO PUBLIC".encode())
    connection.execute(
        f"CREATE TRIGGER {quoted(on_insert)} BEFORE INSERT ON {table} FOR EACH ROW"
        f" WHEN (NEW.{hidden} IS NOT NULL) EXECUTE FUNCTION {name}()".encode()
    )
    connection.execute(
        f"CREATE TRIGGER {quoted(on_update)} BEFORE UPDATE ON {table} FOR EACH ROW WHEN (NEW.{hidden} IS NOT NULL AND ("
        f"{changes} OR ({_differs(hidden)} AND pg_catalog.current_setting('{SETTING}', true)"
        f" IS DISTINCT FROM '{move.column_id}'))) EXECUTE FUNCTION {name}()".encode()
    )
    for trigger in (on_insert, on_update):
        connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {quoted(trigger)}".encode())


def drop(connection: psycopg.Connection, move: Move) -> None:
    """Needs a transaction."""
    for name in names(move):
        connection.execute(f"DROP TRIGGER IF EXISTS {quoted(name)} ON {move.qualified_table}".encode())
    connection.execute(f"DROP FUNCTION IF EXISTS {function(move.column_id)}()".encode())


def check(connection: psycopg.Connection, move: Move) -> None:
    """Raises ConfigError when the hidden column may hold values that are not the present ones."""
    found: dict[str, str] = dict(connection.execute(_BEFORE_ROW, [move.relation_oid]).fetchall())
    own = names(move)
    if any(found.get(name) != "A" for name in own):
        raise ConfigError(
            f"{move.qualified_name}: the triggers that keep track of changes were disabled or dropped",
            hint="Begin anew: run it with --abandon, then again. ALTER TABLE ... DISABLE TRIGGER ALL does this,"
            " pg_restore --disable-triggers for one.",
            sqlstate="55000",
        )
    late = [name for name in found if not name.startswith(PREFIX) and name.encode() > own[0].encode()]
    if late:
        raise ConfigError(
            f"{move.qualified_name}: trigger {late[0]} fires behind those that keep track of changes",
            hint="BEFORE triggers fire in the order of their names: rename it.",
            sqlstate="55000",
        )


def _differs(column: str) -> str:
    """By image: every type has one. The operator would be written into dumps in a form that is read otherwise."""
    return f"pg_catalog.record_image_ne(ROW(OLD.{column}), ROW(NEW.{column}))"


def function(column_id: int) -> str:
    """The function of both, as SQL."""
    return f"pgcrypt.empty_{HIDDEN_PREFIX}{column_id}"
