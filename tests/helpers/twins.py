"""Two databases with one schema and the same rows: one sealed behind a proxy, the other plain and reached directly.

A statement is run on both, and whatever the proxy gives must be what the plain
twin gives, or a refusal. The plain twin lies on a server of its own, because
the protected one is searched for plaintext. Statements go through libpq's
lowest layer, so that protocol and formats are the caller's choice.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq

from pgcrypt_proxy.crypto import envelope
from pgcrypt_proxy.crypto.keyring import Keyring
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.observer import SilentObserver
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.values import casts, codec
from tests.helpers.leaks import PLANTED
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.ready import readable
from tests.helpers.servers import PostgresServer
from tests.helpers.twin_schema import COLUMNS, EMPTY, FILL, OBJECTS, SCHEMA, TABLES

#: SQLSTATEs with which the proxy refuses; what else it says by itself is about a value, and must be what the twin says.
REFUSALS = frozenset({"0A000", "55000", "42601", "54001", "42P01"})

#: A parameter's type cannot be told: one use of it may be another parameter upstream, and then it is the other error.
UNDETERMINED = frozenset({"42P08", "42P18"})

ANSWER_TIMEOUT_S = 30.0
#: Parameters as they travel; psycopg's own annotations leave out NULL.
Wire = Any

#: An envelope as bytea's text output shows it, at least as long as the shortest.
_ENVELOPE_TEXT = re.compile(rb"\\+x01[0-9a-f]{%d,}" % (2 * envelope.MIN_LENGTH - 2))
#: And as its binary output does: the header, with few keys made so far.
_ENVELOPE_START = re.compile(rb"\x01[\x00-\x03\x10-\x13]\x00\x00.{%d}" % (envelope.MIN_LENGTH - 4), re.DOTALL)
#: Of an object that is made after the database itself. Source: transam.h, FirstNormalObjectId
FIRST_NORMAL_OID = 16384
_EXPLAIN = re.compile(r"\s*explain\b", re.IGNORECASE)


class Form(Enum):
    """How a statement travels: one Query; Parse to Sync at once; or a named statement, executed twice."""

    SIMPLE = "simple"
    EXTENDED = "extended"
    PREPARED = "prepared"


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter: its `text` form (None: NULL), the type declared for it (0: none), and how it travels.

    Where none is declared, a binary value is sent as the type that the plain
    server infers, as drivers do that ask for the types first; `sent_as` is for
    where it cannot say.
    """

    text: bytes | None
    type_oid: int = 0
    is_binary: bool = False
    sent_as: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back for a statement; `sqlstate` is None when it succeeded.

    `before` holds the outcomes before this one: of the other statements of a
    simple query, or of a prepared statement's first execution. Parameter and
    described types are known for prepared statements only.
    """

    sqlstate: str | None = None
    message: str = ""
    hint: str = ""
    detail: str = ""
    routine: str = ""  # where in the server an error was raised; the proxy's own errors come from nowhere
    tag: str = ""
    names: tuple[str, ...] = ()
    type_oids: tuple[int, ...] = ()
    type_modifiers: tuple[int, ...] = ()
    rows: tuple[tuple[bytes | None, ...], ...] = ()
    parameter_oids: tuple[int, ...] = ()
    described_oids: tuple[int, ...] = ()
    before: tuple[Outcome, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether the proxy made this error itself."""
        return self.sqlstate is not None and not self.routine

    @property
    def is_refusal(self) -> bool:
        """Whether the proxy refused, instead of saying that a value is none of the column's type."""
        return self.is_own and self.sqlstate in REFUSALS


