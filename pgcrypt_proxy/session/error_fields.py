"""What a server's ErrorResponse or NoticeResponse may tell the client about a rewritten statement.

Positions are mapped back to the client's text; details that quote index
expressions, terms or envelopes are reduced to the columns' names. What says
nothing of ours stays byte for byte. Field codes: protocol-error-fields.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.plan import LiteralSlot, Plan
from pgcrypt_proxy.wire.backend import ErrorResponse, NoticeResponse

SQLSTATE, MESSAGE, DETAIL, POSITION = ord("C"), ord("M"), ord("D"), ord("P")
INTERNAL_POSITION, INTERNAL_QUERY, WHERE = ord("p"), ord("q"), ord("W")
SCHEMA, TABLE = ord("s"), ord("t")

_KEY_DETAIL = re.compile(rb"^([^(]*)\((.*)\)=\((.*)\)(.*)$", re.DOTALL)
#: PostgreSQL writes the cast from the column's domain as email::bytea or (email)::bytea, by version.
_TERM_CALL = re.compile(rb"pgcrypt\.(?:eq|eqci)\(\(?([^()]*?)\)?(?:::bytea)?\)")
_SEALED_TYPE = re.compile(rb"pgcrypt\.sealed_([0-9]{1,9})\b")
#: bytea in hex, as long as a term or longer.
_HEX_BYTEA = re.compile(rb"\\x[0-9a-f]{16,}")
_ROW_CHECKS = frozenset({b"23502", b"23514"})  # their detail shows the whole failing row
#: The place in COPY data, which is followed by the line or the value there.
_COPY_PLACE = re.compile(rb"^COPY [^,\n]+(?:, line [0-9]+(?:, column [^:\n]+)?)?")
_CHECK_OPTION = b"44000"  # of a view: shows the row of the table below, and names no table


def for_client(
    raw: bytes,
    plan: Plan | None,
    lengths: Mapping[LiteralSlot, int],
    catalog: Catalog,
    client_codec: str | None = "utf-8",
) -> bytes:
    """The message as the client may see it; it answers a statement of `plan`, if any."""
    response = ErrorResponse.decode(raw) if raw[0] == ord("E") else NoticeResponse.decode(raw)
    by_code = dict(response.fields)
    is_rewritten = plan is not None and not plan.is_untouched
    concerns = is_rewritten or _is_of_protected_table(by_code, catalog, client_codec or "ascii")
    if not concerns:
        return raw
    kept: list[tuple[int, bytes]] = []
    for code, value in response.fields:
        shown: bytes | None = value
        if code == DETAIL:
            shown = scrub_detail(value, by_code.get(SQLSTATE, b""))
        elif code == MESSAGE and is_rewritten:
            shown = _with_logical_types(value, catalog)
        elif plan is not None and is_rewritten and code == POSITION:
            position = client_position(plan, lengths, int(value)) if value.isdigit() else None
            shown = None if position is None else str(position).encode()
        elif code == WHERE and is_rewritten:
            place = _COPY_PLACE.match(value)
            shown = place.group() if place else None
        elif code in (INTERNAL_POSITION, INTERNAL_QUERY) and is_rewritten:
            shown = None
        if shown is not None:
            kept.append((code, shown))
    return type(response)(tuple(kept)).encode()


def scrub_detail(detail: bytes, sqlstate: bytes) -> bytes | None:
    """`Key (pgcrypt.eq(email))=(\\x...) already exists.` becomes `Key (email) already exists.`"""
    if sqlstate in _ROW_CHECKS:
        return None
    if b"pgcrypt." not in detail and not _HEX_BYTEA.search(detail):
        return detail
    found = _KEY_DETAIL.match(detail)
    if found is None:
        return None
    before, keys, _, after = found.groups()
    keys = _TERM_CALL.sub(rb"\1", keys)
    if b"pgcrypt." in keys or _HEX_BYTEA.search(before + keys + after):
        return None
    return before + b"(" + keys + b")" + after


def _with_logical_types(message: bytes, catalog: Catalog) -> bytes:
    """`function f(pgcrypt.sealed_7) does not exist` names the type that the application knows."""
    known = (*catalog.protected_columns, *catalog.ruled.values())

    def logical(match: re.Match[bytes]) -> bytes:
        number = int(match[1])
        return next((c.type.base.sql.encode() for c in known if c.id == number), match[0])

    return _SEALED_TYPE.sub(logical, message)


def _is_of_protected_table(fields: dict[int, bytes], catalog: Catalog, codec: str) -> bool:
    table = fields.get(TABLE)
    if table is None:
        is_of_view = fields.get(SQLSTATE) == _CHECK_OPTION and bool(catalog.sensitive_names)
        return is_of_view or b"pgcrypt." in fields.get(DETAIL, b"")
    relations = catalog.by_name.get(table.decode(codec, "replace"), ())
    schema = fields.get(SCHEMA, b"").decode(codec, "replace")
    return any(r.is_sensitive and r.schema == schema for r in relations)


def client_position(plan: Plan, lengths: Mapping[LiteralSlot, int], upstream: int) -> int | None:
    """Where character `upstream` (1-based) of the rewritten text is in the client's text; None when unknown.

    `lengths` says how long each literal's rendering was.
    """
    if plan.refusal is not None and not plan.splices:
        return None
    position = upstream - 1
    client_at = upstream_at = 0
    for splice in plan.splices:
        kept_end = upstream_at + splice.start - client_at
        if position < kept_end:
            break
        upstream_at = kept_end
        for part in splice.parts:
            length = len(part) if isinstance(part, str) else lengths.get(part)
            if length is None:
                return None
            if position < upstream_at + length:
                return splice.start + 1 if isinstance(part, str) else part.position
            upstream_at += length
        client_at = splice.end
    return client_at + position - upstream_at + 1
