"""Messages and openings that many session tests share."""

from __future__ import annotations

import struct
from typing import Any

from pgcrypt_proxy.session.commands import OpenBackend
from pgcrypt_proxy.session.events import BackendOpened
from pgcrypt_proxy.session.session import Session
from pgcrypt_proxy.sql.plan import LiteralSlot, ParameterUse, Plan, Splice, StatementPlan, Use
from pgcrypt_proxy.wire import rows
from pgcrypt_proxy.wire.backend import (
    Authentication,
    CommandComplete,
    ErrorResponse,
    FieldDescription,
    ParameterStatus,
    ReadyForQuery,
    RowDescription,
)
from pgcrypt_proxy.wire.frontend import Bind, Describe, Execute, Parse, Query
from tests.helpers.playbook import Playbook, backend, frontend, to_backend, to_frontend
from tests.helpers.session_doubles import EMAIL, USERS_OID, GlassKeyring, RecordingObserver, ScriptedPlanner

PARSED, BOUND, CLOSED, NO_DATA, SUSPENDED = (k + b"\0\0\0\4" for k in (b"1", b"2", b"3", b"n", b"s"))


def packet(code: int, body: bytes = b"") -> bytes:
    return struct.pack("!ii", len(body) + 8, code) + body


SSL_REQUEST, GSSENC_REQUEST = packet(80877103), packet(80877104)


def startup(**parameters: str) -> bytes:
    pairs = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in parameters.items())
    return packet(3 << 16, pairs + b"\0")


STARTUP = startup(user="app", database="shop")
AUTHENTICATED = Authentication(0).encode()


def ready(status: str = "I") -> bytes:
    return ReadyForQuery(ord(status)).encode()


def status(name: str, value: str) -> bytes:
    return ParameterStatus(name.encode(), value.encode()).encode()


def query(text: str) -> bytes:
    return Query(text.encode()).encode()


def parse(text: str, name: str = "", oids: tuple[int, ...] = ()) -> bytes:
    return Parse(name.encode(), text.encode(), oids).encode()


def bind(*parameters: bytes | None, statement: str = "", portal: str = "", codes: Any = (), results: Any = ()) -> bytes:
    return Bind(portal.encode(), statement.encode(), tuple(codes), parameters, tuple(results)).encode()


def describe(kind: str = "P", name: str = "") -> bytes:
    return Describe(ord(kind), name.encode()).encode()


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    return Execute(portal.encode(), max_rows).encode()


def done(tag: str) -> bytes:
    return CommandComplete(tag.encode()).encode()


def row(*values: bytes | None) -> bytes:
    return rows.data_row(values)


def column(name: str, number: int, oid: int = 25, *, table: int = USERS_OID, code: int = 0, length: int = -1) -> Any:
    return FieldDescription(name.encode(), table, number, oid, length, -1, code)


def described(*fields: FieldDescription) -> bytes:
    return RowDescription(fields).encode()


ID = column("id", 1, 23, length=4)
SEALED_EMAIL = column("email", 2, 17)
SHOWN_EMAIL = column("email", 2, 25)


def error(sqlstate: str, message: str = "no", **fields: str) -> bytes:
    severity = fields.pop("severity", "ERROR")
    made = [("S", severity), ("V", severity), ("C", sqlstate), ("M", message), *fields.items()]
    return ErrorResponse(tuple((ord(code), text.encode()) for code, text in made)).encode()


def fields_of(raw: bytes) -> dict[str, str]:
    assert raw[:1] == b"E", raw
    return {chr(code): value.decode() for code, value in ErrorResponse.decode(raw).fields}


def bytea(envelope: bytes) -> bytes:
    """bytea's text output."""
    return b"\\x" + envelope.hex().encode()


def reading(text: str, *outputs: Any) -> Plan:
    """A plan that only opens results."""
    return Plan(False, (StatementPlan(False, outputs=outputs, tables=("public.users",)),), (text,))


def storing(position: int = 0) -> Plan:
    """INSERT of $1 into email."""
    text = "INSERT INTO users(email) VALUES ($1)"
    return Plan(False, (StatementPlan(False),), (text,), (), (ParameterUse(0, Use.SEAL, EMAIL),), 1)


def storing_literal(text: str, literal: str | None, value: str) -> Plan:
    """`text` with the one literal `literal` sealed for email."""
    quoted = f"'{literal}'"
    at = text.index(quoted)
    slot = LiteralSlot(value, Use.SEAL, EMAIL, None, at + 1)
    end = at + len(quoted)
    return Plan(False, (StatementPlan(False),), (text[:at], slot, text[end:]), (Splice(at, end, (slot,)),))


class Talk(Playbook):
    """A playbook with its doubles at hand."""

    def __init__(self, planner: ScriptedPlanner | None = None, **options: Any) -> None:
        self.planner = planner or ScriptedPlanner()
        self.keyring = GlassKeyring()
        self.observer = RecordingObserver()
        super().__init__(Session(self.planner.as_planner, self.keyring.as_keyring, self.observer, **options))

    def opened(self, transaction_status: str = "I", *statuses: bytes) -> Talk:
        """The same, past authentication."""
        self >> frontend(STARTUP) << OpenBackend()
        self >> BackendOpened() << to_backend(STARTUP)
        said = (AUTHENTICATED, *statuses, ready(transaction_status))
        self >> backend(*said) << to_frontend(*said)
        return self


def talk(plans: Any = None, *, transaction_status: str = "I", **script: Any) -> Talk:
    """A ready session whose planner follows the script."""
    return Talk(ScriptedPlanner(plans, **script)).opened(transaction_status)
