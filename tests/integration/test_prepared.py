"""SQL's PREPARE and EXECUTE through the proxy: names are shared with the protocol, values stay here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
import pytest
from psycopg import errors, pq

from tests.helpers.proxies import ProtectedDatabase
from tests.helpers.ready import readable

FIND = "SELECT id, email FROM users WHERE email = $1"


@pytest.fixture
def client(db: ProtectedDatabase) -> Iterator[psycopg.Connection]:
    with db.connect() as connection:
        connection.execute("INSERT INTO users (id, email) VALUES (1, 'planted-a'), (2, 'planted-b')")
        yield connection


def stored(db: ProtectedDatabase, query: str) -> list[tuple[object, ...]]:
    with db.direct() as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


Answer = tuple[str | None, list[tuple[bytes | None, ...]]]


def result_of(connection: pq.abc.PGconn) -> pq.abc.PGresult:
    """The last result of what was sent. Never blocks in libpq, which would keep the proxy's thread from running."""
    found: list[pq.abc.PGresult] = []
    while True:
        while connection.is_busy():
            assert readable([connection.socket], 30), "no answer"
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            return found[-1]
        found.append(result)


def answer(result: pq.abc.PGresult) -> Answer:
    """(SQLSTATE or None, rows)"""
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    rows = [tuple(result.get_value(row, n) for n in range(result.nfields)) for row in range(result.ntuples)]
    return state.decode() if state else None, rows


def run(client: psycopg.Connection, sql: str) -> Answer:
    """The answer to a Query."""
    client.pgconn.send_query(sql.encode())
    return answer(result_of(client.pgconn))


def prepare(client: psycopg.Connection, name: str, sql: str) -> Answer:
    client.pgconn.send_prepare(name.encode(), sql.encode())
    return answer(result_of(client.pgconn))


def bind(client: psycopg.Connection, name: str, *values: bytes, result_format: int = 0) -> Answer:
    client.pgconn.send_query_prepared(name.encode(), values, result_format=result_format)
    return answer(result_of(client.pgconn))


def describe(client: psycopg.Connection, name: str) -> pq.abc.PGresult:
    client.pgconn.send_describe_prepared(name.encode())
    return result_of(client.pgconn)


def unnamed(client: psycopg.Connection, sql: str, *values: bytes, types: Sequence[int] = ()) -> Answer:
    client.pgconn.send_query_params(sql.encode(), values, param_types=types)
    return answer(result_of(client.pgconn))


def test_execute_of_a_statement_prepared_by_the_protocol(client: psycopg.Connection) -> None:
    assert prepare(client, "s", FIND)[0] is None
    assert run(client, "EXECUTE s ('planted-b')") == (None, [(b"2", b"planted-b")])
    assert run(client, "DEALLOCATE s")[0] is None
    assert run(client, "EXECUTE s ('planted-b')")[0] == "26000"


@pytest.mark.parametrize("types", ["", " (text)"])
@pytest.mark.parametrize("result_format", [0, 1])
def test_bind_of_a_statement_prepared_by_sql(client: psycopg.Connection, types: str, result_format: int) -> None:
    assert run(client, f"PREPARE s{types} AS {FIND}")[0] is None
    described = describe(client, "s")
    assert [described.param_type(n) for n in range(described.nparams)] == [25]
    assert [described.ftype(n) for n in range(described.nfields)] == [20, 25]
    assert bind(client, "s", b"planted-a", result_format=result_format)[1][0][1] == b"planted-a"
    run(client, "DEALLOCATE s")
    assert bind(client, "s", b"planted-a")[0] == "26000"


def test_a_prepare_that_fails_leaves_the_name_as_it_was(client: psycopg.Connection) -> None:
    assert run(client, f"PREPARE s AS {FIND}")[0] is None
    assert run(client, "PREPARE s AS SELECT name FROM items WHERE name = $1")[0] == "42P05"
    assert run(client, "PREPARE s AS SELECT upper(email) FROM users")[0] == "0A000"
    assert run(client, "EXECUTE s ('planted-a')") == (None, [(b"1", b"planted-a")])
    assert run(client, "BEGIN; DEALLOCATE s; ROLLBACK")[0] is None
    assert run(client, "EXECUTE s ('planted-a')")[0] == "26000"


def test_statements_of_the_proxys_own_are_out_of_reach(client: psycopg.Connection) -> None:
    for sql in (f"PREPARE pgcrypt_proxy_x AS {FIND}", "EXECUTE pgcrypt_proxy_x ('planted-a')"):
        assert run(client, sql)[0] == "42602"
        assert unnamed(client, sql)[0] == "42602"


def test_what_the_server_shows_and_logs(db: ProtectedDatabase, client: psycopg.Connection) -> None:
    for sql in (
        "PREPARE s AS SELECT id FROM users WHERE email IN ('planted-shown', $1)",
        "EXECUTE s ('planted-a')",
        "EXECUTE s ('planted-a' || 'x')",
        "EXECUTE unknown ('planted-shown')",
        "EXPLAIN EXECUTE s ('planted-shown')",
        "PREPARE t AS INSERT INTO users (email) VALUES ($1); EXECUTE t ('planted-shown'); EXECUTE t ('planted-shown')",
    ):
        run(client, sql)
    shown = client.execute("SELECT statement FROM pg_prepared_statements WHERE from_sql").fetchall()
    assert len(shown) == 2
    assert "planted" not in str(shown)
    assert "planted-shown" not in db.logged()


