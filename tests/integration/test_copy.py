"""COPY through the proxy, in every format, beside the same COPY on a plain twin: byte for byte."""

from __future__ import annotations

import asyncio
import io
import re
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
from psycopg.types.string import TextLoader

from tests.helpers import servers
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.ready import readable, writable
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE people (
    id int, email text UNIQUE, name text DEFAULT 'nobody', ssn varchar(12), born date, score numeric(6,2),
    seen timestamptz, doc jsonb, raw bytea, half int GENERATED ALWAYS AS (id / 2) STORED
);
CREATE TABLE one (email text);
CREATE TABLE items (id int, name text);
"""
COLUMNS = """
{table: people, column: email, type: text, search: [equality, equality_casefold]}
{table: people, column: ssn, type: varchar(12), data_class: restricted}
{table: people, column: born, type: date}
{table: people, column: score, type: "numeric(6,2)", search: [equality]}
{table: people, column: seen, type: timestamptz}
{table: people, column: doc, type: jsonb}
{table: people, column: raw, type: bytea}
{table: one, column: email, type: text}
"""
PROTECTED = "email, ssn, born, score, seen, doc, raw"
FULL = "id, email, name, ssn, born, score, seen, doc, raw"


@dataclass
class Outcome:
    """What a COPY came to; `context` without values."""

    sqlstate: str | None
    message: str
    hint: str | None
    context: str | None
    tag: str | None
    data: list[bytes]


class Twins:
    """The sealed database through its proxy, and the plain one."""

    def __init__(self, sealed: ProtectedDatabase, plain: psycopg.Connection) -> None:
        self.database = sealed
        self.sealed = sealed.connect()
        self.plain = plain
        for connection in (self.sealed, self.plain):  # infinity is no date of Python's
            for name in ("date", "timestamptz"):
                connection.adapters.register_loader(name, TextLoader)

    def copy_in(self, sql: str, data: bytes, *, chunk: int = 1 << 20) -> Outcome:
        """The same data into both: same outcome, same rows."""
        chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]
        through, plain = (_copied(c, sql, chunks) for c in (self.sealed, self.plain))
        assert through == plain
        self.check_rows()
        return through

    def copy_out(self, sql: str) -> list[bytes]:
        """The same COPY TO of both: the same messages."""
        through, plain = (_copied(c, sql, None) for c in (self.sealed, self.plain))
        assert through == plain
        assert through.sqlstate is None
        return through.data

    def check_rows(self) -> None:
        for query in (f"SELECT {FULL}, half FROM people ORDER BY id, name", "SELECT email FROM one"):
            seen, wanted = (c.execute(query).fetchall() for c in (self.sealed, self.plain))
            assert sorted(map(repr, seen)) == sorted(map(repr, wanted))
        with self.database.direct() as direct:
            stored = direct.execute(f"SELECT {PROTECTED} FROM people".replace(", ", "::bytea, ", 6) + "").fetchall()
            stored += direct.execute("SELECT email::bytea FROM one").fetchall()
        for value in (value for row in stored for value in row if value is not None):
            assert bytes(value)[0] == 1
            assert b"planted" not in bytes(value)

    def empty(self) -> None:
        for connection in (self.sealed, self.plain):
            connection.execute("RESET ALL")
        self.sealed.execute("SET TimeZone = 'UTC'")
        self.plain.execute("SET TimeZone = 'UTC'")
        self.plain.execute("TRUNCATE people, one, items")
        with self.database.direct() as direct:
            direct.execute("TRUNCATE people, one, items")


def _copied(connection: psycopg.Connection, sql: str, chunks: Sequence[bytes] | None) -> Outcome:
    """COPY FROM with `chunks`, each in a CopyData of its own as far as the driver lets us; or COPY TO."""
    data: list[bytes] = []
    with connection.cursor() as cursor:
        try:
            with cursor.copy(sql) as copy:  # type: ignore[arg-type]
                if chunks is None:
                    data = [bytes(block) for block in copy]
                else:
                    for chunk in chunks:
                        copy.write(chunk)
        except psycopg.Error as error:
            diag = error.diag
            return Outcome(
                diag.sqlstate,
                _without_values(diag.message_primary or ""),
                diag.message_hint if diag.sqlstate == "22P04" else None,
                _place(diag.context) if diag.sqlstate != "22021" else None,
                None,
                data,
            )
        return Outcome(None, "", None, None, cursor.statusmessage, data)


def _without_values(message: str) -> str:
    """PostgreSQL quotes the bad value, which the proxy never does; the header's names too."""
    message = re.sub(r'(invalid input syntax for type \w+|date/time field value out of range): ".*"', r"\1", message)
    message = re.sub(r'value ".*" is out of range', "value is out of range", message)
    message = re.sub(r"(UTF8\"): 0x.*", r"\1", message)
    message = message.replace("end-of-copy marker corrupt", "end-of-copy marker is not alone on its line")
    return re.sub(r"got (null value \()?\".*?\"\)?, ", "", message)


