"""JOIN: USING and NATURAL over protected columns become ON with terms, and the merged columns keep their names.

USING merges two columns into one, which comes first in `*` and is what the bare
name means. ON merges nothing. So each bare reference to a merged column is
written with its qualifier, and `*` as the list of its columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import layout, refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context, Outputs
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sql.references import names_of
from pgcrypt_proxy.sql.scope import Scope, ScopeColumn, Source, aliased, quote
from pgcrypt_proxy.sql.terms import check_same_domain, check_searchable

_WHAT = "JOIN USING or NATURAL JOIN"
#: Types without modifiers: the merged column of two of one such type is of that type.
_SIMPLE_TYPES = frozenset({16, 20, 21, 23, 25, 26, 700, 701, 1082, 2950, 114, 3802})


def join(context: Context, tree: Node, scope: Scope, left: Outputs, right: Outputs, first: int, middle: int) -> Outputs:
    """What `*` gives for a JoinExpr; `scope.sources` from `first` on are the left side's, from `middle` on the right's.

    Its ON is analysed here, in sight of both.
    """
    lefts, rights = scope.sources[first:middle], scope.sources[middle:]
    using = _using(tree, left, right, [*lefts, *rights])
    # What is merged already is written with its qualifier, so it cannot stay in USING.
    visible = [s for s in (*lefts, *rights) if not s.is_hidden]
    merges = any(name in s.spellings or any(c.protected for c in s.find(name)) for s in visible for name in using)
    if not merges:
        for source in (*lefts, *rights):
            for column in (c for name in using for c in source.find(name)):
                column.use_plain()
    scope.merges = scope.merges or bool(using)
    context.plain(context, tree.get("quals"), scope, "JOIN ON")
    if merges:
        try:
            return _merged(context, tree, scope, using, left, right, first, middle)
        except Refusal as refusal:
            refusal.position = refusal.position or _place(context, tree)
            raise
    star = None
    if left is not None and right is not None:
        star = [ScopeColumn(name) for name in using] + [c for c in (*left, *right) if c.name not in using]
    if "alias" in tree or "join_using_alias" in tree:
        return _aliased(tree, scope, star, first)
    return star


def _using(tree: Node, left: Outputs, right: Outputs, sources: list[Source]) -> list[str]:
    if not tree.get("isNatural"):
        return names_of(tree.get("usingClause", []))
    if left is not None and right is not None:
        return [c.name for c in left if any(c.name == other.name for other in right)]
    if any(s.has_protected or s.row for s in sources):
        raise refuse.form("NATURAL JOIN with columns that are not known")
    return []


def _aliased(tree: Node, scope: Scope, star: Outputs, first: int) -> Outputs:
    """A join with an alias hides what it joins. An alias of USING names the merged columns alone, beside the others."""
    row = next((s.row for s in scope.sources[first:] if s.row is not None), None)
    if "join_using_alias" in tree or star is None:
        if row is not None or any(s.has_protected for s in scope.sources[first:]):
            raise refuse.form("an alias on a join")
        for column in (c for s in scope.sources[first:] for c in s.columns or ()):
            column.use_plain()
        alias, source = tree.get("alias", {}).get("aliasname", ""), None
    else:
        if any(s.spellings for s in scope.sources[first:]):
            raise refuse.form("an alias on a join that merges protected columns")
        alias = tree["alias"]["aliasname"]
        if row is not None and "colnames" in tree["alias"]:
            raise refuse.form("an alias on a join that renames columns")
        source = aliased(Source("", tuple(star)), alias, names_of(tree["alias"].get("colnames", [])))
    if source is not None and row is not None:
        unknown = next((s.row for s in scope.sources[first:] if s.row is not None and s.row.is_order_unknown), row)
        source = replace(source, row=unknown)
    del scope.sources[first:]
    scope.sources.append(source or Source(alias, None))
    return list(source.columns) if source is not None and source.columns is not None else None


def spelled(sources: Iterable[Source], column: ScopeColumn) -> str | None:
    """`column` as SQL that means it and nothing else, whatever other names are in sight; None when there is no such."""
    sources = list(sources)
    for source in sources:
        if any(column is c for c in source.columns or ()) and column.name in source.spellings:
            return source.spellings[column.name]
    for source in sources:
        if source.alias and any(column is c for c in source.columns or ()):
            if len(source.find(column.name)) > 1:
                return None
            schema = f"{quote(source.schema)}." if source.schema else ""
            return f"{schema}{quote(source.alias)}.{quote(column.name)}"
    return None


def _side(context: Context, sources: list[Source], name: str, owner: ProtectedColumn) -> tuple[ScopeColumn, str]:
    """The column that USING merges on one side, and what it is written as."""
    found = [c for s in sources if not s.is_hidden for c in s.find(name)]
    spelling = spelled(sources, found[0]) if len(found) == 1 else None
    if spelling is None:
        raise refuse.construct(owner, _WHAT, hint="Join with ON, and give every table an alias.")
    return found[0], spelling


def _place(context: Context, tree: Node) -> int:
    """The position of a join's USING or JOIN, for a refusal."""
    text = context.text
    at = layout.using_clause(text, tree)[0] if "usingClause" in tree else layout.join_word(text, tree)
    return text.tokens[at].start + 1


