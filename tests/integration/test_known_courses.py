"""Statements that are run again and again: compiled code takes them, and nobody can tell, but by the time it takes."""

from __future__ import annotations

import psycopg
import pytest

from pgcrypt_proxy import fast
from tests.helpers.proxies import ProtectedDatabase
from tests.helpers.raw_peers import eventually

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

#: With the schema: there is another table of that name, so that what it means is asked of the server each time.
FIND = "SELECT id, email, ssn FROM public.users WHERE email = %s"
STORE = "INSERT INTO public.users (email, name, ssn) VALUES (%s, %s, %s)"
MOVE = "UPDATE public.users SET ssn = %s WHERE email = %s"


def test_prepared_statements_pass_without_python(db: ProtectedDatabase, pieces: list[bytes]) -> None:
    with db.connect() as connection:
        for round_ in range(30):
            if round_ == 5:
                pieces.clear()
            email, ssn = f"user{round_}@planted-course.com", f"ssn-{round_}"
            connection.execute(STORE, [email, "Ann", "old"], prepare=True)
            connection.execute(MOVE, [ssn, email], prepare=True)
            row = connection.execute(FIND, [email], prepare=True).fetchone()
            assert row is not None
            assert row[1:] == (email, ssn)
            assert connection.execute(FIND, ["nobody@planted-course.com"], prepare=True).fetchall() == []
        assert pieces == []
    with db.direct() as direct:
        rows = direct.execute("SELECT email::bytea, ssn::bytea FROM public.users").fetchall()
    assert {(len(email), len(ssn)) for email, ssn in rows} == {
        (50 + len(f"user{n}@planted-course.com"), 34 + len(f"ssn-{n}")) for n in range(30)
    }
    nonces = {email[22:34] for email, _ in rows} | {ssn[6:18] for _, ssn in rows}
    assert len(nonces) == 60


def test_texts_that_carry_their_values_pass_without_python(db: ProtectedDatabase, pieces: list[bytes]) -> None:
    with db.connect() as connection:
        connection.cursor_factory = psycopg.ClientCursor
        for round_ in range(30):
            if round_ == 6:
                pieces.clear()
            email, ssn = f"o'user{round_}@planted-course.com", f"ssn-{round_} \N{EURO SIGN}"
            connection.execute(STORE, [email, f"it's {round_}", "old"])
            connection.execute(MOVE, [ssn, email])
            row = connection.execute(FIND, [email]).fetchone()
            assert row is not None
            assert row[1:] == (email, ssn)
            named = connection.execute("SELECT count(*) FROM public.users WHERE name = %s", [f"it's {round_}"])
            assert named.fetchall() == [(1,)]
        assert pieces == []
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            connection.execute(STORE, ["o'user3@planted-course.com", "another", "1"])
        assert "user3" not in str(caught.value)
        with pytest.raises(psycopg.errors.UndefinedTable) as missing:
            connection.execute(FIND.replace("public.users", "public.nowhere"), ["x"])
        assert missing.value.diag.statement_position == "28"
    with db.direct() as direct:
        rows = direct.execute("SELECT email::bytea, ssn::bytea FROM public.users").fetchall()
    assert len({email[22:34] for email, _ in rows} | {ssn[6:18] for _, ssn in rows}) == 60


def test_transactions_errors_and_notifications_between(db: ProtectedDatabase) -> None:
    with db.connect() as connection, db.direct() as direct:
        heard: list[str] = []
        connection.add_notify_handler(lambda notify: heard.append(notify.payload))
        connection.execute("LISTEN planted")
        for round_ in range(8):
            for name in (f"first{round_}", f"second{round_}"):
                connection.execute(STORE, [f"{name}@x", name, name], prepare=True)
            with pytest.raises(psycopg.errors.UniqueViolation) as caught:
                connection.execute(STORE, [f"first{round_}@x", "a", "1"], prepare=True)
            assert "users_email_key" in str(caught.value)
            assert "first" not in str(caught.value)
            direct.execute("SELECT pg_notify('planted', %s)", [str(round_)])
            with connection.transaction(force_rollback=True):
                connection.execute(MOVE, ["lost", f"first{round_}@x"], prepare=True)
            with connection.transaction():
                connection.execute(MOVE, ["kept", f"second{round_}@x"], prepare=True)
            with pytest.raises(psycopg.DataError):
                connection.execute(FIND, [b"\xff\0".decode("latin-1")], prepare=True)
            for name, ssn in ((f"first{round_}", f"first{round_}"), (f"second{round_}", "kept")):
                row = connection.execute(FIND, [f"{name}@x"], prepare=True).fetchone()
                assert row is not None
                assert row[2] == ssn
        assert heard == [str(round_) for round_ in range(8)]


def test_a_table_that_changes_between(db: ProtectedDatabase) -> None:
    world = db.running.proxy.world
    with db.connect() as connection, db.direct() as direct:
        for round_ in range(4):
            connection.execute(STORE, [f"user{round_}@x", "A", "1"], prepare=True)
            for _ in range(3):
                assert connection.execute("SELECT * FROM public.users WHERE email = %s", ["nobody@x"], prepare=True)
            before = world.planner.catalog.version
            direct.execute(f"ALTER TABLE users ADD COLUMN more{round_} text DEFAULT 'plain'".encode())
            eventually(lambda before=before: world.planner.catalog.version != before)
            try:
                row = connection.execute(
                    "SELECT * FROM public.users WHERE email = %s", [f"user{round_}@x"], prepare=True
                )
            except psycopg.Error as error:  # as without the proxy
                assert error.sqlstate in ("0A000", "55000")
                connection.execute("DEALLOCATE ALL")
                row = connection.execute("SELECT * FROM public.users WHERE email = %s", [f"user{round_}@x"])
            found = row.fetchone()
            assert found is not None
            assert f"user{round_}@x" in found
            assert not any(isinstance(value, bytes) for value in found)


def test_errors_in_literals_keep_their_place(db: ProtectedDatabase) -> None:
    with db.connect() as connection, psycopg.ClientCursor(connection) as cursor:
        for round_ in range(6):
            connection.execute(STORE, [f"user{round_}@x", "A", "1"])
            text = f"SELECT ssn FROM public.users WHERE email = 'user{round_}@x' AND 1 / (id - id) = 1"
            cursor.execute(text.replace("/", "+"))
            with pytest.raises(psycopg.errors.DivisionByZero):
                cursor.execute(text)
            with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
                cursor.execute(f"SELECT ssn FROM public.users WHERE email = 'user{round_}@x' AND nothing = 1")
            before = f"SELECT ssn FROM public.users WHERE email = 'user{round_}@x' AND "
            assert caught.value.diag.statement_position == str(len(before) + 1)


def test_metrics_hear_of_them(db: ProtectedDatabase) -> None:
    def sealed() -> float:
        samples = (sample for metric in db.running.proxy.metrics.registry.collect() for sample in metric.samples)
        return sum(
            s.value for s in samples if s.name == "pgcrypt_operations_total" and s.labels.get("operation") == "seal"
        )

    before = sealed()
    with db.connect() as connection:
        for round_ in range(20):
            connection.execute(STORE, [f"user{round_}@x", "A", "1"], prepare=True)
        eventually(lambda: sealed() - before == 40)
