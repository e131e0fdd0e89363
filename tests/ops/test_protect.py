from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError, PgcryptError, PolicyError
from pgcrypt_proxy.ops import catalog_loader, protect, verify
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.policy.model import KeyringSettings, Policy
from tests.ops.conftest import OpenProvider

BOTH = ("equality", "equality_casefold")


@pytest.fixture
def store(postgres, database, connection) -> Iterator[KeyringStore]:
    with connect(postgres.dsn(database)) as own:
        yield KeyringStore(own, OpenProvider())


@pytest.fixture
def users(connection) -> psycopg.Connection:
    connection.execute(
        """
        CREATE TABLE public.users (id int, email varchar(50) NOT NULL, note text);
        INSERT INTO public.users SELECT i, 'user' || i || '@example.com', 'n' || i FROM generate_series(1, 1200) i;
        """
    )
    return connection


def catalog_of(connection, *rules):
    policy = Policy(version=1, keyring=KeyringSettings("file", {}), rules=tuple(rules))
    return catalog_loader.load(connection, policy)


def rows(connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query).fetchall()


def indexes(connection) -> dict[str, str]:
    return dict(rows(connection, "SELECT indexname, indexdef FROM pg_catalog.pg_indexes WHERE schemaname = 'public'"))


VALUES = {
    "text": ["", "ada", "zoë", "x" * 5000],
    "varchar(20)": ["a ", "b"],
    "int2": [-1, 7],
    "int4": [-(2**31), 0, 41],
    "int8": [2**62],
    "bool": [True, False],
    "date": ["1970-01-01", "0044-03-15 BC", "infinity"],
    "timestamptz": ["2024-02-29 12:00:00.123456+02", "-infinity"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "numeric(10,2)": ["-12.50", "0.00", "99999999.99"],
    "numeric": ["1e-20", "NaN", "1.000"],
    "jsonb": ['{"a": [1, 2.50, null], "b": "\\u00e9"}', "[]"],
    "bytea": [b"", b"\x00\xff"],
    "real": ["1.1", "-0", "NaN", "1e-45"],
    "double precision": ["1e23", "Infinity"],
    "timestamp(3) without time zone": ["2024-01-01 00:00:00.1239", "infinity"],
    "time(2) without time zone": ["12:34:56.789", "24:00"],
    "time with time zone": ["12:34:56+02"],
    "timestamp(0) with time zone": ["2024-01-01 00:00:00.6+00"],
    "interval": ["1 year 2 mons -3 days 04:05:06.7"],
    "interval day to second(3)": ["1 day 00:00:01.23456"],
    "json": ['{"a" : 1, "a":2}'],
    "character(5)": ["ab", ""],
    "bpchar": ["ab ", ""],
    "name": ["x" * 63],
    "oid": ["4294967295"],
    "inet": ["1.2.3.4/24", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit(3)": ["101"],
    "bit varying(9)": ["10101010"],
    "text[]": ['{a,"b c",NULL}', "[0:1]={x,y}", "{}"],
    "numeric(5,1)[]": ["{{1.25,2},{3,NaN}}"],
    "character varying(3)[]": ["{abc,NULL}"],
    "public.mood": ["sad", "ok, fine"],
    "public.mood[]": ["{sad,NULL}"],
    'public."Odd ""name"': ["x"],
    "public.short": ["ab"],
    "public.short[]": ["{ab,c}"],
    "public.tags": ["{a,b}"],
    "public.nested": ["ab"],
}
TYPES = """
CREATE TYPE public.mood AS ENUM ('sad', 'ok, fine');
CREATE TYPE public."Odd ""name" AS ENUM ('x');
CREATE DOMAIN public.short AS varchar(3);
CREATE DOMAIN public.nested AS public.short;
CREATE DOMAIN public.tags AS text[];
"""


@pytest.mark.parametrize("name", VALUES)
def test_every_type_goes_there_and_back(connection, store, rule, name):
    connection.execute(TYPES)
    connection.execute(f"CREATE TABLE public.t (a serial, v {name}, b int)")
    for value in [*VALUES[name], None]:
        connection.execute(f"INSERT INTO public.t (v, b) VALUES (%s::{name}, 2)", [value])
    plain = rows(connection, "SELECT a, v::text, b FROM public.t ORDER BY a")
    ruled = rule("public.t.v", name, ("equality",) if name != "json" else ())
    done = protect.protect(connection, store, ruled, Options())
    assert (done.values, done.nulls) == (len(VALUES[name]), 1)
    (column,) = catalog_of(connection, ruled).protected_columns
    assert column.is_armed
    report = verify.verify(connection, store, Policy(1, KeyringSettings("file", {}), (ruled,)))
    assert report.is_sound, report
    assert rows(connection, "SELECT count(*) FROM public.t WHERE pgcrypt.is_envelope(v)") == [(len(VALUES[name]),)]
    protect.unprotect(connection, store, column, Options())
    assert rows(connection, "SELECT a, v::text, b FROM public.t ORDER BY a") == plain
    assert rows(connection, "SELECT count(*) FROM pgcrypt.columns") == [(0,)]
    (again,) = catalog_of(connection, ruled).protected_columns
    assert not again.is_armed


def test_the_column_keeps_its_number_and_not_null(users, store, rule):
    before = catalog_of(users).by_name["users"][0].columns
    protect.protect(users, store, rule("public.users.email", "varchar(50)", BOTH), Options())
    after = catalog_of(users, rule("public.users.email", "varchar(50)", BOTH)).by_name["users"][0].columns
    assert [(c.name, c.attribute_number) for c in after] == [(c.name, c.attribute_number) for c in before]
    with pytest.raises(psycopg.errors.NotNullViolation):
        users.execute("INSERT INTO public.users (id) VALUES (1)")
    assert rows(users, "SELECT count(*) FROM public.users WHERE note = 'n' || id") == [(1200,)]


def test_plaintext_is_refused_by_the_column_itself(users, store, rule):
    protect.protect(users, store, rule("public.users.email", "varchar(50)", ("equality",)), Options())
    without_term = bytes([1, 0]) + b"x" * 60
    for value in (b"ada@example.com", without_term):
        with pytest.raises(psycopg.errors.CheckViolation):
            users.execute("UPDATE public.users SET email = %s", [value])


def test_no_value_reaches_the_log_or_the_statistics(postgres, users, store, rule):
    users.execute("ANALYZE public.users")
    before = len(postgres.log_text())
    protect.protect(users, store, rule("public.users.email", "varchar(50)", ("equality",)), Options())
    assert "@example.com" not in postgres.log_text()[before:]
    assert "@example.com" not in str(rows(users, "SELECT * FROM pg_catalog.pg_stats WHERE tablename = 'users'"))
    path = rows(users, "SELECT pg_catalog.pg_relation_filepath('public.users')")[0][0]
    users.execute("CHECKPOINT")
    assert b"@example.com" not in (postgres.data_dir / str(path)).read_bytes()


def test_indexes_follow_the_column(users, store, rule):
    users.execute(
        """
        ALTER TABLE public.users ADD CONSTRAINT users_email_key UNIQUE (email);
        CREATE INDEX users_email_like ON public.users (email varchar_pattern_ops);
        CREATE INDEX plain ON public.users USING hash (email);
        CREATE INDEX pair ON public.users (note DESC, email) INCLUDE (id) WHERE email IS NOT NULL;
        CREATE UNIQUE INDEX folded ON public.users (lower(email));
        CREATE INDEX other ON public.users (id);
        """
    )
    ruled = rule("public.users.email", "varchar(50)", BOTH)
    with pytest.raises(ConfigError, match="--drop-pattern-indexes"):
        protect.protect(users, store, ruled, Options())
    done = protect.protect(users, store, ruled, Options(drop_pattern_indexes=True))
    assert done.dropped == ("users_email_like",)
    found = indexes(users)
    assert set(found) == {"users_email_key", "plain", "pair", "folded", "other"}
    assert "UNIQUE INDEX users_email_key ON public.users USING btree (pgcrypt.eq(" in found["users_email_key"]
    assert "USING hash (pgcrypt.eq(" in found["plain"]
    assert "(note DESC, pgcrypt.eq(" in found["pair"]
    assert "INCLUDE (id) WHERE (email IS NOT NULL)" in found["pair"]
    assert "UNIQUE INDEX folded ON public.users USING btree (pgcrypt.eqci(" in found["folded"]
    envelope = rows(users, "SELECT email FROM public.users LIMIT 1")[0][0]
    with pytest.raises(psycopg.errors.UniqueViolation):
        users.execute("INSERT INTO public.users (id, email) VALUES (0, %s)", [envelope])
    (column,) = catalog_of(users, ruled).protected_columns
    protect.unprotect(users, store, column, Options())
    found = indexes(users)
    assert "UNIQUE INDEX users_email_key ON public.users USING btree (email)" in found["users_email_key"]
    assert "(note DESC, email) INCLUDE (id) WHERE (email IS NOT NULL)" in found["pair"]
    assert "UNIQUE INDEX folded ON public.users USING btree (lower(" in found["folded"]


def test_a_searchable_column_gets_an_index(users, store, rule):
    done = protect.protect(users, store, rule("public.users.email", "varchar(50)", BOTH), Options())
    assert done.indexes == ("users_email_eq_idx", "users_email_eqci_idx")
    assert set(indexes(users)) == set(done.indexes)


def test_no_index_makes_none(users, store, rule):
    options = Options(make_indexes=False)
    protect.protect(users, store, rule("public.users.email", "varchar(50)", BOTH), options)
    assert indexes(users) == {}


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        ("ALTER TABLE public.users ALTER email SET DEFAULT 'none'", "has a DEFAULT"),
        ("ALTER TABLE public.users ADD CHECK (email <> '')", "the CHECK would see ciphertext"),
        ("ALTER TABLE public.users ADD PRIMARY KEY (email)", "primary key"),
        (
            "ALTER TABLE public.users ADD UNIQUE (email);"
            " CREATE TABLE public.o (e varchar(50) REFERENCES public.users (email))",
            "foreign keys",
        ),
        (
            "CREATE TABLE public.o (e varchar(50) PRIMARY KEY);"
            " INSERT INTO public.o SELECT email FROM public.users;"
            " ALTER TABLE public.users ADD FOREIGN KEY (email) REFERENCES public.o",
            "foreign keys",
        ),
        ("CREATE VIEW public.v AS SELECT email FROM public.users", "view"),
        ("CREATE STATISTICS public.s ON email, note FROM public.users", "statistics object"),
        ("CREATE TABLE public.c () INHERITS (public.users)", "inheritance"),
        ("CREATE INDEX ON public.users (initcap(email))", "expression"),
        ("CREATE INDEX ON public.users (id) WHERE email <> ''", "WHERE over email"),
        ("CREATE INDEX ON public.users USING brin (email)", "brin index"),
        ("CREATE INDEX ON public.users (id) INCLUDE (email)", "INCLUDEs email"),
        ("ALTER TABLE public.users ADD UNIQUE (email) DEFERRABLE", "DEFERRABLE"),
        ("ALTER TABLE public.users ADD EXCLUDE USING btree (email WITH =)", "exclusion constraint"),
        ("ALTER TABLE public.users ADD g text GENERATED ALWAYS AS (email || 'x') STORED", "generated column"),
        ("ALTER TABLE public.users ALTER email TYPE text", "write type: text"),
        ("CREATE POLICY p ON public.users USING (email = current_user)", "policy"),
        ("CREATE RULE r AS ON DELETE TO public.users DO INSTEAD NOTHING", "rewrite rules"),
        (
            "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            " CREATE TRIGGER t AFTER UPDATE OF email ON public.users EXECUTE FUNCTION public.f()",
            "trigger",
        ),
        (
            "CREATE FUNCTION public.g() RETURNS bigint LANGUAGE sql"
            " BEGIN ATOMIC SELECT count(email) FROM public.users; END",
            "function",
        ),
    ],
)
def test_what_would_break_is_refused_before_anything_changes(users, store, rule, prepare, reason):
    users.execute(prepare)
    before = rows(users, "SELECT id, email, note FROM public.users ORDER BY id")
    with pytest.raises(ConfigError) as caught:
        protect.protect(users, store, rule("public.users.email", "varchar(50)", ("equality",)), Options())
    assert reason in f"{caught.value.message}\n{caught.value.detail}"
    assert rows(users, "SELECT id, email, note FROM public.users ORDER BY id") == before
    assert rows(users, "SELECT count(*) FROM pgcrypt.columns") == [(0,)]


