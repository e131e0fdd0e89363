"""Columns that applications encrypt themselves become protected ones beside them; what does not open stops that."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy_utils import StringEncryptedType
from sqlalchemy_utils.types.encrypted.encrypted_type import AesEngine

from pgcrypt_proxy.crypto.foreign import UnreadableValue, forms
from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import importing, sealed_types
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.importing import Foreign
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import fill, moves, unreadable
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.engine import Run
from pgcrypt_proxy.ops.protect import Options, values_of
from pgcrypt_proxy.policy.model import Rule, TenantRule
from tests.conftest import NOT_APPLICABLE
from tests.ops.conftest import OpenProvider
from tests.ops.online.test_engine import rows

KEY = Fernet.generate_key()
OTHER_KEY = Fernet.generate_key()
SECRET = b"sown passphrase"
MAIL = "sown{}@example.com"


def token(text: str, key: bytes = KEY) -> bytes:
    return Fernet(key).encrypt(text.encode())


def foreign(form: str = forms.FERNET, secret: bytes = KEY, padding: str | None = None) -> Foreign:
    return Foreign(forms.make(form, secret, padding))


@pytest.fixture
def bringing(connection: psycopg.Connection, store: KeyringStore) -> Callable[..., Run]:
    """A run that imports the rule's column; to the end unless `cut_over` is False."""

    def make(rule: Rule, cipher: Foreign | None = None, **more: Any) -> Run:
        target = Target(replace(rule, phase="importing"), True, Options(), is_import=True, foreign=cipher or foreign())
        return Run(connection, store, target, **more)

    return make


@pytest.fixture
def opened(connection: psycopg.Connection, store: KeyringStore) -> Callable[[], dict[int, bytes | None]]:
    """What the envelopes of public.t.v hold, by id."""

    def read() -> dict[int, bytes | None]:
        (oid,) = rows(connection, "SELECT 'public.t'::regclass::oid::bigint")[0]
        column_id = sealed_types.id_of(connection, oid, "v")
        assert column_id is not None
        column = sealed_types.column(connection, column_id, ("public", "t", "v"), oid)
        opener = values_of(store.unlock()).opener(column, 1)
        found = rows(connection, "SELECT id, v::bytea FROM public.t")
        return {number: None if value is None else opener(value) for number, value in found}

    return read


def fill_table(connection: psycopg.Connection, type_: str, tokens: list[bytes | None], first: int = 1) -> None:
    connection.execute(f"CREATE TABLE IF NOT EXISTS public.t (id int PRIMARY KEY, v {type_}, note text)".encode())
    with connection.cursor() as cursor:
        shown = [None if t is None else t if type_ == "bytea" else t.decode() for t in tokens]
        cursor.executemany("INSERT INTO public.t VALUES (%s, %s, 'n')", list(enumerate(shown, first)))


def state(connection: psycopg.Connection) -> list[Any]:
    return rows(connection, "SELECT direction, state FROM pgcrypt.moves")


@pytest.mark.parametrize("type_", ["bytea", "varchar(500)"])
def test_it_is_made_ready_and_then_the_columns_change_places(
    connection, bringing, verified, opened, rule, type_
) -> None:
    texts = [MAIL.format(number) for number in range(600)]
    fill_table(connection, type_, [*map(token, texts), token(""), None])
    ruled = rule("public.t.v", "text", ("equality",))
    done = bringing(ruled, cut_over=False).to_the_end()
    assert (done.values, done.move.state, state(connection)) == (601, moves.FILLING, [("import", "filling")])
    assert rows(connection, "SELECT count(*) FROM public.t WHERE v IS NOT NULL") == [(601,)]
    # what is written now is of the application's form still
    late = token("sown late") if type_ == "bytea" else token("sown late").decode()
    connection.execute("UPDATE public.t SET v = %s WHERE id = 7", [late])
    connection.execute("UPDATE public.t SET v = NULL WHERE id = 8")
    connection.execute("UPDATE public.t SET v = %s, note = 'm' WHERE id = 602", [late])
    connection.execute("INSERT INTO public.t VALUES (603, %s, 'n')", [late])
    connection.execute("DELETE FROM public.t WHERE id = 9")
    done = bringing(ruled).to_the_end()
    assert (done.values, done.indexes, state(connection)) == (3, ("t_v_eq_idx",), [])
    expected: dict[int, bytes | None] = {n: text.encode() for n, text in enumerate([*texts, ""], 1)}
    expected |= dict.fromkeys((7, 602, 603), b"sown late") | {8: None}
    del expected[9]
    assert opened() == expected
    assert verified(ruled) == 601
    stored = rows(connection, "SELECT v::bytea, row_to_json(t)::text FROM public.t t")
    assert not [value for value, row in stored if b"gAAAA" in (value or b"") or "gAAAA" in row]
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("UPDATE public.t SET v = %s::text::bytea WHERE id = 7", [token("sown").decode()])


