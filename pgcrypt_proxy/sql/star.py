"""What means a table's columns without naming them is written out, where clients see others than the server has.

That is `*`, an INSERT or COPY without a list, and the names of `t AS a (x, y)`.
All of them are by position. Where the order is not known, they are refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import layout, refuse
from pgcrypt_proxy.sql.catalog import Relation
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.ddl_layout import behind_name
from pgcrypt_proxy.sql.joins import spelled
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.references import names_of
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, Source, quote

_HINT = "Name the columns, each with its table."
_OPENING, _CLOSING, _STAR, _DOT = "ASCII_40", "ASCII_41", "ASCII_42", "ASCII_46"


def check_order(context: Context, relation: Relation, location: int | None) -> None:
    """Raises Refusal when nobody knows in which order clients see the table's columns."""
    if relation.is_order_unknown:
        raise refuse.order_unknown(relation, context.position(location))


def listed(context: Context, target: Node, scope: Scope) -> None:
    """Write out the star that the ResTarget is, if it needs it. Raises Refusal."""
    if scope.is_only_counted:
        return
    reference = target["val"]["ColumnRef"]
    qualifier = names_of(reference["fields"][:-1])
    location = reference.get("location", -1)
    if qualifier:
        source = scope.source(qualifier)
        if source is None or source.row is None or source.columns is None:
            return
        check_order(context, source.row, location)
        parts = _columns_of(source, source.columns)
        if parts is None:
            raise _refused(context, location)
    else:
        rows = [source.row for source in scope.sources if source.row is not None and not source.is_hidden]
        if not rows:
            return
        for row in rows:
            check_order(context, row, location)
        parts = _parts(context, scope, location)
    if "name" in target or not parts:
        raise _refused(context, location)
    _write(context, target, scope, ", ".join(parts))


def _refused(context: Context, location: int) -> Refusal:
    return refuse.form("this use of *", context.position(location), hint=_HINT)


def _columns_of(source: Source, columns: Sequence[ScopeColumn]) -> list[str] | None:
    """What `columns` of a source are written as, None where names are not enough to tell them apart."""
    made = [spelled([source], column) for column in columns]
    return None if None in made else [str(each) for each in made]


def _parts(context: Context, scope: Scope, location: int) -> list[str]:
    """What a bare `*` stands for, table by table."""
    if scope.star is None:
        if scope.merges:
            raise _refused(context, location)
        return [part for source in scope.sources if not source.is_hidden for part in _item(context, source, location)]
    made: list[str] = []
    at = 0
    while at < len(scope.star):
        column = scope.star[at]
        source = _owner(scope, column)
        own = source.columns if source is not None and source.columns is not None else ()
        if source is not None and source.row is None and source.alias and _is_run(scope.star[at:], own):
            made += _item(context, source, location)
            at += len(own)
            continue
        spelling = spelled(scope.sources, column)
        if spelling is None and sum(other.name == column.name for other in scope.star) == 1:
            spelling = quote(column.name)  # a column that a join has merged, or of an item without a name
        if spelling is None:
            raise _refused(context, location)
        made.append(spelling)
        at += 1
    return made


def _owner(scope: Scope, column: ScopeColumn) -> Source | None:
    return next((s for s in scope.sources if any(column is each for each in s.columns or ())), None)


def _is_run(star: Sequence[ScopeColumn], own: Sequence[ScopeColumn]) -> bool:
    return len(star) >= len(own) and all(one is other for one, other in zip(star, own, strict=False))


def _item(context: Context, source: Source, location: int) -> list[str]:
    """All columns of one source."""
    parts: list[str] | None
    if source.row is not None:
        parts = _columns_of(source, source.columns or ())
    else:
        schema = f"{quote(source.schema)}." if source.schema and source.columns is not None else ""
        parts = [f"{schema}{quote(source.alias)}.*"] if source.alias else None
    if parts is None:
        raise _refused(context, location)
    return parts


def _write(context: Context, target: Node, scope: Scope, text: str) -> None:
    reference = target["val"]["ColumnRef"]
    location, tokens = reference.get("location", -1), context.text.tokens
    if location < 0:
        _write_table(context, scope, text)
        return
    count = 2 * len(reference["fields"]) - 1
    at = context.text.token_index.get(context.text.to_char(location))
    names = [token.name for token in tokens[at : at + count]] if at is not None else []
    is_star = len(names) == count and names[-1] == _STAR and all(name == _DOT for name in names[1::2])
    # `(t.*)` is the same as `t.*`, but its columns in brackets would be a row
    if at is None or not is_star or "UIDENT" in names or target.get("location", location) != location:
        raise _refused(context, location)
    context.list_columns(tokens[at].start, tokens[at + count - 1].end, text)