def test_an_index_without_search_is_refused(users, store, rule):
    users.execute("CREATE INDEX ON public.users (email)")
    with pytest.raises(ConfigError, match=r"search: \[equality\]"):
        protect.protect(users, store, rule("public.users.email", "varchar(50)"), Options())


def test_a_partitioned_table_is_refused(connection, store, rule):
    connection.execute("CREATE TABLE public.p (a text, b int) PARTITION BY LIST (b)")
    with pytest.raises(ConfigError, match="partitioned table"):
        protect.protect(connection, store, rule("public.p.a"), Options())


def test_a_big_table_is_refused(users, store, rule):
    with pytest.raises(ConfigError, match="more than 1,199 rows"):
        protect.protect(users, store, rule("public.users.email", "varchar(50)"), Options(max_rows=1199))


def test_a_null_default_goes_away(users, store, rule):
    users.execute("ALTER TABLE public.users ALTER note SET DEFAULT NULL::text")
    protect.protect(users, store, rule("public.users.note"), Options())
    users.execute("INSERT INTO public.users (id, email) VALUES (0, 'x')")
    assert rows(users, "SELECT note FROM public.users WHERE id = 0") == [(None,)]


def test_triggers_sleep_and_come_back_as_they_were(users, store, rule):
    users.execute(
        """
        CREATE TABLE public.seen (a text);
        CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN INSERT INTO public.seen VALUES (NEW.note); RETURN NEW; END';
        CREATE TRIGGER usual AFTER UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.f();
        CREATE TRIGGER off AFTER UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.f();
        CREATE TRIGGER always AFTER UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.f();
        ALTER TABLE public.users DISABLE TRIGGER off;
        ALTER TABLE public.users ENABLE ALWAYS TRIGGER always;
        """
    )
    done = protect.protect(users, store, rule("public.users.note"), Options())
    assert rows(users, "SELECT count(*) FROM public.seen") == [(0,)]
    assert rows(
        users,
        "SELECT tgname, tgenabled::text FROM pg_catalog.pg_trigger WHERE tgrelid = 'public.users'::regclass ORDER BY 1",
    ) == [
        ("always", "A"),
        ("off", "D"),
        ("usual", "O"),
    ]
    assert "trigger usual runs function f" in " ".join(done.warnings)