def _place(context: str | None) -> str | None:
    found = re.search(r"^COPY [^,\n]+(, line \d+(, column [^:\n]+)?)?", context or "", re.MULTILINE)
    return found.group() if found else None


@pytest.fixture(scope="module")
def pair(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    folder = tmp_path_factory.mktemp("rules")
    with (
        servers.running(servers.chosen_flavour()) as plain_server,
        protected(postgres, folder, SCHEMA, COLUMNS) as database,
        plain_server.connect() as plain,
    ):
        plain.autocommit = True
        plain.execute(SCHEMA.encode())
        twins = Twins(database, plain)
        yield twins
        twins.sealed.close()


@pytest.fixture
def twins(pair: Twins) -> Twins:
    pair.empty()
    return pair


ROWS = [
    (1, "planted-a@x", "Ann", "planted-1", "1990-02-03", "12.50", "2024-01-02 03:04:05.678+00", '{"k": 1}', b"\\x00ff"),
    (2, 'planted"q,c', None, None, None, None, None, None, None),
    (3, "planted\ttab\nline\rcr\\back", "", "", "0099-01-01", "-0.005", "infinity", '"a\\nb"', b""),
    (
        4,
        "planted-\\.",
        "\\.",
        "planted-ü😀",
        "2000-02-29",
        "999.999",
        "1999-12-31 23:59:59+05:30",
        "[]",
        b"\\\\planted",
    ),
    (5, "", "\\N", "\\N", "infinity", "0", None, "null", None),
    (6, "planted\b\f\v", "x", " ", None, None, None, None, None),
]


def _text(value: object, delimiter: str = "\t", null: str = "\\N") -> bytes:
    if value is None:
        return null.encode()
    data = value if isinstance(value, bytes) else str(value).encode()
    if isinstance(value, bytes):
        data = b"\\x" + data.hex().encode()
    for special, letter in ((b"\\", b"\\"), (b"\t", b"t"), (b"\n", b"n"), (b"\r", b"r")):
        data = data.replace(special, b"\\" + letter)
    return data.replace(delimiter.encode(), b"\\" + delimiter.encode()) if delimiter != "\t" else data


def _csv(value: object) -> bytes:
    if value is None:
        return b""
    data = b"\\x" + value.hex().encode() if isinstance(value, bytes) else str(value).encode()
    return b'"' + data.replace(b'"', b'""') + b'"'


def text_data(eol: bytes = b"\n", **how: Any) -> bytes:
    delimiter = how.get("delimiter", "\t").encode()
    return b"".join(delimiter.join(_text(value, **how) for value in row) + eol for row in ROWS)


def csv_data(eol: bytes = b"\n") -> bytes:
    return b"".join(b",".join(_csv(value) for value in row) + eol for row in ROWS)


@pytest.mark.parametrize("chunk", [1 << 20, 7])
@pytest.mark.parametrize(
    ("options", "data"),
    [
        ("", text_data()),
        ("", text_data(b"\r\n")),
        ("", text_data(b"\r")),
        ("", text_data()[:-1]),
        ("", text_data() + b"\\.\nleft out"),
        ("WITH DELIMITER '|' NULL 'none'", text_data(delimiter="|", null="none")),
        ("USING DELIMITERS '|'", text_data(delimiter="|")),
        ("(FORMAT csv)", csv_data()),
        ("WITH CSV", csv_data(b"\r\n")),
        ("(FORMAT csv, FORCE_NULL (email, born, score, seen, doc, raw), FORCE_NOT_NULL (ssn))", csv_data()),
        ("WITH CSV HEADER", b'"a\nb",c\n' + csv_data()),
        ("(FORMAT csv, HEADER MATCH)", FULL.replace(" ", "").encode() + b"\n" + csv_data()),
        ("(FORMAT csv, HEADER, DELIMITER ';', QUOTE '''', ESCAPE '\\', ENCODING 'utf-8')",
         b"h\n1;'planted\\'x\\\\;\n';n;'a''b';;;;;\n2;pl'anted'1;;;;;;;\n"),
        ("(DELIMITER ',', NULL '')", b"1,planted-1,,,,,,,\n2,\\,planted,x,,,,,,\n"),
    ],
)  # fmt: skip
def test_from_stdin(twins: Twins, options: str, data: bytes, chunk: int) -> None:
    made = twins.copy_in(f"COPY people FROM STDIN {options}", data, chunk=chunk)
    assert made.sqlstate is None


def test_from_stdin_with_a_column_list(twins: Twins) -> None:
    twins.copy_in(
        "COPY people (ssn, id, email) FROM STDIN", b"planted-s\t1\tplanted-e\n\\N\t2\t\\x70lanted\\055\\061\n"
    )
    twins.copy_in("COPY people (email) FROM STDIN", b"planted-only\n")
    twins.copy_in("COPY people (id, name) FROM STDIN", b"7\tplain\n")
    twins.copy_in('COPY "public" . people(id,email)FROM STDIN WHERE id > 8', b"8\tplanted-8\n9\tplanted-9\n")


@pytest.mark.parametrize(
    ("sql", "data"),
    [
        ("COPY one FROM STDIN", b"a\n\n\\N\nb\\\nc\n\\.\n"),
        ("COPY one FROM STDIN CSV", b'a\n\\.\nb\n'),
        ("COPY one FROM STDIN CSV", b'a\n\\.'),
        ("COPY one FROM STDIN CSV", b'"x\n\\.\ny"\n\n"\\."\n'),
        ("COPY one FROM STDIN", b"\\.\n"),
        ("COPY one FROM STDIN", b""),
        ("COPY one FROM STDIN", b"trailing\\"),
        ("COPY one FROM STDIN", b"\\q\\8\\x\\xg\\x4\\1018\\\r"),
    ],
)  # fmt: skip
def test_odd_data(twins: Twins, sql: str, data: bytes) -> None:
    assert twins.copy_in(sql, data).sqlstate is None
    twins.empty()
    assert twins.copy_in(sql, data, chunk=1).sqlstate is None


@pytest.mark.parametrize(
    ("sql", "data"),
    [
        ("COPY people (id, score) FROM STDIN", b"1\t1\n2\tplanted-no number\n3\t3\n"),
        ("COPY people (id, score) FROM STDIN", b"1\t1\n2\t123456\n"),
        ("COPY people (id, born) FROM STDIN", b"1\t2001-02-30\n"),
        ("COPY people (id, ssn) FROM STDIN", b"1\tx\n2\tplanted-too-long\n"),
        ("COPY people (id, doc) FROM STDIN", b"1\t{\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\nno number\tplanted-2\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\n2\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\n2\tplanted-2\tx\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\n2\tplanted-\\xff\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\n\\.x\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\n\\."),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\r\n\\.\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\n2\tplanted-1\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\r\n2\tplanted-2\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\n2\tplanted-2\r\n"),
        ("COPY people (id, email) FROM STDIN", b"1\tplanted-1\r\n2\tplanted-2\r"),
        ("COPY people (id, email) FROM STDIN CSV", b'1,"planted-1\n'),
        ("COPY people (id, email) FROM STDIN CSV", b'1,"planted\n1"\n2,"planted\n2",x\n'),
        ("COPY people (id, email) FROM STDIN CSV", b"1,planted-1\n2,planted-2\r"),
        ("COPY people (id, score) FROM STDIN CSV", b'1,1\n"2\n",x\n'),
        ("COPY people (id, email) FROM STDIN (FORMAT csv, HEADER MATCH)", b"id,mail\n1,planted\n"),
        ("COPY people (id, email) FROM STDIN (FORMAT csv, HEADER MATCH)", b"id\n1,planted\n"),
        ("COPY people (id, nosuch) FROM STDIN", b"1\tplanted-1\n"),
        ("COPY people (id, email, email) FROM STDIN", b"1\tplanted-1\n"),
        ("COPY people (half, email) FROM STDIN", b"1\tplanted-1\n"),
    ],
)  # fmt: skip
def test_bad_data(twins: Twins, sql: str, data: bytes) -> None:
    made = twins.copy_in(sql, data)
    assert made.sqlstate is not None
    assert twins.sealed.execute("SELECT count(*) FROM people").fetchone() == (0,)
    assert twins.copy_in(sql, data, chunk=3).sqlstate == made.sqlstate
    assert twins.sealed.execute("SELECT 1").fetchone() == (1,)


# -- COPY TO


@pytest.fixture
def filled(twins: Twins) -> Twins:
    assert twins.copy_in("COPY people FROM STDIN", text_data()).sqlstate is None
    for connection in (twins.sealed, twins.plain):
        connection.execute("INSERT INTO one VALUES ('planted-1'), (NULL), (''), ('\\.'), (E'a\\tb\\\\N')")
    return twins


@pytest.mark.parametrize(
    "sql",
    [
        "COPY people TO STDOUT",
        "COPY people (born, id, ssn) TO STDOUT",
        "COPY people TO STDOUT (FORMAT binary)",
        "COPY BINARY people TO STDOUT",
        "COPY people TO STDOUT WITH CSV HEADER",
        "COPY people TO STDOUT (FORMAT csv, FORCE_QUOTE *, NULL 'x')",
        "COPY people TO STDOUT (FORMAT csv, FORCE_QUOTE (email, name), DELIMITER '0')",
        "COPY people TO STDOUT (FORMAT csv, QUOTE 'x', ESCAPE '1', NULL '')",
        "COPY people TO STDOUT (FORMAT csv, QUOTE '''', ESCAPE '\\', DELIMITER '|', HEADER)",
        "COPY people TO STDOUT (DELIMITER '@', NULL 'none', HEADER)",
        "COPY people TO STDOUT (NULL '')",
        "COPY one TO STDOUT",
        "COPY one TO STDOUT CSV",
        "COPY one TO STDOUT (FORMAT csv, NULL '-')",
        "COPY (SELECT id, email, upper(name) FROM people WHERE email = 'planted-a@x') TO STDOUT",
        "COPY (SELECT doc, raw, 'email', email AS e FROM people p WHERE id IN (1, 3)) TO STDOUT (FORMAT csv, HEADER)",
        "COPY (SELECT id FROM people WHERE email IN ('planted-a@x', '')) TO STDOUT CSV",
        "COPY (SELECT coalesce(email, 'planted-none'), count(*) OVER () FROM one) TO STDOUT",
        "COPY (SELECT email, score, seen, born FROM people ORDER BY id) TO STDOUT (FORMAT binary)",
        "COPY (WITH w AS (SELECT * FROM people) SELECT ssn, w.id FROM w) TO STDOUT",
        "COPY (SELECT email FROM one UNION ALL SELECT email FROM one) TO STDOUT",
        "COPY (UPDATE people SET email = 'planted-new' WHERE id = 1 RETURNING email, id, ssn) TO STDOUT CSV",
        "COPY (INSERT INTO one VALUES ('planted-2') RETURNING *) TO STDOUT",
        "COPY (DELETE FROM people WHERE email = 'planted-a@x' RETURNING name) TO STDOUT",
        "COPY (VALUES (1, 'a')) TO STDOUT",
        "COPY (SELECT email FROM people WHERE false) TO STDOUT (FORMAT binary)",
        "TABLE one",
    ],
)  # fmt: skip
@pytest.mark.parametrize("settings", ["", "SET DateStyle = 'German'; SET TimeZone = 'Asia/Kolkata'"])
def test_to_stdout(filled: Twins, sql: str, settings: str) -> None:
    if "HEADER" in sql and "csv" not in sql.lower() and filled.plain.info.server_version < 150000:
        pytest.skip("not applicable: HEADER is for CSV only")
    for connection in (filled.sealed, filled.plain):
        for setting in filter(None, settings.split(";")):
            connection.execute(setting.encode())
    if not sql.startswith("COPY"):
        sql = f"COPY ({sql}) TO STDOUT"
    assert len(filled.copy_out(sql)) >= 1
    filled.check_rows()


def test_bytea_output_escape(filled: Twins) -> None:
    """The server shows envelopes in escape form; what the client gets of a protected bytea is in hex."""
    filled.sealed.execute("SET bytea_output = escape")
    assert filled.copy_out("COPY (SELECT id, email, born, score FROM people) TO STDOUT")
    assert filled.copy_out("COPY (SELECT email FROM people) TO STDOUT CSV")


def test_what_goes_out_comes_in(filled: Twins) -> None:
    for options, more in (("", ""), ("CSV", " FORCE QUOTE *"), ("CSV", ""), ("BINARY", "")):
        data = b"".join(filled.copy_out(f"COPY people TO STDOUT {options}{more}"))
        filled.empty()
        assert filled.copy_in(f"COPY people FROM STDIN {options}", data).tag == f"COPY {len(ROWS)}"
        filled.empty()
        assert filled.copy_in(f"COPY people FROM STDIN {options}", data, chunk=5).tag == f"COPY {len(ROWS)}"


# -- binary

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


def tuple_of(*values: bytes | None) -> bytes:
    fields = b"".join(
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value for value in values
    )
    return struct.pack("!h", len(values)) + fields


@pytest.mark.parametrize(
    ("data", "sqlstate"),
    [
        (HEADER + tuple_of(b"\0\0\0\1", b"planted-1") + tuple_of(None, None) + b"\xff\xff", None),
        (HEADER + tuple_of(b"\0\0\0\1", b"planted-1"), None),
        (HEADER, None),
        (HEADER[:-4] + b"\0\0\0\3abc" + tuple_of(b"\0\0\0\1", b"planted-1") + b"\xff\xff", None),
        (b"PGCOPX" + HEADER[6:] + tuple_of(b"\0\0\0\1", b"planted-1"), "22P04"),
        (HEADER[:13], "22P04"),
        (HEADER[:11] + b"\0\1\0\0" + HEADER[15:], "22P04"),
        (HEADER[:11] + b"\0\4\0\0" + HEADER[15:], "22P04"),
        (HEADER + tuple_of(b"\0\0\0\1", b"planted-1") + b"\xff\xffx", "22P04"),
        (HEADER + tuple_of(b"\0\0\0\1", b"planted-1", b"planted-2"), "22P04"),
        (HEADER + b"\0\2\xff\xff\xff\xfe", "22P04"),
        (HEADER + tuple_of(b"\0\0\0\1", b"planted-\xff"), "22021"),
        (HEADER + tuple_of(b"\0\0\1", b"planted-1"), "08P01"),
    ],
)
def test_binary(twins: Twins, data: bytes, sqlstate: str | None) -> None:
    sql = "COPY people (id, email) FROM STDIN (FORMAT binary)"
    assert twins.copy_in(sql, data).sqlstate == sqlstate
    twins.empty()
    assert twins.copy_in(sql, data, chunk=3).sqlstate == sqlstate


def test_binary_that_ends_early(twins: Twins) -> None:
    made = _copied(
        twins.sealed, "COPY people (id, email) FROM STDIN BINARY", [HEADER + tuple_of(b"\0\0\0\1", b"planted-x")[:-1]]
    )
    assert (made.sqlstate, made.message) == ("22P04", "unexpected EOF in COPY data")


# -- the protocol


def test_several_copies_in_one_text(twins: Twins) -> None:
    """Each takes its own data, and what is plain passes as it is."""
    for connection in (twins.sealed, twins.plain):
        text = (
            "COPY items FROM STDIN; COPY one FROM STDIN; SELECT 1; COPY one FROM STDIN CSV;"
            " COPY one TO STDOUT; COPY items TO STDOUT"
        )
        connection.pgconn.send_query(text.encode())
        said: list[object] = []
        for data in (b"1\tx\\ty\n", b"planted-1\n", b"", b"planted-2\n"):
            result = _next_result(connection)
            said.append(result.status)
            if data:
                connection.pgconn.put_copy_data(data)
                connection.pgconn.put_copy_end()
                said.append(_next_result(connection).command_status)
        for _ in range(2):
            said.append(_next_result(connection).status)
            while (got := _copy_data(connection)) is not None:
                said.append(got)
            said.append(_next_result(connection).command_status)
        assert _next_result(connection) is None
        if connection is twins.sealed:
            through = said
    assert through == said
    twins.check_rows()


def _next_result(connection: psycopg.Connection) -> Any:
    """libpq's next result, without blocking in it: that would keep the proxy's thread from running."""
    while connection.pgconn.flush():
        writable(connection.pgconn.socket, 60)
    while connection.pgconn.is_busy():
        assert readable([connection.pgconn.socket], 60)
        connection.pgconn.consume_input()
    return connection.pgconn.get_result()


def _copy_data(connection: psycopg.Connection) -> bytes | None:
    while True:
        size, data = connection.pgconn.get_copy_data(1)
        if size > 0:
            return bytes(data)
        if size == -1:
            return None
        readable([connection.pgconn.socket], 60)
        connection.pgconn.consume_input()


def test_a_transaction_that_a_bad_value_fails(twins: Twins) -> None:
    connection = twins.sealed
    connection.execute("BEGIN")
    connection.execute("INSERT INTO items VALUES (1, 'x')")
    made = _copied(connection, "COPY people (id, score) FROM STDIN", [b"1\tplanted-bad\n"] * 2000)
    assert (made.sqlstate, made.context) == ("22P02", "COPY people, line 1, column score")
    assert "planted" not in made.message
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    assert connection.execute("COMMIT").statusmessage == "ROLLBACK"
    assert connection.execute("SELECT count(*) FROM items").fetchone() == (0,)


def test_copy_fail(twins: Twins) -> None:
    connection = twins.sealed
    for why, data in ((b"planted-why", [b"planted-1\n"]), (b"", [b"planted-1\n" * 10_000] * 9)):
        connection.pgconn.send_query(b"COPY one FROM STDIN")
        _next_result(connection)
        for piece in data:
            connection.pgconn.put_copy_data(piece)
        connection.pgconn.put_copy_end(why)
        failed = _next_result(connection)
        assert failed.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"57014"
        assert failed.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) == b"COPY from stdin failed: " + why
        assert _next_result(connection) is None
    twins.check_rows()
    assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)