def test_values_become_those_of_the_rules_type(connection, bringing, opened, rule) -> None:
    fill_table(connection, "bytea", [token("-7"), token("12"), None])
    bringing(rule("public.t.v", "int4")).to_the_end()
    assert opened() == {1: b"\xff\xff\xff\xf9", 2: b"\0\0\0\x0c", 3: None}


def test_neither_key_nor_plaintext_is_sent(postgres, database, connection, bringing, rule) -> None:
    fill_table(connection, "bytea", [token(MAIL.format(number)) for number in range(20)])
    bringing(rule("public.t.v", "text", ("equality",))).to_the_end()
    entries = re.split(r"^(?=\d{4}-\d\d-\d\d )", postgres.log_text(), flags=re.MULTILINE)
    logged = "".join(entry for entry in entries if f"@{database} " in entry.partition("\n")[0])
    assert "pgcrypt_fill" in logged
    assert not [secret for secret in ("sown", KEY.decode()) if secret in logged]


class TestWhatDoesNotOpen:
    BAD = (token("sown", OTHER_KEY), b"sown", b"", token("sown", OTHER_KEY))

    @pytest.fixture
    def ruled(self, connection, rule) -> Rule:
        """More that is bad at the start than a first batch has."""
        fill_table(connection, "bytea", [*self.BAD, *(token(MAIL.format(n)) for n in range(5, 205)), None])
        return rule("public.t.v", "text", ("equality",))

    @pytest.mark.parametrize("cut_over", [True, False])
    def test_it_is_named_and_all_others_are_ready(self, connection, bringing, opened, ruled, cut_over) -> None:
        with pytest.raises(ConfigError, match="4 of the values do not open") as caught:
            bringing(ruled, cut_over=cut_over).to_the_end()
        said = f"{caught.value} {caught.value.detail} {caught.value.hint}"
        assert [line.split(":")[0] for line in caught.value.detail.splitlines()] == ["id 1", "id 2", "id 3", "id 4"]
        assert (caught.value.code, "sown" in said, KEY.decode() in said) == (UnreadableValue.sqlstate, False, False)
        assert state(connection) == [("import", "filling")]
        (hidden,) = rows(connection, "SELECT 'pgcrypt_next_' || column_id FROM pgcrypt.moves")[0]
        assert rows(connection, f"SELECT count({hidden}) FROM public.t") == [(200,)]
        # a later run names the same, though its pass is over already
        with pytest.raises(ConfigError, match="4 of the values do not open"):
            bringing(ruled, cut_over=cut_over).to_the_end()
        for number in (1, 2, 3):
            connection.execute("UPDATE public.t SET v = %s WHERE id = %s", [token("sown right"), number])
        connection.execute("DELETE FROM public.t WHERE id = 4")
        assert bringing(ruled).to_the_end().values == 3
        assert {opened()[number] for number in (1, 2, 3)} == {b"sown right"}

    def test_what_was_written_in_the_meantime_stops_it_before_the_table_is_locked(
        self, connection, bringing, ruled, monkeypatch
    ) -> None:
        connection.execute("DELETE FROM public.t WHERE id <= 4")
        bringing(ruled, cut_over=False).to_the_end()
        connection.execute("INSERT INTO public.t VALUES (900, 'sown as it is', 'n')")
        monkeypatch.setattr("pgcrypt_proxy.ops.online.engine.switch", lambda *_: pytest.fail("the swap was tried"))
        with pytest.raises(ConfigError, match="1 of the values do not open") as caught:
            bringing(ruled).to_the_end()
        assert caught.value.detail == "id 900: it does not open under that secret, or was damaged"

    def test_what_is_written_while_proxies_make_way_stops_it_too(
        self, connection, bringing, ruled, monkeypatch
    ) -> None:
        connection.execute("DELETE FROM public.t WHERE id <= 4")
        quickly = Run._caught_up_quickly

        def with_one_more(run: Run, *arguments: Any) -> None:
            quickly(run, *arguments)
            connection.execute("INSERT INTO public.t VALUES (900, 'sown as it is', 'n')")

        with monkeypatch.context() as patched:
            patched.setattr(Run, "_caught_up_quickly", with_one_more)
            with pytest.raises(ConfigError, match="1 of the values do not open") as caught:
                bringing(ruled).to_the_end()
        assert caught.value.detail.startswith("id 900: ")
        assert state(connection) == [("import", "filling")]
        connection.execute("DELETE FROM public.t WHERE id = 900")
        bringing(ruled).to_the_end()

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_with_a_wrong_secret_it_ends_soon(
        self, postgres, database, connection, bringing, ruled, monkeypatch, jobs
    ) -> None:
        monkeypatch.setattr(unreadable, "MAX_UNREADABLE", 20)

        @contextlib.contextmanager
        def helper():
            with connect(postgres.dsn(database)) as own, connect(postgres.dsn(database)) as other:
                yield own, KeyringStore(other, OpenProvider())

        run = bringing(ruled, foreign(secret=Fernet.generate_key()), jobs=jobs, helper=helper)
        with pytest.raises(ConfigError, match="at least 20 of the values do not open") as caught:
            run.to_the_end()
        assert len(caught.value.detail.splitlines()) == importing.MAX_NAMED
        run.abandon()
        assert rows(connection, "SELECT count(*) FROM pgcrypt.columns") == [(0,)]

    def test_a_cipher_that_authenticates_nothing_opens_all_of_them_first(self, connection, bringing, rule) -> None:
        """Under a wrong secret one value in some hundreds would pass for something else, and stay."""
        type_ = StringEncryptedType(sa.Unicode, SECRET.decode(), AesEngine, "pkcs5")
        values = [type_.process_bind_param(MAIL.format(n), None) for n in range(30)]
        fill_table(connection, "text", [value.encode() for value in values])
        ruled = rule("public.t.v", "text")
        with pytest.raises(ConfigError, match="of 30 values do not open"):
            bringing(ruled, foreign(forms.SQLALCHEMY_AES, b"another", "pkcs5")).to_the_end()
        (hidden,) = rows(connection, "SELECT 'pgcrypt_next_' || column_id FROM pgcrypt.moves")[0]
        assert rows(connection, f"SELECT count({hidden}) FROM public.t") == [(0,)]
        assert bringing(ruled, foreign(forms.SQLALCHEMY_AES, SECRET, "pkcs5")).to_the_end().values == 30


