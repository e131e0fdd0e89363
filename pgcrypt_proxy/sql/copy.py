"""COPY of protected tables: what of the data is protected, and in which format it comes.

Every option is understood or the statement is refused: if the proxy and the
server read the data differently, a value could pass beside its column. Manual:
sql-copy.html. What is wrong by PostgreSQL's own rules is left to the server where
nothing depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import refuse, tenants
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import CopyPlan
from pgcrypt_proxy.sql.references import names_of
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, check_present, quote, table_source
from pgcrypt_proxy.sql.select import where
from pgcrypt_proxy.sql.star import check_order
from pgcrypt_proxy.sql.tenant_values import TenantFrom
from pgcrypt_proxy.wire.copy_format import CopyFormat, CopyKind, Header

#: Options that do not change how the data are read or written.
_WITHOUT_EFFECT = frozenset({"freeze", "log_verbosity", "reject_limit"})
_LINE_OPTIONS = frozenset(
    {"delimiter", "null", "default", "header", "quote", "escape", "force_quote", "force_null", "force_not_null"}
)
_CSV_OPTIONS = frozenset({"quote", "escape", "force_quote", "force_null", "force_not_null"})
_HEADERS = {
    "true": Header.SKIPPED, "on": Header.SKIPPED, "1": Header.SKIPPED,
    "false": Header.NONE, "off": Header.NONE, "0": Header.NONE,
    "match": Header.MATCH,
}  # fmt: skip
#: What text format cannot have as delimiter (copy.c).
_NO_TEXT_DELIMITERS = "\\.abcdefghijklmnopqrstuvwxyz0123456789"


def check_target(tree: Node, touched: str) -> None:
    """Only the client's own stream: a file or program is where the proxy is not. Raises Refusal."""
    if "filename" in tree or tree.get("is_program"):
        hint = "Use COPY ... FROM STDIN or COPY ... TO STDOUT; in psql, \\copy."
        raise refuse.statement("COPY with a file or program", touched, hint=hint)


def table_columns(context: Context, tree: Node) -> Outputs:
    """The columns of `COPY table [(columns)]`, in the order of the data; None when the table is not known.

    A missing column list is written out, so that server and proxy mean the same
    columns whatever happens to the table meanwhile. Raises Refusal.
    """
    target = tree["relation"]
    relation = context.lookup(target.get("schemaname"), target["relname"], target.get("location"))
    if relation is None:
        return None
    by_name = {column.name: column for column in table_source(relation, None).columns or ()}
    if "attlist" in tree:
        for name in names_of(tree["attlist"]):
            check_present(relation.absent, name)
        # A name that is not there is the server's error.
        columns = [by_name.get(name, ScopeColumn(name)) for name in names_of(tree["attlist"])]
    else:
        columns = [by_name[column.name] for column in relation.columns if not column.is_generated]
        if relation.is_rearranged:
            check_order(context, relation, target.get("location"))
        if relation.absent or relation.is_rearranged or any(column.protected for column in columns):
            _write_out(context, target, columns)
    if "whereClause" in tree:
        _check_where(context, tree["whereClause"], relation)
    return list(columns)


def _write_out(context: Context, target: Node, columns: Sequence[ScopeColumn]) -> None:
    text = context.text
    at = text.token_index.get(text.to_char(target.get("location", -1)))
    parts = 2 * sum(key in target for key in ("catalogname", "schemaname", "relname")) - 1
    if at is None or at + parts > len(text.tokens) or any(t.name == "UIDENT" for t in text.tokens[at : at + parts]):
        raise refuse.form("this spelling of COPY", context.position(target.get("location")))
    end = text.tokens[at + parts - 1].end
    context.list_columns(end, end, " (" + ", ".join(quote(column.name) for column in columns) + ")")


def _check_where(context: Context, node: Node, relation: Relation) -> None:
    """The server judges rows by what it gets: a condition may look at plain columns only. Raises Refusal."""
    scope = Scope(sources=[table_source(relation, None)])
    before = len(context.edits)
    where(context, node, scope)
    if len(context.edits) != before or context.uses:
        column = next(c.protected for c in relation.columns if c.protected is not None)
        hint = "Filter the rows in the application."
        raise refuse.construct(column, "COPY ... WHERE", hint=hint)


def plan(tree: Node, outputs: Sequence[ScopeColumn], columns: tuple[ProtectedColumn | None, ...]) -> CopyPlan | None:
    """How the data are to be changed; None when no protected column is in them. Raises Refusal.

    `columns` are the protected ones among `outputs`, None for plain ones.
    """
    if not any(columns):
        return None
    options: dict[str, Node] = {}
    for item in tree.get("options", ()):
        option = item["DefElem"]
        name = option["defname"]
        if name in options:
            raise _unknown(name, option)
        options[name] = option
    names = tuple(output.name for output in outputs)
    is_from = bool(tree.get("is_from"))
    skips_bad_rows = False
    for name, option in options.items():
        if name == "on_error":
            skips_bad_rows = _word(option).lower() == "ignore"
            if not skips_bad_rows and _word(option).lower() != "stop":
                raise _unknown(name, option)
        elif name == "encoding":
            _check_encoding(option)
        elif name not in _WITHOUT_EFFECT | _LINE_OPTIONS | {"format"}:
            raise _unknown(name, option)
    table = tree.get("relation", {}).get("relname", "")
    type_oids = tuple(output.type_oid for output in outputs)
    tenant_at = None
    if is_from:
        columns, tenant_at = _bound(columns, names)
    return CopyPlan(is_from, table, _format(options, names), columns, names, skips_bad_rows, type_oids, tenant_at)