def test_large_data_pass_in_pieces(twins: Twins) -> None:
    rows = [b"%d\tplanted-%d\t%s\n" % (n, n, b"x" * (n % 300)) for n in range(20_000)]
    made = twins.copy_in("COPY people (id, email, name) FROM STDIN", b"".join(rows), chunk=65_537)
    assert made.tag == "COPY 20000"
    assert twins.copy_out("COPY (SELECT id, email, name FROM people ORDER BY id) TO STDOUT") == rows


def test_a_long_value(twins: Twins) -> None:
    value = b"planted-" + b"x\\n\\\\" * 1_000_000
    assert twins.copy_in("COPY one FROM STDIN", value + b"\n", chunk=8192).tag == "COPY 1"
    assert twins.copy_out("COPY one TO STDOUT") == [value + b"\n"]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY people TO '/tmp/planted'",
        "COPY people (id) TO '/tmp/planted'",
        "COPY people FROM '/tmp/planted'",
        "COPY people FROM PROGRAM 'echo planted'",
        "COPY (SELECT email FROM people) TO PROGRAM 'cat'",
        "COPY people (id, email) FROM STDIN WHERE email = 'planted'",
        "COPY people FROM STDIN (ENCODING latin1)",
        "COPY people FROM STDIN (FORMAT csv, QUOTE '\\')",
        "COPY people FROM STDIN (FORMAT csv, NULL 'a,b')",
        "COPY people FROM STDIN (FORMAT parquet)",
        "COPY people FROM STDIN (DELIMITER 'a')",
        "COPY people FROM STDIN (NULL 'x', NULL 'y')",
        "COPY people FROM STDIN (HEADER 2)",
        "COPY people TO STDOUT (FORMAT binary, DELIMITER '|')",
        "COPY (SELECT lower(email) || 'planted' FROM people) TO STDOUT",
        "COPY (SELECT people FROM people) TO STDOUT",
    ],
)
def test_refused(twins: Twins, sql: str) -> None:
    mark = len(twins.database.logged())
    with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
        twins.sealed.execute(sql.encode())
    assert caught.value.diag.message_hint
    assert "planted" not in twins.database.logged()[mark:]
    assert twins.sealed.execute("SELECT 1").fetchone() == (1,)