def test_under_the_lock_are_so_few_values_as_a_slow_cipher_opens_at_once(
    connection, bringing, verified, rule, monkeypatch
) -> None:
    fill_table(connection, "bytea", [token(MAIL.format(n)) for n in range(30)])
    monkeypatch.setattr(fill.Portion, "took", lambda portion, *_: setattr(portion, "size", 3))
    pending = fill.Filler.pending
    asked: list[int] = []
    monkeypatch.setattr(fill.Filler, "pending", lambda filler, limit: (asked.append(limit), pending(filler, limit))[1])
    ruled = rule("public.t.v")
    bringing(ruled).to_the_end()
    assert [limit for limit in asked if limit < 10 and limit > 1] == [4, 4]
    assert verified(ruled) == 30


def test_it_goes_on_by_the_same_command_and_the_same_rule_only(connection, bringing, sealing, rule) -> None:
    fill_table(connection, "text", [token("12")])
    ruled = rule("public.t.v", "text")
    bringing(ruled, cut_over=False).to_the_end()
    with pytest.raises(ConfigError, match=r"on its way by import --online"):
        sealing(ruled).to_the_end()
    with pytest.raises(ConfigError, match="the type was changed"):
        bringing(replace(ruled, type="int4")).to_the_end()
    with pytest.raises(ConfigError, match="the rule was changed"):
        bringing(replace(ruled, data_class="other")).to_the_end()
    run = bringing(ruled)
    run.abandon()
    assert (state(connection), run.is_done()) == ([], False)
    assert rows(connection, "SELECT count(*) FROM pg_attribute WHERE attname ~ '^pgcrypt_next'") == [(0,)]
    bringing(replace(ruled, type="int4")).to_the_end()
    assert run.is_done()


