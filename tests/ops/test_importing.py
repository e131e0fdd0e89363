"""Columns that others encrypted become protected ones: all of their values, or nothing at all."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy_utils import EncryptedType, StringEncryptedType
from sqlalchemy_utils.types.encrypted import encrypted_type as library

from pgcrypt_proxy.crypto.foreign import UnreadableValue, forms
from pgcrypt_proxy.errors import ConfigError, PgcryptError
from pgcrypt_proxy.ops import catalog_loader, importing, protect
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.importing import Foreign
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.ops.verify import verify
from pgcrypt_proxy.policy.model import KeyringSettings, Policy, TenantRule
from tests.conftest import NOT_APPLICABLE
from tests.ops.conftest import OpenProvider

SECRET = "sown passphrase"
KEYS = [Fernet.generate_key() for _ in range(2)]
MAIL = "sown{}@example.com"
#: Options of pgp_sym_encrypt.
OPTIONS = [
    "",
    "cipher-algo=aes192",
    "cipher-algo=aes256",
    *(f"compress-algo={algorithm}, compress-level=6" for algorithm in (0, 1, 2)),
    *(f"s2k-mode={mode}" for mode in (0, 1, 3)),
    *(f"s2k-digest-algo={digest}, s2k-count=65536" for digest in ("md5", "sha1")),
    "sess-key=1",
    "sess-key=1, s2k-cipher-algo=aes256, cipher-algo=aes128",
    "unicode-mode=0",
    "unicode-mode=1",
]


@pytest.fixture
def store(postgres, database, connection) -> Iterator[KeyringStore]:
    with connect(postgres.dsn(database)) as own:
        yield KeyringStore(own, OpenProvider())


@pytest.fixture
def opened(store, connection) -> Callable:
    """Every value of a sealed column by id, as the type sends it; `verify` proves them, too."""

    def read(rule) -> dict[int, bytes]:
        policy = Policy(version=1, keyring=KeyringSettings("file", {}), rules=(rule,))
        assert verify(connection, store, policy).is_sound
        (column,) = catalog_loader.load(connection, policy).protected_columns
        opener = protect.values_of(store.unlock()).opener(column, 1)
        rows = connection.execute(f"SELECT id, {rule.column}::bytea FROM public.t ORDER BY id").fetchall()
        return {number: None if value is None else opener(value) for number, value in rows}

    return read


def fernet(text: str, key: bytes = KEYS[0]) -> bytes:
    return Fernet(key).encrypt(text.encode())


def fill(connection: psycopg.Connection, type_: str, values: list[bytes | str | None], extra: str = "") -> None:
    connection.execute(f"CREATE TABLE public.t (id int PRIMARY KEY, v {type_} {extra})".encode())
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO public.t VALUES (%s, %s)", list(enumerate(values, 1)))


def reading(form: str = forms.FERNET, secret: bytes = b"\n".join(KEYS), padding: str | None = None) -> Foreign:
    return Foreign(forms.make(form, secret, padding))


@pytest.mark.parametrize("type_", ["bytea", "text", "varchar(500)"])
def test_fernet_tokens_under_two_keys(connection, store, rule, opened, type_) -> None:
    texts = [MAIL.format(number) for number in range(600)] + [""]
    tokens = [fernet(text, KEYS[number % 2]) for number, text in enumerate(texts)]
    fill(connection, type_, [t if type_ == "bytea" else t.decode() for t in tokens] + [None])
    ruled = rule("public.t.v", "text", ("equality",))
    assert importing.survey(connection, ruled, reading()) == importing.Survey(601, 0, [])
    done = protect.protect(connection, store, ruled, Options(), reading=reading())
    assert (done.values, done.nulls, done.indexes) == (601, 1, ("t_v_eq_idx",))
    assert opened(ruled) == {number: text.encode() for number, text in enumerate(texts, 1)} | {602: None}


@pytest.mark.parametrize(
    ("type_", "text", "sent"),
    [
        ("int4", "-7", b"\xff\xff\xff\xf9"),
        ("bool", "true", b"\x01"),
        ("date", "1815-12-10", None),
        ("timestamp", "2024-02-29T12:00:00.5", None),
        ("numeric(10,2)", "10.5", None),
        ("jsonb", '{"a": [1, 2]}', None),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None),
        ("bytea", "sown \\x bytes", b"sown \\x bytes"),
    ],
)
def test_plaintext_becomes_what_the_server_would_make_of_it(connection, store, rule, opened, type_, text, sent) -> None:
    if sent is None:
        send = "numeric_send" if type_.startswith("numeric") else f"{type_}_send"
        (sent,) = connection.execute(f"SELECT {send}(%s::{type_})".encode(), [text]).fetchone()
    fill(connection, "bytea", [fernet(text)])
    ruled = rule("public.t.v", type_)
    protect.protect(connection, store, ruled, Options(), reading=reading())
    assert opened(ruled) == {1: sent}


class TestWhatDoesNotOpen:
    VALUES = (fernet("sown1"), fernet("sown2", Fernet.generate_key()), b"sown3", None, fernet("sown5"), b"")

    def test_it_is_counted_and_named_before_anything_is_changed(self, connection, rule) -> None:
        fill(connection, "bytea", [*self.VALUES])
        found = importing.survey(connection, rule("public.t.v"), reading())
        assert (found.values, found.unreadable, [row for row, _ in found.named]) == (5, 3, ["id 2", "id 3", "id 6"])
        with pytest.raises(ConfigError, match="3 of 5 values do not open") as caught:
            found.require_readable("public.t.v")
        assert "sown" not in f"{caught.value} {caught.value.detail}"
        assert caught.value.detail.splitlines()[0] == "id 2: it does not open under that secret, or was damaged"

    def test_only_the_first_are_named(self, connection, rule) -> None:
        fill(connection, "bytea", [b"sown"] * 50)
        found = importing.survey(connection, rule("public.t.v"), reading())
        assert (found.unreadable, len(found.named)) == (50, importing.MAX_NAMED)

    def test_rows_without_a_primary_key_are_named_by_their_place(self, connection, rule) -> None:
        connection.execute("CREATE TABLE public.t (v bytea); INSERT INTO public.t VALUES ('sown')")
        assert importing.survey(connection, rule("public.t.v"), reading()).named[0][0] == "row (0,1)"
        connection.execute("""DROP TABLE public.t; CREATE TABLE public.t (a int, "b'"" c" text, v bytea,
            PRIMARY KEY ("b'"" c", a)); INSERT INTO public.t VALUES (1, 'x', 'sown')""")
        assert importing.survey(connection, rule("public.t.v"), reading()).named[0][0] == "b'\" c x, a 1"

    def test_what_came_behind_the_survey_changes_nothing_either(self, connection, store, rule) -> None:
        fill(connection, "bytea", [*self.VALUES])
        before = connection.execute("SELECT * FROM public.t ORDER BY id").fetchall()
        with pytest.raises(UnreadableValue) as caught:
            protect.protect(connection, store, rule("public.t.v", "text", ("equality",)), Options(), reading=reading())
        assert caught.value.detail == "Row (0,2)."
        assert connection.execute("SELECT * FROM public.t ORDER BY id").fetchall() == before
        assert connection.execute("SELECT count(*) FROM pgcrypt.columns").fetchone() == (0,)

    @pytest.mark.parametrize(
        ("type_", "text"), [("int4", "sown"), ("varchar(3)", "sown"), ("date", "sown"), ("text", "\0")]
    )
    def test_values_that_are_none_of_the_type(self, connection, rule, type_, text) -> None:
        fill(connection, "bytea", [fernet(text)])
        found = importing.survey(connection, rule("public.t.v", type_), reading())
        (named,) = found.named
        assert named[0] == "id 1"
        assert re.fullmatch(r"what it opens to is no [a-z()0-9 ]+", named[1])

    def test_duplicates_where_the_plaintext_must_be_unique(self, connection, store, rule) -> None:
        fill(connection, "bytea", [fernet("sown"), fernet("sown")], "UNIQUE")
        before = connection.execute("SELECT * FROM public.t ORDER BY id").fetchall()
        with pytest.raises(PgcryptError) as caught:
            protect.protect(connection, store, rule("public.t.v", "text", ("equality",)), Options(), reading=reading())
        assert "sown" not in f"{caught.value} {caught.value.detail}"
        assert connection.execute("SELECT * FROM public.t ORDER BY id").fetchall() == before


def test_each_value_goes_to_the_tenant_of_its_row(connection, store, rule) -> None:
    connection.execute("CREATE TABLE public.t (id int PRIMARY KEY, v bytea, owner text NOT NULL)")
    for number, owner in enumerate(("acme", "bolt", "acme"), 1):
        connection.execute("INSERT INTO public.t VALUES (%s, %s, %s)", [number, fernet(f"sown{number}"), owner])
    ruled = rule("public.t.v", "text", tenant=TenantRule(column="owner"))
    protect.protect(connection, store, ruled, Options(), reading=reading())
    assert verify(connection, store, Policy(1, KeyringSettings("file", {}), (ruled,))).is_sound
    keys = dict(connection.execute("SELECT id, tenant FROM pgcrypt.keyring").fetchall())
    rows = connection.execute("SELECT v::bytea FROM public.t ORDER BY id").fetchall()
    assert [keys[int.from_bytes(envelope[2:6])] for (envelope,) in rows] == ["acme", "bolt", "acme"]


@pytest.mark.parametrize("type_", ["int", "char(10)", "jsonb", "text[]"])
def test_columns_that_hold_no_ciphertext(connection, store, rule, type_) -> None:
    connection.execute(f"CREATE TABLE public.t (id int, v {type_})".encode())
    for act in (
        lambda: importing.survey(connection, rule("public.t.v"), reading()),
        lambda: protect.protect(connection, store, rule("public.t.v"), Options(), reading=reading()),
    ):
        with pytest.raises(ConfigError, match="others' ciphertext is in columns of bytea or text"):
            act()


def test_a_key_that_others_may_be_told_is_not_sent(postgres, database, connection, store, rule) -> None:
    texts = [MAIL.format(number) for number in range(20)]
    fill(connection, "bytea", [fernet(text) for text in texts])
    ruled = rule("public.t.v", "text", ("equality",))
    importing.survey(connection, ruled, reading())
    protect.protect(connection, store, ruled, Options(), reading=reading())
    entries = re.split(r"^(?=\d{4}-\d\d-\d\d )", postgres.log_text(), flags=re.MULTILINE)
    logged = "".join(entry for entry in entries if f"@{database} " in entry.partition("\n")[0])
    assert "pgcrypt_stage" in logged
    for secret in ("sown", *(key.decode() for key in KEYS)):
        assert secret not in logged


def columns_of_sqlalchemy() -> dict[str, tuple]:
    """(the application's type, a value, what it is in PostgreSQL) by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        binary = EncryptedType(sa.Unicode, SECRET, library.AesEngine, "pkcs5")
        day = EncryptedType(sa.Date, SECRET, library.AesGcmEngine)
    return {
        "aes": (StringEncryptedType(sa.Unicode, SECRET, library.AesEngine, "pkcs5"), "sown é", "text"),
        "aes_binary": (binary, "sown b", "text"),
        "gcm": (StringEncryptedType(sa.Integer, SECRET, library.AesGcmEngine), -41, "int4"),
        "day": (day, dt.date(1815, 12, 10), "date"),
        "yes": (StringEncryptedType(sa.Boolean, SECRET, library.FernetEngine), True, "bool"),
    }


@pytest.mark.parametrize("name", ["aes", "aes_binary", "gcm", "day", "yes"])
def test_sqlalchemy_utils(postgres, database, connection, store, rule, opened, name) -> None:
    type_, value, wanted = columns_of_sqlalchemy()[name]
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", type_))
    engine = sa.create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{postgres.port}/{database}")
    try:
        with engine.begin() as application:
            table.create(application)
            application.execute(sa.insert(table), [{"id": 1, "v": value}, {"id": 2, "v": None}])
    finally:
        engine.dispose()
    form = {"AesEngine": forms.SQLALCHEMY_AES, "AesGcmEngine": forms.SQLALCHEMY_AES_GCM}.get(
        type(type_.engine).__name__, forms.SQLALCHEMY_FERNET
    )
    padding = "pkcs5" if form == forms.SQLALCHEMY_AES else None
    ruled = rule("public.t.v", wanted)
    protect.protect(connection, store, ruled, Options(), reading=reading(form, SECRET.encode(), padding))
    send = {"date": "date_send"}.get(wanted, f"{wanted}send")
    (sent,) = connection.execute(f"SELECT {send}(%s::{wanted})".encode(), [value]).fetchone()
    assert opened(ruled) == {1: sent, 2: None}


class TestPgcrypto:
    @pytest.fixture
    def encrypted(self, postgres, create_database) -> Callable[[str, list[object]], list]:
        """What a query of pgcrypto gives, asked in another database: its log is no matter of this one."""
        with postgres.connect(create_database()) as other:
            row = other.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'").fetchone()
            if row == (0,):
                pytest.skip(f"{NOT_APPLICABLE}this server comes without pgcrypto")
            other.execute("CREATE EXTENSION pgcrypto")
            yield lambda query, values: [other.execute(query, value).fetchone()[0] for value in values]

    @pytest.mark.parametrize("options", OPTIONS)
    def test_options(self, connection, store, rule, opened, encrypted, options) -> None:
        texts = [MAIL.format(number) for number in range(3)] + ["", "é" * 40_000]
        query = "SELECT pgp_sym_encrypt(%s, %s, %s)"
        fill(connection, "bytea", encrypted(query, [(text, SECRET, options) for text in texts]))
        ruled = rule("public.t.v", "text", ("equality",))
        wrong = importing.survey(connection, ruled, reading(forms.PGP, b"another"))
        assert (wrong.values, wrong.unreadable) == (5, 5)
        protect.protect(connection, store, ruled, Options(), reading=reading(forms.PGP, SECRET.encode()))
        assert opened(ruled) == {number: text.encode() for number, text in enumerate(texts, 1)}

    def test_armored_and_bytes(self, connection, store, rule, opened, encrypted) -> None:
        texts = [MAIL.format(1), "x" * 3000]
        query = "SELECT armor(pgp_sym_encrypt_bytea(%s::bytea, %s))"
        fill(connection, "text", encrypted(query, [(text.encode(), SECRET) for text in texts]))
        ruled = rule("public.t.v", "bytea")
        protect.protect(connection, store, ruled, Options(), reading=reading(forms.PGP, SECRET.encode()))
        assert opened(ruled) == {number: text.encode() for number, text in enumerate(texts, 1)}

    @pytest.mark.parametrize("options", ["disable-mdc=1", "cipher-algo=bf", "cipher-algo=3des"])
    def test_what_is_refused(self, connection, rule, encrypted, options) -> None:
        try:
            values = encrypted("SELECT pgp_sym_encrypt(%s, %s, %s)", [("sown", SECRET, options)])
        except psycopg.Error:
            pytest.skip(f"{NOT_APPLICABLE}this server's OpenSSL has no such cipher")
        fill(connection, "bytea", values)
        found = importing.survey(connection, rule("public.t.v"), reading(forms.PGP, SECRET.encode()))
        assert found.unreadable == 1
        assert "disable-mdc" in found.named[0][1] or "only AES is supported" in found.named[0][1]
