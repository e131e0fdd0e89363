from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy.crypto.keyring import SealContext, wrap_context
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import audit, install
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from tests.ops.conftest import OpenProvider


def envelope(flags: int, terms: int, plaintext_bytes: int = 0) -> bytes:
    return bytes([1, flags]) + b"\0\0\0\7" + b"E" * 16 * terms + b"n" * 12 + b"c" * plaintext_bytes + b"t" * 16


def value(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def test_a_second_init_changes_nothing(connection):
    keyring_id = value(connection, "SELECT keyring_id FROM pgcrypt.meta")
    again = install.install(connection)
    assert again.is_unchanged
    assert install.pending_sql(connection) == []
    assert value(connection, "SELECT keyring_id FROM pgcrypt.meta") == keyring_id


def test_the_dry_run_is_all_that_runs(postgres, database):
    with connect(postgres.dsn(database)) as connection:
        for text in install.pending_sql(connection):
            connection.execute(text.encode())
        assert install.install(connection).is_unchanged


def test_a_newer_schema_is_refused(connection):
    connection.execute("UPDATE pgcrypt.meta SET schema_version = 99")
    with pytest.raises(ConfigError, match="version 99"):
        install.install(connection)


def test_a_role_without_privileges_is_told_which(postgres, database):
    with postgres.connect() as admin:
        admin.execute(f"DROP ROLE IF EXISTS plain_{database}")
        admin.execute(f"CREATE ROLE plain_{database} LOGIN")
    try:
        with (
            connect(postgres.dsn(database, f"plain_{database}")) as connection,
            pytest.raises(ConfigError, match=f"role plain_{database} may not create schema") as caught,
        ):
            install.install(connection)
        assert "GRANT CREATE ON DATABASE" in str(caught.value.hint)
    finally:
        with postgres.connect() as admin:
            admin.execute(f"DROP ROLE plain_{database}")


def test_a_database_owner_gets_all_but_the_event_trigger(postgres, database):
    role = f"owner_{database}"
    with postgres.connect() as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"ALTER DATABASE {database} OWNER TO {role}")
    try:
        with connect(postgres.dsn(database, role)) as connection:
            done = install.install(connection)
        assert not done.has_event_trigger
        assert "event trigger" in done.notes[0]
    finally:
        with postgres.connect() as admin:
            admin.execute(f"ALTER DATABASE {database} OWNER TO postgres")
        with postgres.connect(database) as admin:
            admin.execute("DROP SCHEMA pgcrypt CASCADE")
            admin.execute(f"DROP ROLE {role}")


def test_a_foreign_schema_of_that_name_is_left_alone(postgres, database):
    with connect(postgres.dsn(database)) as connection:
        connection.execute("CREATE SCHEMA pgcrypt")
        with pytest.raises(ConfigError, match="already there"):
            install.install(connection)


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (envelope(0, 0), True),
        (envelope(0, 0)[:-1], False),
        (envelope(1, 1), True),
        (envelope(1, 1)[:-1], False),
        (envelope(3, 2), True),
        (envelope(3, 2)[:-1], False),
        (envelope(0xF2, 1, 5), True),
        (envelope(4, 0, 64), False),
        (envelope(8, 0, 64), False),
        (b"\2" + envelope(0, 0)[1:], False),
        (b"", False),
        (b"ada@example.com", False),
        (None, None),
    ],
)
def test_is_envelope(connection, data, is_one):
    assert value(connection, "SELECT pgcrypt.is_envelope(%s)", data) is is_one


def test_terms_are_found_where_the_flags_say(connection):
    one, two = b"1" * 16, b"2" * 16
    head, rest = b"\0\0\0\7", b"x" * 28
    both = b"\1\x13" + head + one + two + rest
    folded = b"\1\x12" + head + two + rest
    exact = b"\1\x11" + head + one + rest
    terms = "SELECT pgcrypt.eq(%(e)s), pgcrypt.eqci(%(e)s)"
    assert connection.execute(terms, {"e": both}).fetchone() == (one, two)
    assert connection.execute(terms, {"e": folded}).fetchone() == (None, two)
    assert connection.execute(terms, {"e": exact}).fetchone() == (one, None)


def test_an_expression_index_serves_the_term(connection):
    connection.execute("CREATE TABLE public.t (a pgcrypt.sealed)")
    connection.execute("CREATE INDEX t_a ON public.t (pgcrypt.eq(a))")
    connection.execute("SET enable_seqscan = off")
    plan = connection.execute(
        "EXPLAIN SELECT a FROM public.t WHERE pgcrypt.eq(a) OPERATOR(pg_catalog.=) '\\x00'::pg_catalog.bytea"
    ).fetchall()
    assert "t_a" in str(plan)