def _merged(
    context: Context,
    tree: Node,
    scope: Scope,
    using: list[str],
    left: Outputs,
    right: Outputs,
    first: int,
    middle: int,
) -> Outputs:
    sources = scope.sources[first:]
    protected = [c for s in sources for c in s.columns or () if c.protected is not None]
    owner = next((c for c in protected if c.name in using), protected[0]).protected
    assert owner is not None
    twice = next((name for name in using if using.count(name) > 1), None)
    if twice is not None:
        raise Refusal(f'column name "{twice}" appears more than once in USING clause', sqlstate="42701")
    if left is None or right is None:
        raise refuse.construct(owner, f"{_WHAT} beside columns that are not known", hint="Join with ON.")
    if "alias" in tree or "join_using_alias" in tree:
        raise refuse.construct(owner, f"an alias on a {_WHAT}", hint="Join with ON, and give the tables aliases.")
    kind = tree.get("jointype", "JOIN_INNER")
    merged, spellings, conditions = [], {}, []
    for name in using:
        one, one_spelling = _side(context, scope.sources[first:middle], name, owner)
        other, other_spelling = _side(context, scope.sources[middle:], name, owner)
        conditions.append(_condition(one, other, one_spelling, other_spelling))
        if kind in ("JOIN_INNER", "JOIN_LEFT"):
            merged.append(one)
            spellings[name] = one_spelling
        elif kind == "JOIN_RIGHT":
            merged.append(other)
            spellings[name] = other_spelling
        else:
            merged.append(_either(one, other))
            spellings[name] = f"COALESCE({one_spelling}, {other_spelling})"
    _write_on(context, tree, " AND ".join(conditions))
    star = merged + [c for c in (*left, *right) if c.name not in using]
    hidden = [replace(s, is_hidden=True) for s in scope.sources[first:]]
    inherited = {n: text for s in scope.sources[first:] if not s.is_hidden for n, text in s.spellings.items()}
    scope.sources[first:] = [*hidden, Source("", tuple(star), spellings={**inherited, **spellings})]
    return star


def _condition(one: ScopeColumn, other: ScopeColumn, one_spelling: str, other_spelling: str) -> str:
    """The two sides of a merged column are equal; the merged column must be as they both are."""
    owner = one.protected or other.protected
    if owner is None:
        if one.feed or other.feed or one.type_oid != other.type_oid or one.type_oid not in _SIMPLE_TYPES:
            hint = "Join with ON."
            raise refuse.form(f'JOIN USING of "{one.name}" beside a protected column', hint=hint)
        return f"{one_spelling} = {other_spelling}"
    check_searchable(owner, None)
    if one.protected is not None and other.feed is not None:
        other.feed.use_as(Use.TERM, owner, None)
        return f"pgcrypt.eq({one_spelling}) OPERATOR(pg_catalog.=) {other_spelling}"
    if one.protected is None or other.protected is None:
        hint = "Join with ON, and compare protected columns of one index domain with each other only."
        raise refuse.construct(owner, f"{_WHAT} with a column that is not protected", hint=hint)
    check_searchable(other.protected, None)
    check_same_domain(one.protected, other.protected, None)
    if one.protected.type != other.protected.type:
        raise refuse.construct(owner, f"{_WHAT} of columns of two types", hint="Join with ON.")
    return f"pgcrypt.eq({one_spelling}) OPERATOR(pg_catalog.=) pgcrypt.eq({other_spelling})"


def _either(one: ScopeColumn, other: ScopeColumn) -> ScopeColumn:
    """The merged column of a FULL JOIN: the left value, or else the right one."""
    if one.protected is None and other.protected is None:
        return ScopeColumn(one.name, is_direct=False, type_oid=one.type_oid)
    if one.protected is None or other.protected is None or one.protected.id != other.protected.id:
        owner = one.protected or other.protected
        assert owner is not None
        raise refuse.construct(owner, f"FULL {_WHAT} of two protected columns", hint="Join with ON.")
    return ScopeColumn(one.name, one.protected, is_direct=False)


def _write_on(context: Context, tree: Node, condition: str) -> None:
    text = context.text
    if "usingClause" in tree:
        start, end = layout.using_clause(text, tree)
        context.edit(text.tokens[start].start, text.tokens[end].end, f"ON {condition}")
        return
    word = layout.join_word(text, tree)
    natural = word
    while text.tokens[natural].name in ("JOIN", "INNER_P", "LEFT", "RIGHT", "FULL", "OUTER_P"):
        natural -= 1
    if text.tokens[natural].name != "NATURAL":
        raise refuse.form("this spelling of a NATURAL JOIN", text.tokens[word].start + 1)
    context.edit(text.tokens[natural].start, text.tokens[natural].end, " ")
    end = text.tokens[layout.table_end(text, word, tree["rarg"])].end
    context.edit(end, end, f" ON {condition}")


def star_list(scope: Scope, column: ProtectedColumn) -> list[tuple[ScopeColumn, str]]:
    """The columns of `*`, each with what it is written as. Raises Refusal, about `column`, when one cannot be."""
    made = []
    for each in scope.star or ():
        spelling = spelled(scope.sources, each)
        if spelling is None:
            raise refuse.construct(column, "* over this join", hint="List the columns, and give every table an alias.")
        made.append((each, spelling))
    return made