def test_what_is_not_imported(connection, bringing, rule) -> None:
    fill_table(connection, "jsonb", [])
    with pytest.raises(ConfigError, match="others' ciphertext is in columns of bytea or text"):
        bringing(rule("public.t.v")).to_the_end()
    with pytest.raises(ConfigError, match="of tenants are not imported while applications use them"):
        bringing(rule("public.t.v", tenant=TenantRule("note"))).to_the_end()
    run = bringing(rule("public.t.v"))
    run.target = replace(run.target, rule=rule("public.t.v", phase="sealing"))
    with pytest.raises(ConfigError, match="does not say phase: importing"):
        run.to_the_end()
    connection.execute("UPDATE pgcrypt.meta SET schema_version = 5; ALTER TABLE public.t ALTER v TYPE text")
    with pytest.raises(ConfigError, match="run `pgcrypt-proxy init`"):
        bringing(rule("public.t.v")).to_the_end()
    assert state(connection) == []


def test_duplicates_are_found_while_it_is_made_ready(connection, bringing, rule) -> None:
    fill_table(connection, "bytea", [token("sown"), token("sown")])
    connection.execute("CREATE UNIQUE INDEX t_v ON public.t (v)")
    with pytest.raises(Exception) as caught:
        bringing(rule("public.t.v", "text", ("equality",)), cut_over=False).to_the_end()
    assert "sown" not in f"{caught.value} {getattr(caught.value, 'detail', '')}"
    assert state(connection) == [("import", "filling")]


def test_what_pgcrypto_encrypts_in_the_applications_sql(connection, bringing, verified, opened, rule) -> None:
    if rows(connection, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'") == [(0,)]:
        pytest.skip(f"{NOT_APPLICABLE}this server comes without pgcrypto")
    connection.execute(
        "CREATE EXTENSION pgcrypto SCHEMA public; CREATE TABLE public.t (id int PRIMARY KEY, v bytea, note text)"
    )
    secret = SECRET.decode()
    connection.execute(
        "INSERT INTO public.t SELECT i, public.pgp_sym_encrypt('sown' || i, %s), 'n' FROM generate_series(1, 200) i",
        [secret],
    )
    ruled, cipher = rule("public.t.v", "text", ("equality",)), foreign(forms.PGP, SECRET)
    bringing(ruled, cipher, cut_over=False).to_the_end()
    connection.execute("UPDATE public.t SET v = public.pgp_sym_encrypt('sown late', %s) WHERE id %% 2 = 0", [secret])
    assert bringing(ruled, cipher).to_the_end().values == 100
    assert opened() == {n: b"sown late" if n % 2 == 0 else f"sown{n}".encode() for n in range(1, 201)}
    assert verified(ruled) == 200
