"""Prepared statements and portals of one connection, each with its plan.

Knows names, plans and when a name's meaning is certain; sends nothing. What a
name means is known only once the server has answered: until then the name is
*unsettled*, and only messages of the same batch (up to the next Sync), which
stand or fall with it, may rely on it. SQL's PREPARE, DEALLOCATE and DISCARD ALL
change the same names as Parse and Close do (see `prepared`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pgcrypt_proxy.errors import PgcryptError, Refusal
from pgcrypt_proxy.session.results import Result
from pgcrypt_proxy.sql.plan import Plan, Use
from pgcrypt_proxy.wire.frontend import Bind

#: Names of statements and portals that are the proxy's own.
RESERVED_PREFIX = b"pgcrypt_proxy"
#: Never created; naming it makes the server fail a Bind with 26000 and skip to Sync.
NEVER_PREPARED = b"pgcrypt_proxy_refused"
#: A Bind up to this size is kept as it came until its result formats are needed.
MAX_KEPT_BIND_BYTES = 8192
MAX_NAMES = 100_000
#: A batch that no message belongs to: what is sent outside of batches is certain for none before it is answered.
NO_BATCH = -1
#: NAMEDATALEN - 1 in postgres: what is longer is cut, so that two names may be one.
MAX_NAME_LENGTH = 63


class Unsettled(Exception):
    """The server has not said yet what this name means: ask again after its next answer."""


class TooManyNames(PgcryptError):
    """One connection keeps more prepared statements or portals than the proxy keeps books on."""

    sqlstate = "54000"
    kind = "limit"


@dataclass(slots=True, eq=False)
class Statement:
    """A prepared statement. `result` is known once the server has described it.

    `executed` are the statements that SQL's EXECUTE in its text named when it was
    planned; `text_plan` is then the plan of the text alone.
    `version` is the catalog's for which `plan` holds, `resolved` the names that
    were asked for it, `resolved_at` the count of executions at which they held;
    `described_in` the batch in which the client's own Describe of it was sent;
    `passes_parameters`: a Bind needs no rewriting. `sealed_under` are the DEKs of the
    envelopes in the text that the server has: once one is retired, it is prepared anew. `literals_of` is the
    session's tenant for whom they were sealed; `is_of_tenants`: it reads or writes values of tenants.
    """

    name: bytes
    sql: str
    plan: Plan
    parameter_type_oids: tuple[int, ...]
    resolved: Mapping[str, int] | None
    version: int
    resolved_at: int = 0
    result: Result | None = None
    described_in: int = -1
    executed: tuple[Statement | None, ...] = ()
    text_plan: Plan | None = None
    sealed_under: frozenset[int] = frozenset()
    may_return_any_rows: bool = False  # FETCH and EXECUTE: what they return is not in their text
    literals_of: str | None = None
    passes_parameters: bool = field(init=False)
    is_of_tenants: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_of_tenants = self.plan.of_tenants or self.plan.needs_tenant
        self.passes_parameters = _passes_parameters(self.plan, len(self.parameter_type_oids))


def _passes_parameters(plan: Plan, declared: int) -> bool:
    """Whether the server takes the client's parameters as they are: then it counts them, too."""
    if plan.is_untouched:
        return True
    # PREPARE and EXECUTE take none, though some can be declared for them. Of those that are declared beyond the ones
    # that the text uses, the server was not told.
    if plan.is_about_prepared or declared > len(plan.parameters) > 0:
        return False
    return all(use.use is Use.PASS and use.client_index == at for at, use in enumerate(plan.parameters))


@dataclass(slots=True, eq=False)
class Portal:
    """A portal; `statement` is None when the session did not see it made (a cursor of SQL's DECLARE)."""

    statement: Statement | None
    bind: bytes | None = None  # the raw Bind, while `formats` was not needed
    formats: tuple[int, ...] = ()
    result: Result | None = None
    described_in: int = -1
    tenant: str | None = None  # the session's at Bind, where that matters

    @property
    def result_format_codes(self) -> tuple[int, ...]:
        if self.bind is not None:
            self.formats = tuple(Bind.decode(self.bind).result_format_codes)
            self.bind = None
        return self.formats

    def describe(self, result: Result) -> None:
        """The server has described it, and with it its statement, but for the formats."""
        self.result = result
        statement = self.statement
        if statement is not None and statement.result is None and not statement.may_return_any_rows:
            statement.result = Result(result.outputs)

    def needs_description(self, batch: int) -> bool:
        """Whether rows could come of which nobody has said, or will have said by then, which columns they are."""
        statement = self.statement
        if self.result is not None or self.described_in == batch:
            return False
        if statement is None:
            return True
        if statement.result is not None or statement.described_in == batch:
            return False
        return statement.may_return_any_rows or any(s.outputs is not None for s in statement.plan.statements)


T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Change(Generic[T]):
    """A request in flight that gives `name` a meaning, or takes it away (`value` None)."""

    names: Names[T]
    name: bytes
    value: T | None
    batch: int

    def settle(self) -> None:
        """The server did it."""
        if self.value is None:
            self.names.settled.pop(self.name, None)
        else:
            self.names.settled[self.name] = self.value
        self.drop()

    def drop(self) -> None:
        """The server refused or skipped it: the name means what it meant before."""
        if self.names.latest.get(self.name) is self:
            del self.names.latest[self.name]


@dataclass(slots=True, eq=False)
class Forgetting(Generic[T]):
    """DEALLOCATE in flight, of `name` or (None) of all. Until it is answered the names mean what they meant."""

    names: Names[T]
    name: bytes | None

    def settle(self) -> None:
        """The server did it. The unnamed statement stays."""
        settled = self.names.settled
        for name in [self.name] if self.name is not None else [name for name in settled if name]:
            settled.pop(name[:MAX_NAME_LENGTH], None)

    def drop(self) -> None:
        """The server refused or skipped it."""


class Names(Generic[T]):
    """The meaning of names, settled and to come."""

    def __init__(self) -> None:
        self.settled: dict[bytes, T] = {}
        self.latest: dict[bytes, Change[T]] = {}

    def change(self, name: bytes, value: T | None, batch: int) -> Change[T]:
        """Note a request that changes the meaning of `name`, as it is sent."""
        name = name[:MAX_NAME_LENGTH]
        if value is not None and len(self.settled) + len(self.latest) >= MAX_NAMES:
            raise TooManyNames("too many prepared statements or portals on this connection")
        self.latest[name] = made = Change(self, name, value, batch)
        return made

    def get(self, name: bytes, batch: int) -> T | None:
        """What `name` means to a message sent now. Raises Unsettled when only the server can tell."""
        name = name[:MAX_NAME_LENGTH]
        change = self.latest.get(name)
        if change is None:
            return self.settled.get(name)
        if change.batch != batch:
            raise Unsettled
        return change.value


def check_not_reserved(name: bytes) -> None:
    """Raises Refusal for a name that is the proxy's own."""
    if name.startswith(RESERVED_PREFIX):
        raise Refusal(
            f'names that begin with "{RESERVED_PREFIX.decode()}" are reserved',
            hint="Give the prepared statement or portal another name.",
            sqlstate="42602",
        )
