"""Whose key seals each value that a session sends, and what must be known before: its tenant, and that key.

`Tenants` says it of values, from the statement, its parameters, a row of COPY data or
the session. `SessionTenant` finds out what `pgcrypt.tenant` is by asking the server
where the statement will run, as the server alone knows what SET LOCAL, ROLLBACK TO or
a function made of it; and it has keys loaded that are not in memory. Both raise Hold
meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping

from pgcrypt_proxy.errors import KeyNotLoaded, KeyUnavailable, Refusal, WrongTenant
from pgcrypt_proxy.policy.model import TENANT_SETTING
from pgcrypt_proxy.session.commands import FetchKeys
from pgcrypt_proxy.session.events import Side
from pgcrypt_proxy.session.link import FAILED_TRANSACTION, Link
from pgcrypt_proxy.session.question import Hold, ValueQuestion
from pgcrypt_proxy.session.statements import RESERVED_PREFIX, Statement
from pgcrypt_proxy.session.tenant_values import checked
from pgcrypt_proxy.sql.plan import LiteralSlot, Plan
from pgcrypt_proxy.sql.tenant_values import TenantElements, TenantParameter
from pgcrypt_proxy.wire.frontend import Bind

TENANT_QUESTION = f"SELECT pg_catalog.current_setting('{TENANT_SETTING}', true)".encode()
OWN_NAME = RESERVED_PREFIX + b"_tenant"
#: How often keys are asked for that are not there when they have come.
MAX_TRIES = 3

Seals = dict[tuple[str, str], int]


class SessionTenant:
    """Of one session. What it knows is good for the message that is being dealt with."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._question: ValueQuestion | None = None
        self._tenant: str | None = None
        self._known_at = -1
        self._tries = 0

    def forget(self) -> None:
        """The message is dealt with."""
        self._question = None
        self._tries = 0

    def note_progress(self) -> None:
        """The keys that were asked for have served."""
        self._tries = 0

    # -- before a statement is sent

    def for_text(self, plan: Plan) -> str | None:
        """All that a text's literals and its rows need. Returns the session's tenant, None where it is not asked for.

        Raises Hold, and PgcryptError.
        """
        tenant = self.required(plan) if plan.needs_tenant else None
        if plan.seals_of_tenants:
            tenants = self._link.values.tenants
            slots = [piece for piece in plan.pieces if isinstance(piece, LiteralSlot) and piece.text is not None]
            sealed = [slot.column for slot in slots if slot.column.tenant is not None and not slot.use.is_compared]
            self._await_keys((column.data_class, tenants.of(column)) for column in sealed)
        return tenant

    def for_bind(self, raw: bytes, statement: Statement) -> str | None:
        """The same for a Bind's parameters."""
        link, plan = self._link, statement.plan
        tenant = self.required(plan) if plan.needs_tenant else None
        if statement.literals_of is not None and statement.literals_of != tenant:
            raise Refusal(
                "the statement was prepared with values of another tenant in it",
                hint="Prepare it anew, or give values as parameters.",
                sqlstate="55000",
            )
        if plan.seals_of_tenants:
            bind = Bind.decode(raw)
            self._await_keys(_read_parameters(link, bind, statement))
        return tenant

    def check_execute(self, plan: Plan, bound: str | None) -> str | None:
        """A portal that was bound for tenant `bound` runs. Raises Refusal when the session has another one by now."""
        if not plan.needs_tenant:
            return None
        now = self.current()
        if now != bound:
            raise Refusal(
                f"{TENANT_SETTING} was changed between Bind and Execute",
                hint="Bind the statement again.",
                sqlstate="55000",
            )
        return now

    def required(self, plan: Plan) -> str | None:
        """The session's tenant. Raises WrongTenant when there is none, but for statements that may do without."""
        tenant = self.current()
        if tenant is None and plan.of_tenants:
            raise WrongTenant(
                f"{TENANT_SETTING} is not set, and the statement reads or writes values of tenants",
                hint=f"SET {TENANT_SETTING} = '...', or SET LOCAL in the transaction.",
            )
        return tenant

    def current(self) -> str | None:
        """What the setting is where the next statement runs; None for unset or empty. Raises Hold and Refusal."""
        link, asked = self._link, self._question
        if asked is not None:
            if not asked.is_done:
                raise Hold
            self._question = None
            if asked.has_failed:
                raise Refusal(f"{TENANT_SETTING} could not be read", sqlstate="55000")
            self._known_at = link.executions
            self._tenant = self._decoded(asked.value)
        if self._known_at == link.executions:
            link.values.tenants.session = self._tenant
            return self._tenant
        if link.queue.is_synced and len(link.queue):
            raise Hold  # what is under way may set it
        if link.queue.is_synced and link.transaction_status == FAILED_TRANSACTION:
            raise Refusal(
                "current transaction is aborted, commands ignored until end of transaction block", sqlstate="25P02"
            )
        self._question = ValueQuestion(OWN_NAME, TENANT_QUESTION)
        self._question.ask(link)
        raise Hold

    def _decoded(self, raw: bytes | None) -> str | None:
        if not raw:
            return None
        return checked(self._link.encoding.to_utf8(raw).decode())

    # -- keys

    def _await_keys(self, names: Iterable[tuple[str, str]]) -> None:
        """`names` are the data class and the tenant of each value."""
        wanted: Seals = {}
        for named in names:
            wanted[named] = wanted.get(named, 0) + 1
        self.await_seals(wanted)

    def await_seals(self, wanted: Mapping[tuple[str, str], int]) -> None:
        """Let so many values be sealed with these keys.

        Raises Hold while they are loaded, PgcryptError if they cannot be.
        """
        link = self._link
        error = link.key_errors.pop(Side.FRONTEND, None)
        keys = link.values.keyring.tenants
        if len(wanted) > keys.max_keys // 2:
            raise Refusal(
                f"the statement writes values of more than {keys.max_keys // 2:,} tenants at once",
                hint="Write fewer rows at once, or use COPY.",
                sqlstate="54000",
            )
        missing = keys.missing(wanted)
        if not missing:
            self._tries = 0
            return
        if error is not None:
            raise copy.copy(error)
        if Side.FRONTEND not in link.awaiting_keys:
            if self._tries >= MAX_TRIES:
                raise KeyUnavailable(
                    "the data encryption keys of tenants are not available", hint="The statement can be tried again."
                )
            self._tries += 1
            ask_for_keys(link, Side.FRONTEND, KeyNotLoaded(seals=missing))
        raise Hold


