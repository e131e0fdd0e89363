"""Client encodings: a protected column gives and takes the bytes that a plain one beside it does."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase
from tests.integration.test_prepared import Answer, answer, bind, prepare, result_of

#: By encoding: a text that it has, and one that it lacks.
TEXTS = {
    "LATIN1": ("Zoë Ångström ½", "€"),
    "LATIN2": ("Łódź Öser", "ñ"),
    "LATIN9": ("10 € œuvre", "¤"),
    "WIN1252": ("“10 €” ™ naïve", "Ж"),
    "WIN1251": ("Жанна Ёлкина", "é"),
    "ISO_8859_5": ("Жанна", "é"),
    "ISO_8859_8": ("שלום", "é"),
    "KOI8R": ("Пётр", "é"),
    "KOI8U": ("Їжак", "é"),
    "WIN874": ("สวัสดี", "é"),
    "WIN1258": ("đồng ₫".replace("ồ", "ô"), "Ж"),
    "EUC_CN": ("中文 测试", "ñ"),
}


@pytest.fixture(params=sorted(TEXTS))
def client(db: ProtectedDatabase, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    with db.connect() as connection:
        connection.execute(f"SET client_encoding TO {request.param}")
        yield connection


def encoded(client: psycopg.Connection, text: str) -> bytes:
    return text.encode(client.info.encoding)


def run(client: psycopg.Connection, sql: str) -> Answer:
    client.pgconn.send_query(encoded(client, sql))
    return answer(result_of(client.pgconn))


def both(
    client: psycopg.Connection, sql: str, *values: bytes, is_binary: bool = False, types: tuple[int, ...] = ()
) -> Answer:
    """The answer to a statement on the protected table, which is that on the plain twin."""
    answers = []
    for table in ("kinds", "kinds_twin"):
        text = encoded(client, sql.replace("TABLE", table))
        client.pgconn.send_query_params(
            text,
            values,
            param_types=types or None,
            param_formats=[int(is_binary)] * len(values),
            result_format=int(is_binary),
        )
        answers.append(answer(result_of(client.pgconn)))
    assert answers[0] == answers[1]
    return answers[0]


def test_values_go_both_ways(db: ProtectedDatabase, client: psycopg.Connection) -> None:
    name = client.info.parameter_status("client_encoding")
    assert name is not None
    text = TEXTS[name][0]
    raw = encoded(client, text)
    both(client, f"INSERT INTO TABLE (id, t, v) VALUES (1, '{text}', E'{text}')")
    both(client, "INSERT INTO TABLE (id, t, v) VALUES (2, $1, $2)", raw, raw)
    both(client, "INSERT INTO TABLE (id, t, v) VALUES (3, $1, $2)", raw, raw, is_binary=True, types=(25, 1043))
    document = b'{"k": "' + raw + b'"}'
    both(client, "INSERT INTO TABLE (id, j) VALUES (4, $1)", document)
    both(client, "INSERT INTO TABLE (id, j) VALUES (5, $1)", b"\x01" + document, is_binary=True, types=(3802,))
    for is_binary in (False, True):
        found = both(client, "SELECT t, v, j FROM TABLE ORDER BY id", is_binary=is_binary)[1]
        assert found[0][:2] == found[1][:2] == found[2][:2] == (raw, raw)
        assert found[3] == found[4]
    for sql, values in (
        (f"SELECT id FROM TABLE WHERE t = '{text}' ORDER BY id", ()),
        ("SELECT id FROM TABLE WHERE v = $1 ORDER BY id", (raw,)),
        ("SELECT id FROM TABLE WHERE t = ANY ($1) ORDER BY id", (b'{"' + raw + b'",x}',)),
    ):
        assert both(client, sql, *values)[1] == [(b"1",), (b"2",), (b"3",)]
    header = b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01" + len(raw).to_bytes(4) + raw
    assert len(both(client, "SELECT id FROM TABLE WHERE t = ANY ($1)", header, is_binary=True, types=(1009,))[1]) == 3
    with db.direct() as direct:
        stored = direct.execute("SELECT t, v FROM kinds WHERE id < 4").fetchall()
    assert all(value is not None and text.encode() not in value and raw not in value for row in stored for value in row)
    with db.connect() as other:
        assert other.execute("SELECT t FROM kinds WHERE t = %s", [text]).fetchall() == [(text,)] * 3


def test_sql_prepare(client: psycopg.Connection) -> None:
    text = TEXTS[str(client.info.parameter_status("client_encoding"))][0]
    raw = encoded(client, text)
    assert run(client, "PREPARE p AS INSERT INTO kinds (id, t) VALUES ($1, $2) RETURNING t")[0] is None
    assert run(client, f"EXECUTE p (1, '{text}')") == (None, [(raw,)])
    assert prepare(client, "q", "SELECT id FROM kinds WHERE t = $1")[0] is None
    assert bind(client, "q", raw) == (None, [(b"1",)])


def test_characters_that_the_client_lacks(db: ProtectedDatabase, client: psycopg.Connection) -> None:
    lacking = TEXTS[str(client.info.parameter_status("client_encoding"))][1]
    with db.connect() as other:
        for table in ("kinds", "kinds_twin"):
            other.execute(f"INSERT INTO {table} (id, t) VALUES (1, %s)", [f"missing {lacking}"])
    client.pgconn.send_query(b"SELECT t FROM kinds_twin")
    assert answer(result_of(client.pgconn))[0] == "22P05"
    # The statement has run by then, and its outcome is not known: the connection ends, see session.py.
    client.pgconn.send_query(b"SELECT t FROM kinds")
    with pytest.raises(psycopg.OperationalError) as caught:
        result_of(client.pgconn)
    assert 'a character in encoding "UTF8" has no equivalent in encoding' in str(caught.value)
    assert "missing" not in str(caught.value)
    assert lacking not in str(caught.value)


@pytest.mark.parametrize("name", ["SJIS", "GBK", "BIG5", "UHC", "GB18030", "JOHAB", "EUC_JP", "EUC_KR"])
def test_encodings_that_are_refused(db: ProtectedDatabase, name: str) -> None:
    with db.connect() as connection:
        connection.pgconn.send_query(f"SET client_encoding TO {name}".encode())
        assert answer(result_of(connection.pgconn))[0] is None
        for sql in (
            b"INSERT INTO kinds (id, t) VALUES (1, 'planted-a')",
            b"SELECT id FROM kinds WHERE t = 'planted-a'",
        ):
            connection.pgconn.send_query(sql)
            assert answer(result_of(connection.pgconn))[0] == "0A000"
        connection.pgconn.send_query(b"SELECT count(*) FROM items")
        assert answer(result_of(connection.pgconn))[0] is None
    assert "planted-a" not in db.logged()


def test_names_of_prepared_statements_are_ascii(db: ProtectedDatabase) -> None:
    """One name must not be two in the session's books."""
    with db.connect() as connection:
        connection.execute("SET client_encoding TO LATIN1")
        for sql in ('PREPARE "\xe9" AS SELECT t FROM kinds', 'EXECUTE "\xe9"'):
            assert run(connection, sql)[0] == "0A000"
        connection.pgconn.send_prepare(b"\xe9", b"SELECT id FROM kinds WHERE t = $1")
        assert answer(result_of(connection.pgconn))[0] == "0A000"
        assert run(connection, 'PREPARE "\xe9" AS SELECT 1')[0] is None