def test_an_execute_that_was_planned_for_another_statement_is_refused(
    db: ProtectedDatabase, client: psycopg.Connection
) -> None:
    with db.direct() as direct:
        direct.execute("INSERT INTO items VALUES (1, 'nut')")
    assert run(client, "PREPARE p AS UPDATE items SET name = $1")[0] is None
    assert prepare(client, "s", "EXECUTE p ('late')")[0] is None
    assert run(client, "DEALLOCATE p")[0] is None
    assert run(client, "PREPARE p AS UPDATE users SET email = $1 WHERE id = 1")[0] is None
    assert bind(client, "s")[0] == "0A000"
    assert answer(describe(client, "s"))[0] == "0A000"
    # the other way round an envelope would go into a plain column
    assert prepare(client, "t", "EXECUTE p ('planted-c')")[0] is None
    assert bind(client, "t")[0] is None
    run(client, "DEALLOCATE ALL")
    assert prepare(client, "t", "EXECUTE p ('planted-c')")[0] is None
    assert run(client, "PREPARE p AS UPDATE items SET name = $1")[0] is None
    assert bind(client, "t")[0] == "0A000"
    assert run(client, "SELECT email FROM users WHERE id = 1") == (None, [(b"planted-c",)])
    assert stored(db, "SELECT name FROM items") == [("nut",)]


def test_prepare_and_execute_in_one_pipeline(client: psycopg.Connection) -> None:
    with client.pipeline():
        client.execute(f"PREPARE p AS {FIND}")
        one = client.execute("EXECUTE p ('planted-a')")
        client.execute("DEALLOCATE p")
        client.execute("PREPARE p AS SELECT name FROM items WHERE name = $1")
        other = client.execute("EXECUTE p ('nothing')")
    assert (one.fetchall(), other.fetchall()) == ([(1, "planted-a")], [])
    with client.pipeline():
        client.execute("DEALLOCATE p")
        gone = client.execute("EXECUTE p ('nothing')")
        with pytest.raises(errors.InvalidSqlStatementName):
            gone.fetchall()
    assert run(client, "EXECUTE p ('nothing')")[0] == "26000"


def test_parameters_declared_for_prepare_stay_here(db: ProtectedDatabase, client: psycopg.Connection) -> None:
    assert unnamed(client, f"PREPARE p AS {FIND}", b"planted-z", types=[25])[0] is None
    assert unnamed(client, "EXECUTE p ($1)", b"planted-z", types=[25])[0] == "0A000"
    assert run(client, "EXECUTE p ('planted-b')") == (None, [(b"2", b"planted-b")])


def test_ambiguous_names_are_asked_for_when_it_is_executed(client: psycopg.Connection) -> None:
    client.execute("INSERT INTO other.users VALUES (7, 'plain')")
    client.execute("SET search_path = other")
    assert run(client, "PREPARE p AS SELECT email FROM users")[0] is None
    assert run(client, "PREPARE q AS SELECT email FROM public.users ORDER BY id")[0] is None
    assert run(client, "EXECUTE p; EXECUTE q")[1] == [(b"planted-a",), (b"planted-b",)]
    client.execute("SET search_path = public")
    assert run(client, "EXECUTE p")[0] == "0A000"
    assert run(client, "EXECUTE q")[1] == [(b"planted-a",), (b"planted-b",)]


def test_a_setting_changed_by_execute_is_known_before_dates_are_read(client: psycopg.Connection) -> None:
    assert run(client, "PREPARE s AS SELECT set_config('DateStyle', $1, false)")[0] is None
    assert run(client, "EXECUTE s ('SQL, DMY'); UPDATE users SET born = '01/02/2003' WHERE id = 1")[0] == "0A000"
    assert run(client, "EXECUTE s ('SQL, DMY')")[0] is None
    assert run(client, "PREPARE u AS UPDATE users SET born = $1 WHERE id = 1")[0] is None
    assert run(client, "EXECUTE u ('01/02/2003')")[0] is None
    assert run(client, "SELECT born FROM users WHERE id = 1") == (None, [(b"01/02/2003",)])
    client.execute("SET DateStyle = 'ISO'")
    assert run(client, "SELECT born FROM users WHERE id = 1") == (None, [(b"2003-02-01",)])


@pytest.mark.parametrize("hold", ["", " WITH HOLD"])
def test_a_cursor_is_read_in_other_batches(client: psycopg.Connection, hold: str) -> None:
    client.execute("BEGIN")
    client.execute(f"DECLARE c BINARY CURSOR{hold} FOR SELECT id, email FROM users ORDER BY id")
    assert unnamed(client, "FETCH 1 FROM c")[1][0][1] == b"planted-a"
    if hold:
        client.execute("COMMIT")
    assert run(client, "FETCH 1 FROM c")[1][0][1] == b"planted-b"
    assert prepare(client, "f", "FETCH 1 FROM c")[0] is None
    assert bind(client, "f") == (None, [])
    client.execute("ROLLBACK")
