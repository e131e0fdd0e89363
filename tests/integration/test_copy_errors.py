"""Bad COPY data beside a plain twin: the row, the column and the SQLSTATE that the server finds first."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

import psycopg
import pytest

from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = """
CREATE TABLE people (
    id int CHECK (id < 1000), email text, day date, born date, flag bool, score numeric(6,2), key uuid,
    doc jsonb, name varchar(5), note text UNIQUE
);
"""
COLUMNS = """
{table: people, column: email, type: text, search: [equality]}
{table: people, column: born, type: date}
{table: people, column: score, type: "numeric(6,2)", search: [equality]}
{table: people, column: doc, type: jsonb}
"""
NAMES = ("id", "email", "day", "born", "flag", "score", "key", "doc", "name", "note")
GOOD = ("1", "planted-x", "2001-02-03", "2001-02-03", "t", "1.5", "1" * 32, "{}", "n", "note")
#: What is wrong with each column's value, in one way or two.
BAD = {
    "id": ("no number", "99999999999"),
    "email": ("planted-\\xff",),
    "day": ("no day", "2001-02-30"),
    "born": ("no day", "2001-02-30"),
    "flag": ("perhaps",),
    "score": ("no number", "99999"),
    "key": ("short",),
    "doc": ("{",),
    "name": ("too long",),
    "note": ("\\xff",),
}


class Twins:
    def __init__(self, sealed: ProtectedDatabase, plain: psycopg.Connection) -> None:
        self.sealed = sealed.connect()
        self.plain = plain

    def check(self, options: str, data: bytes, columns: tuple[str, ...] = NAMES, *, chunk: int = 1 << 20) -> str | None:
        sql = f"COPY people ({', '.join(columns)}) FROM STDIN {options}"
        through, plain = (self.outcome(c, sql, data, chunk) for c in (self.sealed, self.plain))
        assert through == plain, (options, data)
        return through[0]

    def outcome(self, connection: psycopg.Connection, sql: str, data: bytes, chunk: int) -> tuple[str | None, str]:
        """SQLSTATE, and where: "line 2, column born"."""
        connection.execute("TRUNCATE people")
        try:
            with connection.cursor() as cursor, cursor.copy(sql.encode()) as copy:
                for at in range(0, len(data), chunk):
                    copy.write(data[at : at + chunk])
        except psycopg.Error as error:
            place = (error.diag.context or "").partition("people, ")[2].split(":")[0]
            # of bytes that are no text, of rows that are flushed together, the server names a line it got to
            return error.sqlstate, "" if error.sqlstate in ("22021", "23505", "23514") else place
        return None, ""


@pytest.fixture(scope="module")
def twins(
    postgres: PostgresServer, plain_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Twins]:
    with (
        protected(postgres, tmp_path_factory.mktemp("copy"), SCHEMA, COLUMNS) as sealed,
        plain_server.database() as name,
        plain_server.connect(name) as plain,
    ):
        plain.execute(SCHEMA.encode())
        made = Twins(sealed, plain)
        yield made
        made.sealed.close()


def row(*changes: tuple[str, str], delimiter: str = "\t", count: int | None = None) -> bytes:
    values = {**dict(zip(NAMES, GOOD, strict=True)), **dict(changes)}
    fields = [values[name] for name in NAMES]
    return delimiter.join(fields[:count] + ["x"] * ((count or 0) - len(fields))).encode() + b"\n"


PAIRS = [
    ((one, first), (other, second))
    for one, other in itertools.combinations(NAMES, 2)
    for first in BAD[one]
    for second in BAD[other]
]


def test_one_bad_value(twins: Twins) -> None:
    for name, values in BAD.items():
        for value in values:
            if name == "name" or value == "99999":
                continue  # lengths and scales are the server's
            assert twins.check("", row() + row((name, value), ("note", "other")) + row()) is not None


def test_of_two_the_first(twins: Twins) -> None:
    """A modifier of a plain column alone is not known to the proxy: name is left out where it comes first."""
    for first, second in PAIRS:
        if first[0] != "name":
            assert twins.check("", row(first, second)) is not None
            assert twins.check("(FORMAT csv)", row(first, second, delimiter=",").replace(b"\\xff", b"\xff")) is not None


def test_too_few_and_too_many(twins: Twins) -> None:
    for count in (1, 2, 4, 9, 11):
        for name in (None, *NAMES[: min(count, 8)]):
            for value in BAD[name] if name else ("",):
                bad = [(name, value)] if name else []
                assert twins.check("", row(*bad, count=count)) is not None
    assert twins.check("", b"\n") is not None
    assert twins.check("(FORMAT csv)", b'1,"planted') is not None
    assert twins.check("(FORMAT csv)", b'no number,"planted\xff') is not None


@pytest.mark.parametrize("chunk", [1 << 20, 100, 7])
def test_rows_before_are_the_servers_to_judge(twins: Twins, chunk: int) -> None:
    """Whatever comes in one message with the bad row."""
    bad = row(("born", "no day"), ("note", "last"))
    for before in (
        row(("id", "no number")),
        row(("name", "too long")),
        row(("id", "5000")),
        row() + row(),
        row(("flag", "perhaps")) + row(("note", "other")),
        b"\\N" + row()[1:],
    ):
        assert twins.check("", before + bad, chunk=chunk) is not None
        assert twins.check("", before + bad[:-1], chunk=chunk) is not None
        assert twins.check("", before + b"too few\n", chunk=chunk) is not None
        assert twins.check("", before + b"\\.x\n", chunk=chunk) is not None


def tuples(*rows: tuple[bytes | None, ...]) -> bytes:
    made = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for values in rows:
        made += struct.pack("!h", len(values))
        for value in values:
            made += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return made + b"\xff\xff"


def test_binary(twins: Twins) -> None:
    columns = ("id", "born", "flag", "doc", "note")
    good = (struct.pack("!i", 1), struct.pack("!i", 1), b"\1", b"\1{}", b"n")
    bad = (b"\0", b"\0", b"\1\1", b"\2{}", b"\xff")
    for one, other in itertools.combinations_with_replacement(range(5), 2):
        made = tuple(bad[n] if n in (one, other) else good[n] for n in range(5))
        for chunk in (1 << 20, 5):
            data = tuples((*good[:4], b"other"), made)
            assert twins.check("(FORMAT binary)", data, columns, chunk=chunk) is not None
    for place, value in enumerate(bad[:3]):
        values = [*good]
        values[place] = value
        data = tuples(tuple(values))
        at = data.rindex(struct.pack("!i", 1) + b"n")
        assert twins.check("(FORMAT binary)", data[:at] + struct.pack("!i", -2) + data[at + 4 :], columns) is not None