class Leg:
    """One libpq connection, and the names of what it has prepared."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._numbers = itertools.count(1)
        self._connect()

    def _connect(self) -> None:
        self._owner = psycopg.connect(self._dsn, autocommit=True)
        self._pgconn = self._owner.pgconn

    @property
    def is_idle(self) -> bool:
        """Whether it is outside of a transaction."""
        return self._pgconn.transaction_status == pq.TransactionStatus.IDLE

    @property
    def is_usable(self) -> bool:
        return self._pgconn.status == pq.ConnStatus.OK

    def simple(self, sql: str) -> Outcome:
        """A Query message, with all its statements."""
        self._pgconn.send_query(sql.encode())
        *before, last = (_outcome(result) for result in self._results())
        return replace(last, before=tuple(before))

    def extended(self, sql: str, values: Sequence[Value], wire: Wire, is_binary: bool) -> Outcome:
        """Parse, Bind, Describe, Execute, Sync in one go, unnamed."""
        self._pgconn.send_query_params(
            sql.encode(),
            wire,
            param_types=[value.type_oid for value in values],
            param_formats=_formats(values),
            result_format=pq.Format(is_binary),
        )
        return _outcome(self._result())

    def prepared(self, sql: str, values: Sequence[Value], wire: Wire, is_binary: bool) -> Outcome:
        """A named statement, described, executed twice, deallocated."""
        name = f"s{next(self._numbers)}".encode()
        self._pgconn.send_prepare(name, sql.encode(), [value.type_oid for value in values])
        made = _outcome(self._result())
        if made.sqlstate is not None:
            return made
        self._pgconn.send_describe_prepared(name)
        described = self._result()
        about = _outcome(described)
        if about.sqlstate is not None:
            return about
        oids = tuple(described.param_type(n) for n in range(described.nparams))
        outcomes: list[Outcome] = []
        for _ in range(2):
            self._pgconn.send_query_prepared(name, wire, _formats(values), pq.Format(is_binary))
            made = _outcome(self._result())
            outcomes.append(replace(made, parameter_oids=oids, described_oids=about.type_oids))
            if made.sqlstate is not None:
                break
        if self._pgconn.transaction_status != pq.TransactionStatus.INERROR:
            self.simple(f"DEALLOCATE {name.decode()}")
        *before, last = outcomes
        return replace(last, before=tuple(before))

    def inferred_types(self, sql: str, values: Sequence[Value]) -> tuple[int, ...]:
        """The parameters' types as the server infers them; none when it cannot, or in a failed transaction."""
        if self._pgconn.transaction_status == pq.TransactionStatus.INERROR:
            return ()
        in_transaction = not self.is_idle
        if in_transaction:
            self.must("SAVEPOINT inferring")
        self._pgconn.send_prepare(b"", sql.encode(), [value.type_oid for value in values])
        made = _outcome(self._result())
        oids: tuple[int, ...] = ()
        if made.sqlstate is None:
            self._pgconn.send_describe_prepared(b"")
            described = self._result()
            oids = tuple(described.param_type(n) for n in range(described.nparams))
        if in_transaction:
            self.must("ROLLBACK TO inferring; RELEASE inferring")
        return oids

    def _results(self) -> list[pq.abc.PGresult]:
        """All results of what was sent. Never blocks in libpq, which would keep the proxy's thread from running."""
        found: list[pq.abc.PGresult] = []
        while True:
            while self._pgconn.is_busy():
                if not readable([self._pgconn.socket], ANSWER_TIMEOUT_S):
                    raise AssertionError("no answer")
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
            if result is None:
                return found
            if result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH):
                raise AssertionError("COPY does not go through here")
            found.append(result)

    def _result(self) -> pq.abc.PGresult:
        (result,) = self._results()
        return result

    def settle(self) -> None:
        """As new: no transaction, no settings, no cursors, no prepared statements."""
        if not self.is_usable:
            self._owner.close()
            self._connect()
        if not self.is_idle:
            self.simple("ROLLBACK")
        self.must("DISCARD ALL")

    def must(self, sql: str) -> Outcome:
        """A Query that cannot fail."""
        done = self.simple(sql)
        assert done.sqlstate is None, f"{done.sqlstate} {done.message}: {sql[:200]}"
        return done

    def close(self) -> None:
        self._owner.close()