def test_a_lock_that_is_not_granted_ends_the_wait(postgres, database, users, store, rule):
    with postgres.connect(database) as other, other.transaction():
        other.execute("SELECT FROM public.users LIMIT 1")
        with pytest.raises(ConfigError, match="lock was not granted"):
            protect.protect(users, store, rule("public.users.email", "varchar(50)"), Options(lock_timeout_s=0.05))


def test_a_preview_changes_nothing_and_shows_the_steps(users, rule):
    users.execute("CREATE UNIQUE INDEX u ON public.users (email)")
    before = len(rows(users, "SELECT FROM pg_catalog.pg_class"))
    preview = protect.preview_protect(users, rule("public.users.email", "varchar(50)", ("equality",)), Options())
    assert preview.rows == 1200
    assert preview.assessment.obstacles == []
    assert any(step.startswith('DROP INDEX "public"."u"') for step in preview.steps)
    assert preview.steps[-1].startswith('CREATE UNIQUE INDEX "u"')
    assert len(rows(users, "SELECT FROM pg_catalog.pg_class")) == before


def test_odd_names_are_quoted(connection, store, rule):
    connection.execute('CREATE SCHEMA "My S"; CREATE TABLE "My S"."a""b" ("E mail" text UNIQUE, "select" int)')
    connection.execute("""INSERT INTO "My S"."a""b" VALUES ('ada', 1), (NULL, 2)""")
    ruled = rule("x.y.z", "text", ("equality",), schema="My S", table='a"b', column="E mail")
    done = protect.protect(connection, store, ruled, Options())
    assert (done.values, done.nulls) == (1, 1)
    (column,) = catalog_of(connection, ruled).protected_columns
    protect.unprotect(connection, store, column, Options())
    assert rows(connection, 'SELECT * FROM "My S"."a""b" ORDER BY 2') == [("ada", 1), (None, 2)]


