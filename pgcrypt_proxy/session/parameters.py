"""What the server gets of a statement's parameters: their types at Parse, their values at Bind. Sends nothing."""

from __future__ import annotations

from dataclasses import replace

from pgcrypt_proxy.errors import PgcryptError, Refusal
from pgcrypt_proxy.session.link import Link
from pgcrypt_proxy.session.statements import Statement
from pgcrypt_proxy.sql.plan import Plan, Use, sealed_beside
from pgcrypt_proxy.values.types import UNKNOWN_OID
from pgcrypt_proxy.wire.frontend import Bind

BYTEA_OID, BYTEA_ARRAY_OID = 17, 1001


def upstream_type_oids(plan: Plan, declared: tuple[int, ...]) -> tuple[int, ...]:
    """The types of the upstream parameters: the client's where values pass, bytea where they are sealed."""
    if not plan.parameters:
        return tuple(declared)
    oids = []
    for use in plan.parameters:
        if use.use is Use.PASS:
            oid = declared[use.client_index] if use.client_index < len(declared) else 0
            beside = sealed_beside(use, plan.parameters) if oid in (0, UNKNOWN_OID) else None
            oids.append(beside.type_oid if beside is not None else oid)
        else:
            oids.append(BYTEA_ARRAY_OID if use.use.is_array else BYTEA_OID)
    return tuple(oids)


def passes_bind(link: Link, statement: Statement) -> bool:
    """Whether a Bind of it goes to the server as it came."""
    if not statement.passes_parameters:
        return False
    plan = statement.plan
    return not plan.parameters or plan.is_optional or link.encoding.is_rewritable


def rewritten_bind(link: Link, raw: bytes, statement: Statement) -> tuple[bytes, tuple[int, ...]]:
    """The Bind for the server, and the formats of the result. Raises PgcryptError."""
    bind = Bind.decode(raw)
    if statement.plan.is_about_prepared:
        # PREPARE and EXECUTE take no parameters, though some can be declared for them.
        raw = replace(bind, parameter_format_codes=(), parameters=(None,) * len(bind.parameters)).encode()
    elif not passes_bind(link, statement):
        raw = _rewritten(link, bind, statement).encode()
    return raw, bind.result_format_codes


def _rewritten(link: Link, bind: Bind, statement: Statement) -> Bind:
    plan, values = statement.plan, link.values
    if not link.encoding.is_rewritable:
        raise Refusal(
            "parameters for protected columns cannot be read in this client encoding",
            hint="SET client_encoding TO 'UTF8'.",
        )
    declared = statement.parameter_type_oids
    count, required = len(bind.parameters), max(plan.client_parameters, len(declared))
    codes = bind.parameter_format_codes
    if len(codes) > 1 and len(codes) != count:
        raise PgcryptError(f"bind message has {len(codes)} parameter formats but {count} parameters", sqlstate="08P01")
    if count != required:
        name = statement.name.decode("utf-8", "replace")
        raise PgcryptError(
            f'bind message supplies {count} parameters, but prepared statement "{name}" requires {required}',
            sqlstate="08P01",
        )
    upstream: list[bytes | None] = []
    upstream_codes: list[int] = []
    for use in plan.parameters:
        index = use.client_index
        value = bind.parameters[index]
        code = 0 if not codes else codes[0] if len(codes) == 1 else codes[index]
        if use.use is not Use.PASS:
            value = values.parameter(use, declared[index] if index < len(declared) else 0, value, code)
            code = 1
        upstream.append(value)
        upstream_codes.append(code)
    return Bind(
        bind.destination_portal,
        bind.statement_name,
        tuple(upstream_codes),
        tuple(upstream),
        tuple(bind.result_format_codes),
    )