def _write_table(context: Context, scope: Scope, text: str) -> None:
    """`TABLE t` is a SELECT."""
    ((_, item),) = scope.items[0].items()
    tokens = context.text.tokens
    at = context.text.token_index.get(context.text.to_char(item.get("location", -1)), 0) - 1
    while at > 0 and tokens[at].name in (_OPENING, "ONLY"):
        at -= 1
    if at < 0 or tokens[at].name != "TABLE":
        raise refuse.form("this spelling of TABLE", context.position(item.get("location")))
    context.list_columns(tokens[at].start, tokens[at].end, f"SELECT {text} FROM")


def insert_columns(context: Context, target: Node, relation: Relation | None, width: int | None) -> None:
    """Name the first `width` columns in an INSERT into `target` without a list. Raises Refusal."""
    if relation is None or not relation.is_rearranged:
        return
    text = context.text
    at = _behind_name(context, target)
    if "alias" in target:
        if text.tokens[at].name != "AS" or text.tokens[at + 1].name == "UIDENT":
            raise refuse.form("this spelling of INSERT", context.position(target.get("location")))
        at += 2
    end = text.tokens[at - 1].end
    context.list_columns(end, end, f" ({insert_list(context, target, relation, width)})")


def merge_columns(context: Context, tree: Node, relation: Relation | None) -> None:
    """The same in every INSERT of a MERGE. Raises Refusal."""
    if relation is None or not relation.is_rearranged:
        return
    clauses = [item["MergeWhenClause"] for item in tree.get("mergeWhenClauses", ())]
    inserts = [clause for clause in clauses if clause.get("commandType") == "CMD_INSERT"]
    if all("targetList" in clause or "values" not in clause for clause in inserts):
        return
    text = context.text
    first, depth = text.token_index.get(text.to_char(tree["relation"].get("location", -1))), 0
    places = []
    if first is not None:
        depth = text.depths[first]
        places = [
            at + 1
            for at in range(first, len(text.tokens) - 2)
            if text.depths[at] == depth and [t.name for t in text.tokens[at : at + 2]] == ["THEN", "INSERT"]
        ]
    if len(places) != len(inserts):
        raise refuse.form("INSERT without columns in this MERGE", context.position(tree["relation"].get("location")))
    for at, clause in zip(places, inserts, strict=True):
        values = clause.get("values", [])
        if "targetList" in clause or not values:
            continue
        width = None if any(is_star(value) for value in values) else len(values)
        end = text.tokens[at].end
        context.list_columns(end, end, f" ({insert_list(context, tree['relation'], relation, width)})")


def insert_list(context: Context, target: Node, relation: Relation, width: int | None) -> str:
    """The first `width` columns, in which values without a list of columns are stored. Raises Refusal."""
    check_order(context, relation, target.get("location"))
    if width is None:
        raise refuse.form("INSERT of columns that are not known", context.position(target.get("location")), hint=_HINT)
    return ", ".join(quote(column.name) for column in relation.columns[:width])


def column_aliases(context: Context, tree: Node, relation: Relation, names: list[str]) -> None:
    """Give the names of `t AS a (x, y)` to the columns that clients see in these places. Raises Refusal."""
    check_order(context, relation, tree.get("location"))
    if len(names) > len(relation.columns):
        counts = f"has {len(relation.columns)} columns available but {len(names)} columns specified"
        raise Refusal(f'table "{tree["alias"]["aliasname"]}" {counts}', sqlstate="42P10")
    given = {c.attribute_number: name for c, name in zip(relation.columns, names, strict=False)}
    columns = sorted((*relation.columns, *relation.hidden), key=lambda column: column.attribute_number)
    text = context.text
    at = _behind_name(context, tree)
    while text.tokens[at].name == _CLOSING:  # ONLY (t)
        at += 1
    at += 2 if text.tokens[at].name == "AS" else 1
    if text.tokens[at].name != _OPENING:
        raise refuse.form("this spelling of an alias", context.position(tree.get("location")))
    made = ", ".join(quote(given.get(column.attribute_number, column.name)) for column in columns)
    context.list_columns(text.tokens[at].start, text.tokens[layout.closing(text, at)].end, f"({made})")


def is_star(value: Node) -> bool:
    """Whether an expression stands for several values."""
    ((kind, tree),) = value.items()
    parts = {"ColumnRef": "fields", "A_Indirection": "indirection"}.get(kind)
    return parts is not None and any("A_Star" in part for part in tree.get(parts, ()))


def _behind_name(context: Context, target: Node) -> int:
    """The token behind a table's name. Raises Refusal."""
    at = behind_name(context.text, target)
    tokens = context.text.tokens
    if at + 1 >= len(tokens) or any(token.name in ("UIDENT", "UESCAPE") for token in tokens[at - 1 : at + 1]):
        raise refuse.form("this spelling of a table's name", context.position(target.get("location")))
    return at