def test_wrong_keys_change_nothing(postgres, database, users, store, rule):
    ruled = rule("public.users.email", "varchar(50)")
    protect.protect(users, store, ruled, Options())
    (column,) = catalog_of(users, ruled).protected_columns
    users.execute("UPDATE pgcrypt.meta SET keyring_id = pg_catalog.gen_random_uuid()")
    with pytest.raises(Exception, match="another context"):
        protect.unprotect(users, store, column, Options())
    assert rows(users, "SELECT count(*) FROM public.users WHERE pgcrypt.is_envelope(email)") == [(1200,)]


def test_a_damaged_row_is_named_by_its_place(users, store, rule):
    ruled = rule("public.users.email", "varchar(50)")
    protect.protect(users, store, ruled, Options())
    (column,) = catalog_of(users, ruled).protected_columns
    users.execute(
        "UPDATE public.users SET email = overlay(email::bytea PLACING '\\x00'::bytea FROM 30)::pgcrypt.sealed_1"
        " WHERE id = 5"
    )
    with pytest.raises(Exception) as caught:
        protect.unprotect(users, store, column, Options())
    assert "Row (" in str(caught.value.detail)  # type: ignore[attr-defined]


class TestTypesOfTheDatabase:
    @pytest.mark.parametrize(
        ("type_name", "message"),
        [
            ("public.positive", "domain public.positive has a CHECK"),
            ("public.positive[]", "domain public.positive has a CHECK"),
            ("public.above", "domain public.positive has a CHECK"),
            ("public.given", "domain public.given is NOT NULL"),
            ("public.pair", "the type is not supported"),
            ("money", "the type is not supported"),
            ("public.absent", "the type is not supported"),
            ("twice", 'there are several types "twice"'),
        ],
    )
    def test_what_cannot_be_checked_is_refused(self, connection, store, rule, type_name, message):
        connection.execute(
            """
            CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
            CREATE DOMAIN public.above AS public.positive;
            CREATE DOMAIN public.given AS int NOT NULL;
            CREATE TYPE public.pair AS (a int, b int);
            CREATE SCHEMA other;
            CREATE TYPE public.twice AS ENUM ('a');
            CREATE TYPE other.twice AS ENUM ('a');
            """
        )
        real = {"public.absent": "text", "twice": "public.twice"}.get(type_name, type_name)
        connection.execute(f"CREATE TABLE public.t (v {real})")
        with pytest.raises(PgcryptError) as caught:
            protect.protect(connection, store, rule("public.t.v", type_name), Options())
        assert message in caught.value.message
        assert rows(connection, "SELECT count(*) FROM pgcrypt.columns") == [(0,)]

    def test_money_says_why(self, connection, store, rule):
        connection.execute("CREATE TABLE public.t (v money)")
        with pytest.raises(PgcryptError) as caught:
            protect.protect(connection, store, rule("public.t.v", "money"), Options())
        assert "lc_monetary" in str(caught.value.hint)

    def test_a_domain_that_is_not_null_needs_a_column_that_is(self, connection, store, rule):
        connection.execute("CREATE DOMAIN public.given AS int NOT NULL")
        connection.execute("CREATE TABLE public.t (v public.given NOT NULL)")
        connection.execute("INSERT INTO public.t VALUES (1)")
        assert protect.protect(connection, store, rule("public.t.v", "public.given"), Options()).values == 1

    @pytest.mark.parametrize("name", ["json", "json[]"])
    def test_types_without_equality_cannot_be_searched(self, connection, store, rule, name):
        connection.execute(f"CREATE TABLE public.t (v {name})")
        with pytest.raises(PolicyError) as caught:
            protect.protect(connection, store, rule("public.t.v", name, ("equality",)), Options())
        assert "no equality" in caught.value.message

    def test_a_check_that_is_added_later_stops_the_catalog(self, connection, store, rule):
        connection.execute("CREATE DOMAIN public.short AS varchar(3); CREATE TABLE public.t (v public.short)")
        ruled = rule("public.t.v", "public.short")
        protect.protect(connection, store, ruled, Options())
        connection.execute("ALTER DOMAIN public.short ADD CHECK (VALUE <> 'abc')")
        with pytest.raises(PolicyError) as caught:
            catalog_of(connection, ruled)
        assert "has a CHECK" in caught.value.message

    def test_a_type_that_is_gone_stops_the_catalog(self, connection, store, rule):
        connection.execute("CREATE TYPE public.mood AS ENUM ('sad'); CREATE TABLE public.t (v public.mood)")
        ruled = rule("public.t.v", "public.mood")
        protect.protect(connection, store, ruled, Options())
        connection.execute("DROP TYPE public.mood")
        with pytest.raises(PolicyError) as caught:
            catalog_of(connection, ruled)
        assert "public.t.v is sealed with type public.mood" in caught.value.message

    def test_values_open_after_the_type_was_made_anew(self, connection, store, rule):
        """A restore gives types other OIDs; those in stored arrays are the old ones."""
        connection.execute("CREATE TYPE public.mood AS ENUM ('sad', 'ok'); CREATE TABLE public.t (v public.mood[])")
        connection.execute("INSERT INTO public.t VALUES ('{sad,ok}')")
        ruled = rule("public.t.v", "public.mood[]", ("equality",))
        protect.protect(connection, store, ruled, Options())
        connection.execute("DROP TYPE public.mood; CREATE TYPE public.mood AS ENUM ('sad', 'ok')")
        (column,) = catalog_of(connection, ruled).protected_columns
        protect.unprotect(connection, store, column, Options())
        assert rows(connection, "SELECT v::text FROM public.t") == [("{sad,ok}",)]