def test_bad_values_can_be_skipped(twins: Twins) -> None:
    if twins.plain.info.server_version < 170000:
        pytest.skip("not applicable: ON_ERROR came with PostgreSQL 17")
    data = b"1\t1.5\t2001-01-01\n2\tplanted\t\\N\nx\t1\t\\N\n4\t99999\t\\N\n5\t1\tplanted\n6\t2\t\\N\n"
    for options in ("(ON_ERROR ignore)", "(FORMAT csv, ON_ERROR 'ignore', LOG_VERBOSITY verbose)"):
        made = twins.copy_in(
            f"COPY people (id, score, born) FROM STDIN {options}",
            data.replace(b"\\N", b"").replace(b"\t", b",") if "csv" in options else data,
        )
        assert made.tag == "COPY 2"
    assert twins.copy_in("COPY people (id, score) FROM STDIN (ON_ERROR stop)", data[:10] + b"x\n").sqlstate


def test_defaults_can_be_named(twins: Twins) -> None:
    if twins.plain.info.server_version < 160000:
        pytest.skip("not applicable: DEFAULT came with PostgreSQL 16")
    made = twins.copy_in("COPY people (id, name, email) FROM STDIN (DEFAULT '#')", b"1\t#\tplanted-1\n#\t\\#\t\\#\n")
    assert made.sqlstate == "22P04"  # id has no default
    assert twins.copy_in("COPY people (name, email) FROM STDIN (DEFAULT '#')", b"#\tplanted-1\n\\#\t\\#\n").tag