def _bound(
    columns: tuple[ProtectedColumn | None, ...], names: tuple[str, ...]
) -> tuple[tuple[ProtectedColumn | None, ...], int | None]:
    """The columns bound to the tenant of their row, and where that stands. Raises Refusal when the data lack it."""
    owner = next((c for c in columns if c is not None and c.has_tenant_column), None)
    at = None
    if owner is not None and owner.tenant is not None:
        tenants.copied_type(owner)
        if owner.tenant.column not in names:
            raise refuse.unknown_tenant(owner)
        at = names.index(owner.tenant.column)
    made = []
    for column in columns:
        if column is not None and column.tenant is not None:
            column = replace(column, tenant_value=TenantFrom.SESSION if column.is_of_session else TenantFrom.ROW)
        made.append(column)
    return tuple(made), at


def _format(options: dict[str, Node], names: tuple[str, ...]) -> CopyFormat:
    written = _word(options["format"]) if "format" in options else "text"
    if written not in ("text", "csv", "binary"):
        raise _unknown("format", options["format"])
    kind = CopyKind(written)
    given = options.keys() & _LINE_OPTIONS
    wrong = given if kind is CopyKind.BINARY else given & _CSV_OPTIONS if kind is CopyKind.TEXT else frozenset()
    for name in sorted(wrong):
        raise _unknown(name, options[name], f" in {kind.value.upper()} mode")
    is_csv = kind is CopyKind.CSV
    quote_character = _character(options, "quote", '"')
    made = CopyFormat(
        kind,
        delimiter=_character(options, "delimiter", "," if is_csv else "\t"),
        null=_marker(options, "null", "" if is_csv else "\\N"),
        default=_marker(options, "default", "") if "default" in options else None,
        header=_header(options.get("header")),
        quote=quote_character,
        escape=_character(options, "escape", quote_character.decode()),
        force_quote=_indexes(options, "force_quote", names),
        force_null=_indexes(options, "force_null", names),
        force_not_null=_indexes(options, "force_not_null", names),
    )
    if kind is not CopyKind.BINARY:
        _check_characters(made, options)
    return made


def _check_characters(made: CopyFormat, options: dict[str, Node]) -> None:
    """The characters must tell fields apart, as PostgreSQL demands too. Raises Refusal."""
    if made.is_csv:
        is_wrong = made.delimiter in (b"\\", made.quote) or made.quote == b"\\"
    else:
        is_wrong = made.delimiter.decode() in _NO_TEXT_DELIMITERS
    if is_wrong:
        raise _unknown("delimiter", options.get("delimiter", {}))
    for name, marker in (("null", made.null), ("default", made.default)):
        if marker is not None and (made.delimiter in marker or (made.is_csv and made.quote in marker)):
            raise _unknown(name, options.get(name, {}))
    if made.default == made.null:
        raise _unknown("default", options.get("default", {}))


def _character(options: dict[str, Node], name: str, default: str) -> bytes:
    value = _word(options[name]) if name in options else default
    if len(value) != 1 or not value.isascii() or value in "\r\n\0":
        raise _unknown(name, options[name])
    return value.encode()


def _marker(options: dict[str, Node], name: str, default: str) -> bytes:
    value = _word(options[name]) if name in options else default
    if "\r" in value or "\n" in value:
        raise _unknown(name, options[name])
    return value.encode()


def _header(option: Node | None) -> Header:
    if option is None:
        return Header.NONE
    found = _HEADERS.get(_word(option, "true").lower())
    if found is None:
        raise _unknown("header", option)
    return found


def _indexes(options: dict[str, Node], name: str, names: tuple[str, ...]) -> frozenset[int]:
    if name not in options:
        return frozenset()
    argument = options[name].get("arg", {})
    if "A_Star" in argument:
        return frozenset(range(len(names)))
    wanted = names_of(argument.get("List", {}).get("items", []))
    if not set(wanted) <= set(names):
        raise _unknown(name, options[name])
    return frozenset(names.index(column) for column in wanted)  # of namesakes the first, as in PostgreSQL


def _check_encoding(option: Node) -> None:
    if re.sub(r"[^a-z0-9]", "", _word(option).lower()) not in ("utf8", "unicode"):
        raise refuse.form("COPY in another encoding than UTF8")


def _word(option: Node, default: str = "") -> str:
    """An option's argument as text; `default` when it has none."""
    argument = option.get("arg")
    if argument is None:
        return default
    ((kind, value),) = argument.items()
    if kind == "String":
        return str(value.get("sval", ""))
    if kind == "Boolean":
        return "true" if value.get("boolval") else "false"
    if kind == "Integer":
        return str(value.get("ival", 0))
    return "\0"  # a list, a star, a fraction: nothing that an option can be


def _unknown(name: str, option: Node, where_: str = "") -> Refusal:
    return refuse.form(f"this use of the COPY option {name.upper()}{where_}")