class Twins:
    """The protected database behind its proxy, and its plain twin. Made by `running_twins`."""

    def __init__(self, database: ProtectedDatabase, plain_server: PostgresServer, plain_name: str) -> None:
        self.database = database
        self._through_dsn, self._plain_dsn = database.dsn(), plain_server.dsn(plain_name)
        self.through, self.plain = Leg(self._through_dsn), Leg(self._plain_dsn)
        # the state is read and reset on connections of its own, whatever a statement has done to the two above
        self._through_state, self._plain_state = Leg(self._through_dsn), Leg(self._plain_dsn)
        self._direct = Leg(database.server.dsn(database.name))
        self._sent: dict[tuple[int, bytes], bytes | None] = {}
        self._protected = _protected_columns(database)
        self._values, self._keyring = _unlocked(database)
        self._structure = self._plain_state.must(_STRUCTURE)
        self.reset()

    # -- statements

    def run(
        self,
        sql: str,
        values: Sequence[Value] = (),
        *,
        form: Form = Form.SIMPLE,
        is_result_binary: bool = False,
    ) -> tuple[Outcome, Outcome]:
        """The statement through the proxy, and on the plain twin."""
        if form is Form.SIMPLE:
            assert not values, "a simple query has no parameters"
            return self.through.simple(sql), self.plain.simple(sql)
        wire = self._wire_forms(sql, values)
        if form is Form.EXTENDED:
            return (
                self.through.extended(sql, values, wire, is_result_binary),
                self.plain.extended(sql, values, wire, is_result_binary),
            )
        return (
            self.through.prepared(sql, values, wire, is_result_binary),
            self.plain.prepared(sql, values, wire, is_result_binary),
        )

    def _wire_forms(self, sql: str, values: Sequence[Value]) -> list[bytes | None]:
        """The values' bytes in their formats; binary is what the plain server's own send function gives."""
        inferred: tuple[int, ...] = ()
        if any(value.is_binary and not value.type_oid for value in values):
            inferred = self.plain.inferred_types(sql, values)
        forms: list[bytes | None] = []
        for number, value in enumerate(values):
            if value.text is None or not value.is_binary:
                forms.append(value.text)
                continue
            oids = [value.type_oid or (inferred[number] if inferred else 0), value.sent_as]
            sent = next((made for oid in oids if oid and (made := self._sent_as(oid, value.text)) is not None), None)
            assert sent is not None, f"no binary form of {value}"
            forms.append(sent)
        return forms

    def _sent_as(self, type_oid: int, text: bytes) -> bytes | None:
        """The binary form of a value of a type; None when its text is none of the type."""
        key = (type_oid, text)
        if key not in self._sent:
            name = self._plain_state.must(f"SELECT {type_oid}::regtype").rows[0][0]
            assert name is not None
            asked = self._plain_state.extended(f"SELECT $1::{name.decode()}", [Value(text, type_oid)], [text], True)
            self._sent[key] = asked.rows[0][0] if asked.sqlstate is None else None
        return self._sent[key]

    def compare(self, through: Outcome, plain: Outcome, *, is_ordered: bool, sql: str = "") -> str | None:
        """None when both are equal or the proxy refused; else what differs.

        A statement that EXPLAINs (`sql` says so) need not describe the same plan.
        """
        if (shown := shown_to_client(through)) is not None:
            return shown
        if through.is_refusal:
            return None
        if len(through.before) != len(plain.before):
            return f"{len(through.before) + 1} results, expected {len(plain.before) + 1}"
        for one, other in zip((*through.before, through), (*plain.before, plain), strict=True):
            difference = _difference(one, other, is_ordered, is_text_free=_EXPLAIN.match(sql) is not None)
            if difference is not None:
                return difference
        return None

    # -- state

    def reset(self) -> None:
        """Both databases back to their start rows, and the connections to statements as new."""
        self.settle()
        if self._plain_state.must(_STRUCTURE) != self._structure:
            # what the proxy refused, the plain twin may have done: its tables are made anew
            self._plain_state.must(f"DROP SCHEMA public, other CASCADE; CREATE SCHEMA public; {SCHEMA}; {OBJECTS}")
            self._structure = self._plain_state.must(_STRUCTURE)
        left = _objects(self._direct) - BASELINE
        for kind, name in left:
            self._direct.must(f"DROP {kind} IF EXISTS {name} CASCADE")
        if left:
            self.database.running.refresh_catalog()
        for leg in (self._direct, self._plain_state):
            leg.must(EMPTY)
        self._through_state.must(FILL)
        self._plain_state.must(FILL)
        self.start = self.mark()

    def settle(self) -> None:
        """The connections to statements as new; the contents as they are."""
        self.through.settle()
        self.plain.settle()

    def mark(self) -> tuple[object, object]:
        """Everything stored in both databases, sequences too: equal marks mean that nothing has changed."""
        return self.stored_mark(), self._mark(self._plain_state)

    def stored_mark(self) -> Outcome:
        """Everything stored in the protected database, as it is stored."""
        return self._mark(self._direct)

    def _mark(self, leg: Leg) -> Outcome:
        structure = leg.must(_STRUCTURE)
        if leg is self._plain_state and structure != self._structure:
            return structure  # there may be no tables left to read
        made = leg.must(_MARK)
        return replace(made, before=(structure, *made.before))

    def check_state(self) -> list[str]:
        """What is wrong with the contents: seen through the proxy, and as they are stored. Nothing, one hopes."""
        problems = []
        plain = _all(self._plain_state.must(_READ))
        through = _all(self._through_state.must(_READ))
        stored = _all(self._direct.must(_READ))
        for table, expected, seen, raw in zip(TABLES, plain, through, stored, strict=True):
            difference = _difference(seen, expected, is_ordered=True)
            if difference is not None:
                problems.append(f"{table} through the proxy: {difference}")
            problems += self._stored_problems(table, expected, raw)
        objects, expected_objects = _objects(self._direct), _objects(self._plain_state)
        if objects != expected_objects:
            problems.append(f"made {sorted(objects - BASELINE)}, expected {sorted(expected_objects - BASELINE)}")
        for kind, name in objects & expected_objects - BASELINE:
            if kind == "TABLE":
                seen, expected = (leg.must(f"TABLE {name}") for leg in (self._direct, self._plain_state))
                if Counter(seen.rows) != Counter(expected.rows):
                    problems.append(f"{name} does not hold what its twin holds")
        return problems

    def _stored_problems(self, table: str, expected: Outcome, raw: Outcome) -> Iterator[str]:
        if len(expected.rows) != len(raw.rows):
            yield f"{table} has {len(raw.rows)} rows, expected {len(expected.rows)}"
            return
        for index, name in enumerate(expected.names):
            column = self._protected.get((table, name))
            for row, (value, wanted) in enumerate(
                (r[index], e[index]) for r, e in zip(raw.rows, expected.rows, strict=True)
            ):
                where = f"{table}.{name}, row {row}"
                if column is None:
                    if value is not None and _ENVELOPE_TEXT.search(value):
                        yield f"{where} is a plain column and holds an envelope"
                    elif value != wanted:
                        yield f"{where} differs from its twin"
                elif value is None or wanted is None:
                    if value is not wanted:
                        yield f"{where}: one of the twins is NULL"
                else:
                    yield from (f"{where} {what}" for what in self._envelope_problems(column, value, wanted))

    def _envelope_problems(self, column: ProtectedColumn, value: bytes, wanted: bytes) -> Iterator[str]:
        """`value` is bytea's text output of what is stored, `wanted` the twin's value in text form."""
        try:
            data = bytes.fromhex(value.removeprefix(b"\\x").decode())
            parts = envelope.parse(data)
        except (ValueError, PgcryptError):
            yield "holds no envelope"
            return
        if len(wanted) > 3 and wanted in data:
            yield "contains its plaintext"
        try:
            opened = self._values.opener(column, 0)(value)
        except PgcryptError as error:
            yield f"does not open: {error.message}"
            return
        if opened != wanted:
            yield "opens to another value than its twin's"
        plaintext = codec.from_text(column.type, wanted, self._values.settings)
        terms = []
        if "equality" in column.search:
            key = codec.equality_key(column.type, plaintext)
            terms.append(self._keyring.equality_term(column.index_domain, key, column.index_generation))
        if "equality_casefold" in column.search:
            key = casts.casefold_key(column.type, plaintext)
            terms.append(self._keyring.casefold_term(column.index_domain, key, column.index_generation))
        if parts.terms != tuple(terms):
            yield "has other index terms than its value"

    def close(self) -> None:
        for leg in (self.through, self.plain, self._through_state, self._plain_state, self._direct):
            leg.close()
        self._keyring.zeroise()