# -- drivers


def test_psycopg_rows(twins: Twins) -> None:
    with twins.sealed.cursor() as cursor:
        with cursor.copy("COPY people (id, email, score) FROM STDIN") as copy:
            copy.write_row((1, "planted-\t1", 1.5))
            copy.write_row((2, None, None))
        with cursor.copy("COPY people (id, email, born) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text", "date"])
            copy.write_row((3, "planted-3", date(2001, 2, 3)))
            copy.write_row((4, None, None))
        with cursor.copy("COPY (SELECT id, email, score FROM people WHERE id < %s) TO STDOUT", [3]) as copy:
            copy.set_types(["int4", "text", "numeric"])
            assert [(i, e, s and str(s)) for i, e, s in copy.rows()] == [(1, "planted-\t1", "1.50"), (2, None, None)]
        with cursor.copy("COPY (SELECT id, email FROM people WHERE id > 2) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            assert list(copy.rows()) == [(3, "planted-3"), (4, None)]


def test_psycopg2(twins: Twins) -> None:
    connection = psycopg2.connect(twins.database.dsn())
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.copy_expert("COPY one FROM STDIN", io.StringIO("planted-1\nplanted-2\n"))
            out = io.StringIO()
            cursor.copy_expert("COPY one TO STDOUT CSV", out)
            assert out.getvalue() == "planted-1\nplanted-2\n"
            with pytest.raises(psycopg2.Error) as caught:
                cursor.copy_expert("COPY people (born) FROM STDIN", io.StringIO("planted\n" * 100_000))
            assert caught.value.pgcode == "22007"
            cursor.execute("SELECT count(*) FROM people")
            assert cursor.fetchone() == (0,)
    finally:
        connection.close()


def test_asyncpg(twins: Twins) -> None:
    async def run() -> tuple[str, bytes, bytes]:
        connection = await asyncpg.connect(twins.database.dsn())
        try:
            records = [(n, f"planted-{n}") for n in range(3000)]
            tag = await connection.copy_records_to_table("people", records=records, columns=["id", "email"])
            with pytest.raises(asyncpg.exceptions.InvalidTextRepresentationError):
                await connection.copy_to_table("people", source=io.BytesIO(b"9\tplanted\n"), columns=["id", "score"])
            text, binary = io.BytesIO(), io.BytesIO()
            # asyncpg lets the server quote the arguments, in a statement that names no table
            query = "SELECT id, email FROM people WHERE id = $1 OR email = 'planted-18' ORDER BY id"
            await connection.copy_from_query(query, 17, output=text)
            await connection.copy_from_table("people", columns=["email"], output=binary, format="binary")
            return tag, text.getvalue(), binary.getvalue()
        finally:
            await connection.close()

    tag, text, binary = asyncio.run(run())
    assert (tag, text) == ("COPY 3000", b"17\tplanted-17\n18\tplanted-18\n")
    assert binary.count(b"planted-") == 3000


def test_psql(twins: Twins, tmp_path: Any) -> None:
    psql = twins.database.server.bin_dir / "psql"
    if not psql.exists():
        pytest.skip("not applicable: this server comes without psql")
    data = tmp_path / "people.csv"
    data.write_bytes(csv_data())
    script = (
        f"\\copy people from '{data}' csv\n"
        "\\copy (select id, email from people) to stdout\n"
        "copy one from stdin;\nplanted-1\n\\.\ncopy one to stdout;\n"
    )
    done = subprocess.run(
        [psql, "-X", "-q", twins.database.dsn()], input=script.encode(), capture_output=True, timeout=60
    )
    assert done.stderr == b""
    assert done.stdout.endswith(b"planted-1\n")
    assert b"1\tplanted-a@x\n" in done.stdout