def has_literals_of_tenants(plan: Plan) -> bool:
    """Whether values of tenants stand in the text itself, and are sealed as it is sent."""
    return plan.seals_of_tenants and any(
        isinstance(piece, LiteralSlot) and piece.column.tenant is not None and not piece.use.is_compared
        for piece in plan.pieces
    )


def ask_for_keys(link: Link, side: Side, wanted: KeyNotLoaded) -> None:
    """Have keys loaded, and hear of it by KeysFetched; what comes from that side waits."""
    link.awaiting_keys.add(side)
    link.commands.append(FetchKeys(side, wanted))


def _read_parameters(link: Link, bind: Bind, statement: Statement) -> Iterator[tuple[str, str]]:
    """Note whose the values of a Bind are; the data class and tenant of each that is to be sealed."""
    tenants, declared = link.values.tenants, statement.parameter_type_oids
    tenants.parameters.clear()
    tenants.elements.clear()
    codes, count = bind.parameter_format_codes, len(bind.parameters)
    for use in statement.plan.parameters:
        column, value = use.column, None
        if column is None or column.tenant is None or use.use.is_compared:
            continue
        where = column.tenant_value
        if isinstance(where, TenantParameter | TenantElements):
            index = where.client_index
            if max(index, use.client_index) >= count or (len(codes) > 1 and len(codes) != count):
                return  # which is said where values are sealed
            value, oid = bind.parameters[index], declared[index] if index < len(declared) else 0
            code = 0 if not codes else codes[0] if len(codes) == 1 else codes[index]
            if isinstance(where, TenantElements):
                tenants.read_elements(where, value, oid, code)
                yield from ((column.data_class, name) for name in tenants.elements[where] if name is not None)
                continue
            if where not in tenants.parameters:
                tenants.read_parameter(where, value, oid, code)
        if use.client_index < count and bind.parameters[use.client_index] is not None:
            yield column.data_class, tenants.of(column)