#: Relations and functions that the schema makes, so that others can be told from them.
BASELINE: frozenset[tuple[str, str]] = frozenset(
    {("TABLE", table) for table in TABLES}
    | {("VIEW", "public.v_users"), ("VIEW", "public.v_items")}
    | {("ROUTINE", f"public.{made}") for made in ("count_users()", "double(integer)", "same_text(text)")}
)
_READ = ";".join(f"SELECT * FROM {table} ORDER BY id" for table in TABLES)
_OBJECTS = """
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
       n.nspname || '.' || pg_catalog.quote_ident(c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname IN ('public', 'other')
UNION ALL
SELECT 'ROUTINE', n.nspname || '.' || pg_catalog.quote_ident(p.proname)
       || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('public', 'other')
"""
#: Everything that DDL can change, in any form that shows a change.
_STRUCTURE = """
SELECT pg_catalog.md5(pg_catalog.string_agg(line, ';' ORDER BY line)) FROM (
    SELECT pg_catalog.concat(attrelid, attname, atttypid, atttypmod, attnotnull, atthasdef, attisdropped) AS line
    FROM pg_catalog.pg_attribute WHERE attnum > 0 AND attrelid >= 16384
    UNION ALL SELECT pg_catalog.concat(oid, relname, relkind, relrowsecurity, relpersistence) FROM pg_catalog.pg_class
    WHERE oid >= 16384 AND relkind <> 't'
    UNION ALL SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint WHERE oid >= 16384
    UNION ALL SELECT pg_catalog.pg_get_triggerdef(oid) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT pg_catalog.pg_get_ruledef(oid) FROM pg_catalog.pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT pg_catalog.concat(oid, prosrc) FROM pg_catalog.pg_proc WHERE oid >= 16384
) structure
"""
#: Text output at any setting; sequences count, because a later INSERT would show them.
_MARK = f"{_READ};SELECT sequencename, last_value FROM pg_catalog.pg_sequences ORDER BY 1"