def test_everybody_may_use_the_functions_and_nobody_reads_the_keyring(postgres, database, connection):
    connection.execute("CREATE TABLE public.t (a pgcrypt.sealed)")
    connection.execute("GRANT ALL ON public.t TO PUBLIC")
    role = f"app_{database}"
    connection.execute(f"CREATE ROLE {role} LOGIN")
    try:
        with postgres.connect(database, role) as app:
            app.execute("INSERT INTO public.t VALUES (%s)", [envelope(0, 0)])
            assert value(app, "SELECT pgcrypt.eq(a) FROM public.t") is None
            for table in ("keyring", "columns", "meta"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(f"SELECT * FROM pgcrypt.{table}")
    finally:
        connection.execute("DROP TABLE public.t")
        connection.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("statement", "is_told"),
    [
        ("CREATE TABLE public.t (a int)", True),
        ("ALTER TABLE public.old ADD b int", True),
        ("DROP TABLE public.old", True),
        ("CREATE TEMP TABLE t (a int)", False),
        ("COMMENT ON TABLE public.old IS 'x'", False),
        ("CREATE INDEX ON public.old (a)", False),
    ],
)
def test_schema_changes_are_told(postgres, database, connection, statement, is_told):
    with postgres.connect(database) as writer:
        writer.execute("CREATE TABLE public.old (a int)")
        connection.execute("LISTEN pgcrypt_catalog")
        list(connection.notifies(timeout=0))
        writer.execute(statement)
    heard = [n.channel for n in connection.notifies(timeout=0.3, stop_after=1)]
    assert heard == (["pgcrypt_catalog"] if is_told else [])


def test_version_1_is_upgraded_with_its_keys_and_values(postgres, database):
    context = SealContext(1, "pii")
    with connect(postgres.dsn(database)) as connection:
        connection.execute(install.sql_text("schema.sql").encode())
        assert install.installed_version(connection) == 1
        provider = OpenProvider()
        keyring_id = value(connection, "SELECT keyring_id FROM pgcrypt.meta").bytes
        for number, (kind, data_class, state) in enumerate(
            [("index", "", "active"), ("dek", "pii", "retired"), ("dek", "pii", "active")], 1
        ):
            wrapped = provider.wrap(bytes([number]) * 32, wrap_context(keyring_id, kind, data_class, "", number))
            connection.execute(
                "INSERT INTO pgcrypt.keyring (kind, data_class, generation, state, provider, kek_id, wrapped, seals)"
                " VALUES (%s, %s, %s, %s, 'open', 'open:1', %s, 17)",
                [kind, data_class, number, state, wrapped],
            )
        connection.execute(
            "INSERT INTO pgcrypt.columns (logical_type, data_class, search, schema_name, table_name, column_name)"
            " VALUES ('text', 'pii', '{}', 's', 't', 'a'), ('text', 'pii', '{equality}', 's', 't', 'b')"
        )
        before = connection.execute("SELECT * FROM pgcrypt.keyring ORDER BY id").fetchall()
        store = KeyringStore(connection, provider)
        with pytest.raises(ConfigError, match="one of another version"):
            store.unlock()
        assert install.pending_sql(connection)[0].startswith("-- Schema version 2")
        done = install.install(connection)
        assert (done.version_before, done.version) == (1, install.SCHEMA_VERSION)
        assert install.install(connection).is_unchanged
        after = connection.execute("SELECT * FROM pgcrypt.keyring ORDER BY id").fetchall()
        assert [row[: len(before[0])] for row in after] == before
        assert value(connection, "SELECT bool_and(activated_at = created_at) FROM pgcrypt.keyring") is True
        generations = connection.execute("SELECT index_generation FROM pgcrypt.columns ORDER BY id").fetchall()
        assert generations == [(0,), (1,)]
        keyring = store.unlock_with_grants({"pii": 1})
        assert keyring.open(context, keyring.seal(context, b"ada")) == b"ada"
        assert value(connection, "SELECT count(*) FROM pgcrypt.keyring") == 3
        assert [e.event for e in audit.events(connection)] == ["key_accessed"]


@pytest.mark.parametrize(
    ("statement", "is_told"),
    [
        ("UPDATE pgcrypt.keyring SET state = 'retired' WHERE kind = 'dek'", True),
        ("UPDATE pgcrypt.keyring SET wrapped = '\\x00'", True),
        ("UPDATE pgcrypt.keyring SET seals = seals + 1", False),
    ],
)
def test_changes_of_the_keyring_are_told(connection, statement, is_told):
    KeyringStore(connection, OpenProvider()).ensure_keys(["pii"])
    connection.execute("LISTEN pgcrypt_keyring")
    connection.execute(statement.encode())
    heard = [n.channel for n in connection.notifies(timeout=0.3, stop_after=1)]
    assert heard == (["pgcrypt_keyring"] if is_told else [])
