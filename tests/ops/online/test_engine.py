"""Columns go there and back beside a table in use: values, order, indexes and everything else that a column has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import catalog_queries, protect, sealed_types
from pgcrypt_proxy.ops.key_destruction import destroy
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.online import change, moves, pace, shown_order
from pgcrypt_proxy.ops.online.pace import Pace
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.policy.model import KeyringSettings, Policy, Rule
from tests.ops.test_protect import TYPES, VALUES

BOTH = ("equality", "equality_casefold")


def rows(connection: psycopg.Connection, query: str) -> list[Any]:
    return connection.execute(query.encode()).fetchall()


def columns(connection: psycopg.Connection, table: str) -> list[str]:
    found = rows(
        connection,
        f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
    )
    return [name for (name,) in found]


ONLINE_TYPES = ["text", "varchar(20)", "int4", "jsonb", "json", "numeric", "bytea", "bool", "timestamptz", "text[]",
                "double precision", "character(5)", "public.mood", "public.mood[]", 'public."Odd ""name"']  # fmt: skip


@pytest.mark.parametrize("name", ONLINE_TYPES)
def test_types_go_there_and_back(connection, sealing, opening, verified, rule, name):
    connection.execute(TYPES)
    connection.execute(f"CREATE TABLE public.t (a serial, v {name}, b int)")
    for value in [*VALUES[name], None]:
        connection.execute(f"INSERT INTO public.t (v, b) VALUES (%s::{name}, 2)", [value])
    plain = rows(connection, "SELECT a, v::text, b FROM public.t ORDER BY a")
    ruled = rule("public.t.v", name, ("equality",) if name != "json" else ())
    assert sealing(ruled).to_the_end().values == len(VALUES[name])
    assert verified(ruled) == len(VALUES[name])
    assert rows(connection, "SELECT column_name, shown_after FROM pgcrypt.shown_order") == [("v", "a")]
    opening(ruled).to_the_end()
    assert rows(connection, "SELECT a, v::text, b FROM public.t ORDER BY a") == plain
    assert columns(connection, "public.t") == ["a", "b", "v"]
    for table in ("columns", "moves"):
        assert rows(connection, f"SELECT count(*) FROM pgcrypt.{table}") == [(0,)]
    assert rows(connection, "SELECT typname FROM pg_type WHERE typname ~ '^sealed_'") == []


def test_a_domain_with_constraints_is_sealed_and_not_opened(connection, sealing, opening, verified, rule):
    connection.execute(f"{TYPES} CREATE DOMAIN public.checked AS text CHECK (length(VALUE) < 9)")
    connection.execute("CREATE TABLE public.t (v public.short, w public.checked)")
    connection.execute("INSERT INTO public.t VALUES ('ab', 'cd')")
    for name, type_ in (("v", "public.short"), ("w", "public.checked")):
        ruled = rule(f"public.t.{name}", type_, ("equality",))
        if name == "v":
            sealing(ruled).to_the_end()
            assert verified(ruled) == 1
            opening(ruled).to_the_end()
        else:
            with pytest.raises(ConfigError, match="CHECK"):
                sealing(ruled).to_the_end()
    assert rows(connection, "SELECT v::text, w::text FROM public.t") == [("ab", "cd")]


@pytest.mark.parametrize("filled", [True, False])
def test_everything_that_a_column_has_comes_along(connection, sealing, opening, verified, rule, filled):
    connection.execute(
        """
        CREATE ROLE reader;
        CREATE TABLE public.users (id int PRIMARY KEY, email varchar(50) NOT NULL, note text);
        ALTER TABLE public.users ADD CONSTRAINT users_email_key UNIQUE (email);
        CREATE INDEX plain ON public.users USING hash (email);
        CREATE INDEX pair ON public.users (note DESC, email) INCLUDE (id) WHERE email IS NOT NULL;
        CREATE INDEX users_email_like ON public.users (email varchar_pattern_ops);
        CREATE INDEX other ON public.users (id);
        COMMENT ON COLUMN public.users.email IS 'it''s \\ theirs';
        ALTER TABLE public.users ALTER email SET STATISTICS 77, ALTER email SET (n_distinct = -0.5),
            ALTER email SET STORAGE EXTERNAL;
        GRANT SELECT (email), UPDATE (email) ON public.users TO PUBLIC;
        GRANT INSERT (email) ON public.users TO reader WITH GRANT OPTION;
        """
    )
    try:
        if filled:
            connection.execute(
                "INSERT INTO public.users SELECT i, 'User' || i || '@example.com', 'n' || i % 7"
                " FROM generate_series(1, 2500) i"
            )
        count = 2500 if filled else 0
        before, indexes = properties(connection), index_names(connection)
        ruled = rule("public.users.email", "varchar(50)", BOTH)
        with pytest.raises(ConfigError, match="--drop-pattern-indexes"):
            sealing(ruled).to_the_end()
        done = sealing(ruled, Options(drop_pattern_indexes=True)).to_the_end()
        assert verified(ruled) == done.values == count
        indexes -= {"users_email_like"}
        assert index_names(connection) == {*indexes, "users_email_eqci_idx"}
        assert properties(connection) == before
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute("INSERT INTO public.users (id) VALUES (0)")
        if filled:
            with pytest.raises(psycopg.errors.UniqueViolation, match="users_email_key"):
                connection.execute(
                    "INSERT INTO public.users (id, email) SELECT 0, email FROM public.users WHERE id = 1"
                )
        opening(ruled).to_the_end()
        assert properties(connection) == before
        assert index_names(connection) == {*indexes, "users_email_eqci_idx"}
        assert rows(connection, "SELECT count(*) FROM public.users WHERE email = 'User' || id || '@example.com'") == [
            (count,)
        ]
        if filled:
            with pytest.raises(psycopg.errors.UniqueViolation, match="users_email_key"):
                connection.execute("UPDATE public.users SET email = 'User3@example.com' WHERE id = 1")
    finally:
        connection.execute("DROP TABLE public.users; DROP ROLE reader")


def properties(connection: psycopg.Connection) -> list[Any]:
    return rows(
        connection,
        "SELECT attnotnull, attstattarget, attoptions, attstorage, col_description(attrelid, attnum),"
        " (SELECT array_agg(p::text ORDER BY p::text) FROM unnest(attacl) p),"
        " (SELECT array_agg(conname ORDER BY conname) FROM pg_constraint k WHERE k.conrelid = attrelid"
        "  AND contype = 'c')"
        " FROM pg_attribute WHERE attrelid = 'public.users'::regclass AND attname = 'email'",
    )


def index_names(connection: psycopg.Connection) -> set[str]:
    return {name for (name,) in rows(connection, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}


def test_wide_values_and_empty_ones(connection, sealing, opening, verified, rule):
    connection.execute("CREATE TABLE public.t (id int, v text)")
    connection.execute(
        "INSERT INTO public.t SELECT i, CASE i % 4 WHEN 0 THEN '' WHEN 1 THEN NULL WHEN 2 THEN repeat(md5(i::text),"
        " 20000) ELSE (SELECT string_agg(md5((i * n)::text), '') FROM generate_series(1, 9000) n) END"
        " FROM generate_series(1, 40) i"
    )
    digest = "SELECT id, md5(v), length(v) FROM public.t ORDER BY id"
    plain = rows(connection, digest)
    ruled = rule("public.t.v")
    sealing(ruled).to_the_end()
    assert verified(ruled) == 30
    opening(ruled).to_the_end()
    assert rows(connection, digest) == plain


def test_columns_stand_where_they_stood(connection, sealing, opening, rule):
    connection.execute("CREATE TABLE public.t (a text, b text, c text, d text)")
    for name in ("b", "a", "d", "c"):
        sealing(rule(f"public.t.{name}")).to_the_end()
    assert columns(connection, "public.t") == ["b", "a", "d", "c"]
    oid = rows(connection, "SELECT 'public.t'::regclass::oid::bigint")[0][0]
    assert shown_order.shown(connection, oid) == ["a", "b", "c", "d"]
    opening(rule("public.t.a")).to_the_end()
    assert shown_order.shown(connection, oid) == ["a", "b", "c", "d"]


def test_several_columns_of_a_table_at_once(connection, sealing, verified, rule):
    """An index over two of them is made anew with each."""
    connection.execute("CREATE TABLE public.t (a text, b text, n int); CREATE UNIQUE INDEX ab ON public.t (a, b)")
    connection.execute("INSERT INTO public.t SELECT i, i * 2, i FROM generate_series(1, 500) i")
    first, second = rule("public.t.a", "text", ("equality",)), rule("public.t.b", "text", ("equality",))
    begun = sealing(first)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(begun), "_swapped", lambda *_: (_ for _ in ()).throw(ConfigError("stopped")))
        with pytest.raises(ConfigError, match="stopped"):
            begun.to_the_end()
    sealing(second).to_the_end()
    sealing(first).to_the_end()
    assert verified(first, second) == 1000
    (definition,) = rows(connection, "SELECT indexdef FROM pg_indexes WHERE indexname = 'ab'")[0]
    assert "pgcrypt.eq((a)::bytea), pgcrypt.eq((b)::bytea)" in definition


@pytest.mark.parametrize(
    ("ddl", "says"),
    [
        ("CREATE VIEW public.w AS SELECT v FROM public.t", "drop the view first"),
        ("CREATE VIEW public.w AS SELECT * FROM public.t", "drop the view first"),
        ("ALTER TABLE public.t ADD CHECK (v <> '')", "the CHECK would see ciphertext"),
        ("ALTER TABLE public.t ADD UNIQUE (v); CREATE TABLE public.r (v text REFERENCES public.t (v))", "foreign keys"),
        ("ALTER TABLE public.t ADD g text GENERATED ALWAYS AS (v || 'x') STORED", "generated column"),
        ("CREATE STATISTICS public.s ON v, n FROM public.t", "statistics object"),
        ("CREATE POLICY p ON public.t USING (v = 'a')", "policy would see ciphertext"),
        ("CREATE TABLE public.c () INHERITS (public.t)", "takes part in inheritance"),
        ("ALTER TABLE public.t ALTER v SET DEFAULT 'x'", "it has a DEFAULT"),
        ("ALTER TABLE public.t ADD PRIMARY KEY (v)", "part of the primary key"),
        ("CREATE UNIQUE INDEX i ON public.t (v, n) WHERE v IS NULL", "UNIQUE WHERE v IS NULL"),
        ("CREATE INDEX i ON public.t (n) WHERE v > 'a'", "has a WHERE over v"),
        ("CREATE SEQUENCE public.s OWNED BY public.t.v", "OWNED BY NONE"),
        (
            "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            "CREATE TRIGGER g BEFORE UPDATE OF v ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()",
            "make it a trigger that does not name the column",
        ),
        (
            "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            'CREATE TRIGGER "ü" BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()',
            "fires behind those",
        ),
        (
            "DROP TABLE public.t; CREATE TABLE public.t (v text, n int) PARTITION BY RANGE (n);"
            "CREATE TABLE public.p PARTITION OF public.t DEFAULT",
            "only ordinary tables",
        ),
    ],
)
def test_what_is_in_the_way_is_said_before_anything_changes(connection, sealing, rule, ddl, says):
    connection.execute("CREATE TABLE public.t (v text, n int)")
    connection.execute(ddl)
    with pytest.raises(ConfigError) as caught:
        sealing(rule("public.t.v", "text", ("equality",))).to_the_end()
    assert says in f"{caught.value.message} {caught.value.detail}"
    assert rows(connection, "SELECT count(*) FROM pgcrypt.moves") == [(0,)]
    assert rows(connection, "SELECT count(*) FROM pgcrypt.columns") == [(0,)]


def test_nulls_not_distinct_is_in_the_way(connection, sealing, rule):
    if connection.info.server_version < 150000:
        pytest.skip("not applicable: PostgreSQL 15")
    connection.execute("CREATE TABLE public.t (v text, UNIQUE NULLS NOT DISTINCT (v))")
    with pytest.raises(ConfigError, match="NULLS NOT DISTINCT"):
        sealing(rule("public.t.v", "text", ("equality",))).to_the_end()


def test_there_must_be_such_a_column(connection, sealing, opening, rule):
    connection.execute("CREATE TABLE public.t (v text)")
    with pytest.raises(ConfigError, match=r"no table public\.u"):
        sealing(rule("public.u.v")).to_the_end()
    with pytest.raises(ConfigError, match=r"no column public\.t\.w"):
        sealing(rule("public.t.w")).to_the_end()
    with pytest.raises(ConfigError, match="is not sealed"):
        opening(rule("public.t.v")).to_the_end()
    assert (opening(rule("public.t.v")).is_done(), sealing(rule("public.t.v")).is_done()) == (True, False)
    with pytest.raises(ConfigError, match="its type is text"):
        sealing(rule("public.t.v", "int4")).to_the_end()


def begun(connection: psycopg.Connection, run: Any, monkeypatch: pytest.MonkeyPatch) -> moves.Move:
    """Filled, and stopped before the swap."""

    def stop(*_: object) -> None:
        raise ConfigError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(type(run), "_swapped", stop)
        with pytest.raises(ConfigError, match="stopped here"):
            run.to_the_end()
    (move,) = moves.every(connection)
    return move


@pytest.mark.parametrize("is_sealing", [True, False])
def test_abandoned(connection, store, sealing, opening, verified, rule, monkeypatch, is_sealing):
    connection.execute("CREATE TABLE public.t (a int, v text); INSERT INTO public.t VALUES (1, 'buried-v'), (2, NULL)")
    ruled: Rule = rule("public.t.v", "text", ("equality",))
    if not is_sealing:
        protect.protect(connection, store, ruled, Options())
    kind = sealing if is_sealing else opening
    begun(connection, kind(ruled), monkeypatch)
    other = opening if is_sealing else sealing
    with pytest.raises(ConfigError, match="is on its way by"):
        other(ruled).to_the_end()
    kind(ruled).abandon()
    assert columns(connection, "public.t") == ["a", "v"]
    assert rows(connection, "SELECT count(*) FROM pgcrypt.moves") == [(0,)]
    assert rows(connection, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.t'::regclass") == [(0,)]
    if is_sealing:
        assert rows(connection, "SELECT a, v FROM public.t ORDER BY a") == [(1, "buried-v"), (2, None)]
        assert rows(connection, "SELECT count(*) FROM pgcrypt.columns") == [(0,)]
    else:
        assert verified(ruled) == 1
    with pytest.raises(ConfigError, match="is not on its way"):
        kind(ruled).abandon()
    kind(ruled).to_the_end()


@pytest.mark.parametrize("changed", [{"search": frozenset()}, {"data_class": "other"}, {"index_domain": "other"}])
def test_the_rule_is_the_same_to_the_end(connection, sealing, verified, rule, monkeypatch, changed):
    connection.execute("CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('a')")
    ruled = rule("public.t.v", "text", ("equality",))
    begun(connection, sealing(ruled), monkeypatch)
    with pytest.raises(ConfigError, match="the rule was changed while"):
        sealing(replace(ruled, **changed)).to_the_end()
    sealing(ruled).to_the_end()
    assert verified(ruled) == 1


def test_a_rotated_key_is_the_new_values_key(connection, store, sealing, verified, rule, monkeypatch):
    """The one before can be destroyed although the type is no domain over pgcrypt.sealed; then nothing names it."""
    connection.execute("CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('a')")
    ruled = rule("public.t.v", "text", ("equality",))
    begun(connection, sealing(ruled), monkeypatch)
    old = rows(connection, "SELECT pgcrypt_next_1::bytea FROM public.t")[0][0]
    rotate_deks(store, sleep=lambda _: None)
    (key,) = [key for (key,) in rows(connection, "SELECT id FROM pgcrypt.keyring WHERE state = 'retired'")]
    with pytest.raises(ConfigError, match="is needed by 1 stored envelopes"):
        destroy(connection, key)
    connection.execute("UPDATE public.t SET v = 'b'")
    destroy(connection, key)
    sealing(ruled).to_the_end()
    assert verified(ruled) == 1
    with pytest.raises(psycopg.errors.CheckViolation, match=f"key_{key}_is_destroyed"):
        connection.execute("UPDATE public.t SET v = %s", [old])
    for bad in (b"plaintext of more than thirty-four bytes", b"\x01\x00" + bytes(32)):
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE public.t SET v = %s", [bad])


def test_what_is_made_is_compared(connection, sealing, rule, monkeypatch):
    connection.execute("CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('a')")
    functions = change.Change.functions

    def broken(self: change.Change, keyring: Any) -> Any:
        make, reopen = functions(self, keyring)
        return lambda value: (value, make(value + b"!")[1]), reopen

    monkeypatch.setattr(change.Change, "functions", broken)
    with pytest.raises(Exception, match="a new value is not the old one"):
        sealing(rule("public.t.v")).to_the_end()
    assert rows(connection, "SELECT pgcrypt_next_1 FROM public.t") == [(None,)]


def test_the_catalog_reads_a_column_on_its_way(connection, sealing, rule, monkeypatch):
    connection.execute("CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('a')")
    begun(connection, sealing(rule("public.t.v")), monkeypatch)
    (move,) = catalog_queries.fetch(connection).moves
    assert (move.column_name, move.direction, move.state) == ("v", "seal", "filling")


def test_a_table_that_is_dropped_leaves_nothing(connection, sealing, verified, rule, monkeypatch):
    connection.execute("CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('a')")
    begun(connection, sealing(rule("public.t.v")), monkeypatch)
    connection.execute("DROP TABLE public.t; CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('a')")
    sealing(rule("public.t.v")).to_the_end()
    assert verified(rule("public.t.v")) == 1
    assert rows(connection, "SELECT id FROM pgcrypt.columns") == [(2,)]
    assert rows(connection, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'empty%'") == [(0,)]


def test_a_type_that_waited_for_the_column_goes(connection, sealing, verified, rule):
    ruled = rule("public.t.v", "text", ("equality",))
    sealed_types.prepare(connection, Policy(1, KeyringSettings("file", {}), (ruled,)))
    connection.execute("CREATE TABLE public.t (v text); INSERT INTO public.t VALUES ('a')")
    sealing(ruled).to_the_end()
    assert verified(ruled) == 1
    assert rows(connection, "SELECT id FROM pgcrypt.columns") == [(2,)]
    assert rows(connection, "SELECT typname FROM pg_type WHERE typname LIKE 'sealed_1'") == []


def test_ordinary_roles_write_meanwhile(postgres, connection, sealing, verified, rule, monkeypatch):
    """Whatever their search_path holds, and with rights on the old column only."""
    connection.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, v text); INSERT INTO public.t VALUES (1, 'a'), (2, 'b')"
    )
    begun(connection, sealing(rule("public.t.v")), monkeypatch)
    connection.execute("CREATE ROLE clerk; GRANT SELECT (id, v), INSERT (id, v), UPDATE (v) ON public.t TO clerk")
    try:
        connection.execute("CREATE SCHEMA clerk AUTHORIZATION clerk; SET ROLE clerk; SET search_path = clerk, public")
        connection.execute("CREATE FUNCTION is_envelope(bytea) RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1'")
        connection.execute("UPDATE t SET v = 'c' WHERE id = 1; INSERT INTO t VALUES (3, 'd')")
        connection.execute("RESET ROLE; RESET search_path")
        assert rows(connection, "SELECT id FROM public.t WHERE pgcrypt_next_1 IS NULL ORDER BY 1") == [(1,), (3,)]
        sealing(rule("public.t.v")).to_the_end()
        assert verified(rule("public.t.v")) == 3
    finally:
        connection.execute("RESET ROLE; DROP OWNED BY clerk CASCADE; DROP ROLE clerk")


def test_triggers_of_the_application_do_not_fire(connection, sealing, verified, rule):
    connection.execute(
        "CREATE TABLE public.t (v text, note text DEFAULT ''); INSERT INTO public.t VALUES ('a');"
        "CREATE FUNCTION public.mark() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.note := 'touched'; RETURN NEW; END $$;"
        "CREATE TRIGGER mark BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.mark()"
    )
    sealing(rule("public.t.v")).to_the_end()
    assert rows(connection, "SELECT note FROM public.t") == [("",)]
    assert verified(rule("public.t.v")) == 1


def test_a_trigger_that_changes_the_value_is_seen(connection, sealing, store, verified, rule, monkeypatch):
    connection.execute(
        "CREATE TABLE public.t (v text, note text); INSERT INTO public.t VALUES ('a');"
        "CREATE FUNCTION public.twist() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.v := reverse(NEW.note); RETURN NEW; END $$;"
        "CREATE TRIGGER twist BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.twist()"
    )
    begun(connection, sealing(rule("public.t.v")), monkeypatch)
    connection.execute("UPDATE public.t SET note = 'xyz'")
    assert rows(connection, "SELECT v, pgcrypt_next_1 FROM public.t") == [("zyx", None)]
    sealing(rule("public.t.v")).to_the_end()
    assert verified(rule("public.t.v")) == 1


def test_standbys_are_waited_for(connection, sealing, rule, monkeypatch):
    connection.execute("CREATE TABLE public.t (v text); INSERT INTO public.t SELECT i FROM generate_series(1, 100) i")
    lags, slept = [3.0, 2.5, 0.5], []
    monkeypatch.setattr(pace, "lag", lambda _: lags.pop(0) if lags else 0.0)
    sealing(rule("public.t.v"), pace=Pace(max_lag_s=1, sleep=slept.append)).to_the_end()
    assert slept[:2] == [pace.LAG_EVERY_S] * 2
    assert lags == []


def test_the_lag_is_zero_without_standbys(connection):
    assert pace.lag(connection) == 0.0