@contextlib.contextmanager
def running_twins(server: PostgresServer, plain_server: PostgresServer, folder: Path) -> Iterator[Twins]:
    """Twins with the schema and start rows of `twin_schema`, the protected one on `server`.

    `folder` gets the rules and the KEK. Nothing may look for planted values on `plain_server`.
    """
    assert server is not plain_server
    with protected(server, folder, SCHEMA, COLUMNS) as database, plain_server.database() as plain_name:
        with plain_server.connect(plain_name) as connection:
            connection.execute(SCHEMA.encode())
            connection.execute(OBJECTS.encode())
        with database.direct() as connection:
            connection.execute(OBJECTS.encode())
        database.running.refresh_catalog()
        twins = Twins(database, plain_server, plain_name)
        try:
            yield twins
        finally:
            twins.close()


def shown_to_client(outcome: Outcome) -> str | None:
    """Ciphertext or the product's own names in what the client got, or plaintext in an error; None when there is none.

    For what came through the proxy.
    """
    for one in (*outcome.before, outcome):
        error = " ".join((one.message, one.hint, one.detail))
        if one.sqlstate is not None and PLANTED in error:
            return f"an error repeats a value: {one.sqlstate} {error}"
        if "pgcrypt." in error or _ENVELOPE_TEXT.search(error.encode()):
            return f"an error shows what is stored: {one.sqlstate} {error}"
        for row in one.rows:
            for value in row:
                if value is not None and (_ENVELOPE_TEXT.search(value) or _ENVELOPE_START.match(value)):
                    return "ciphertext in a result"
    return None


def _difference(through: Outcome, plain: Outcome, is_ordered: bool, *, is_text_free: bool = False) -> str | None:
    if through.sqlstate != plain.sqlstate and not {through.sqlstate, plain.sqlstate} <= UNDETERMINED:
        return f"{_said(through)}, expected {_said(plain)}"
    for what in ("tag", "names", "type_oids", "type_modifiers", "parameter_oids", "described_oids"):
        got, wanted = getattr(through, what), getattr(plain, what)
        if what.endswith("_oids"):
            got, wanted = _shared(got), _shared(wanted)
        if got != wanted and not (is_text_free and what == "tag"):
            return f"{what.replace('_', ' ')} {got!r}, expected {wanted!r}"
    if is_text_free:
        return None
    same = through.rows == plain.rows if is_ordered else Counter(through.rows) == Counter(plain.rows)
    return None if same else f"rows {through.rows!r}, expected {plain.rows!r}"


def _shared(oids: Sequence[int]) -> list[int]:
    """Types that each database has made for itself, as rows of tables, have another number in each."""
    return [min(oid, FIRST_NORMAL_OID) for oid in oids]


def _said(outcome: Outcome) -> str:
    return "success" if outcome.sqlstate is None else f"{outcome.sqlstate} ({outcome.message})"


def _formats(values: Sequence[Value]) -> list[int]:
    return [int(value.is_binary) for value in values]


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _outcome(result: pq.abc.PGresult) -> Outcome:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        return Outcome(
            sqlstate=_text(result.error_field(pq.DiagnosticField.SQLSTATE)) or "connection lost",
            message=_text(result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)) or _text(result.error_message),
            hint=_text(result.error_field(pq.DiagnosticField.MESSAGE_HINT)),
            detail=_text(result.error_field(pq.DiagnosticField.MESSAGE_DETAIL)),
            routine=_text(result.error_field(pq.DiagnosticField.SOURCE_FUNCTION)),
        )
    columns = range(result.nfields)
    return Outcome(
        tag=_text(result.command_status),
        names=tuple(_text(result.fname(n)) for n in columns),
        type_oids=tuple(result.ftype(n) for n in columns),
        type_modifiers=tuple(result.fmod(n) for n in columns),
        rows=tuple(tuple(result.get_value(row, n) for n in columns) for row in range(result.ntuples)),
    )


def _all(outcome: Outcome) -> tuple[Outcome, ...]:
    return (*outcome.before, replace(outcome, before=()))


def _objects(leg: Leg) -> frozenset[tuple[str, str]]:
    return frozenset((_text(kind), _text(name)) for kind, name in leg.must(_OBJECTS).rows)


def _protected_columns(database: ProtectedDatabase) -> dict[tuple[str, str], ProtectedColumn]:
    catalog = database.running.proxy.world.planner.catalog
    return {(f"{c.schema}.{c.table}", c.name): c for c in catalog.protected_columns}


def _unlocked(database: ProtectedDatabase) -> tuple[Values, Keyring]:
    """The database's keys, unwrapped for as long as the tests run."""
    with connect(database.server.dsn(database.name)) as connection:
        keyring = KeyringStore(connection, FileProvider(database.kek)).unlock(ttl_s=24 * 3600)
    observer = SilentObserver()
    return Values(keyring, observer, Meter(observer, time.monotonic)), keyring


__all__ = ["BASELINE", "Form", "Leg", "Outcome", "Twins", "Value", "running_twins", "shown_to_client"]
