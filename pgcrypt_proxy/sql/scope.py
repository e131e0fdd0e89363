"""Names in a statement become columns: what FROM brings into sight, and the lookup of column references.

A source whose columns are not known (a function, a table the catalog has not
seen) can hide names, but never holds a protected column: relations that may
are always in the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation
from pgcrypt_proxy.sql.feeds import Feed

SYSTEM_COLUMNS = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})


@dataclass(frozen=True, slots=True)
class ScopeColumn:
    """A column in sight: its name and what its values are.

    `protected`: envelopes of that column; `feed`: values of the statement itself,
    which become what their uses need. `is_direct` says that RowDescription names
    the table's column, as it does through subqueries but not through expressions;
    `is_term` that its values are terms of `protected` already; `is_made` that a
    query was written around the one that gives it, so that its expression must
    stay as it is. `type_oid` is 0 when the type is not known.
    """

    name: str
    protected: ProtectedColumn | None = None
    feed: Feed | None = None
    is_direct: bool = True
    is_term: bool = False
    is_made: bool = False
    type_oid: int = 0

    def use_plain(self) -> None:
        """Its values stand where no protected value belongs."""
        if self.feed is not None:
            self.feed.use_plain()

    def renamed(self, name: str) -> ScopeColumn:
        return replace(self, name=name)

    def nested(self) -> ScopeColumn:
        """The same column, of a subquery in FROM or an expression."""
        if self.feed is not None:
            self.feed.nest()
        return replace(self, is_made=False)


@dataclass(frozen=True, slots=True)
class Source:
    """One FROM item in sight. `columns` is None when they are not known.

    `schema` is set for tables, so that `schema.table.column` finds them;
    `is_hidden` for `old`, `new`, `excluded` and what a join has merged, whose
    columns need the qualifier. `spellings`: what names of merged columns must
    be written as, since the join says ON where the client said USING. `row`: the table of which clients see other
    columns than the server has, so that a row of this source is not what they take it for.
    """

    alias: str
    columns: tuple[ScopeColumn, ...] | None
    schema: str | None = None
    is_hidden: bool = False
    spellings: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[ProtectedColumn, ...] = ()
    row: Relation | None = None

    @property
    def has_protected(self) -> bool:
        return bool(self.absent) or (self.columns is not None and any(c.protected for c in self.columns))

    def beside(self, alias: str) -> Source:
        """The same columns under a name of their own: `old`, `new`, `excluded`."""
        return Source(alias, self.columns, is_hidden=True, absent=self.absent, row=self.row)

    def find(self, name: str) -> list[ScopeColumn]:
        return [c for c in self.columns or () if c.name == name]

    def check_present(self, name: str) -> None:
        """Raises Refusal for a protected column that the table lacks, as far as is known."""
        check_present(self.absent, name)

    def check_column(self, name: str) -> None:
        """Raises Refusal for `alias.name` that is no column: it would call that function with a row of the source."""
        if self.row is not None and name not in SYSTEM_COLUMNS and not self.find(name):
            raise Refusal(f"column {self.alias}.{name} does not exist", sqlstate="42703")


class AmbiguousName(Exception):
    """The name may or may not be a protected column: the statement cannot be understood for certain."""


class WholeRow(Exception):
    """The name is a whole row that contains protected columns, or other ones than clients see."""


class OuterGroup(Exception):
    """The name is a column that an outer query level groups by: its term cannot be had in a subquery."""


@dataclass(slots=True)
class Scope:
    """The sources of one query level. `parent` is the level around it; `ctes` maps WITH names in sight."""

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    ctes: dict[str, Source] = field(default_factory=dict)
    #: what stands in FROM
    items: list[Any] = field(default_factory=list)
    #: whether its rows are only counted, whatever is in them
    is_only_counted: bool = False
    #: whether a join merges columns by their names
    merges: bool = False
    #: output columns of `*`, None when not known
    star: list[ScopeColumn] | None = field(default_factory=list)
    #: protected columns that this level groups by; told apart by identity, as two sources may have equal ones
    grouped: list[ScopeColumn] = field(default_factory=list)
    #: expressions over protected columns that it groups by, as trees without places
    grouped_expressions: list[Any] = field(default_factory=list)
    #: of these, the outputs that GROUP BY names or numbers: where it does, by the identity of the output's node
    grouped_outputs: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    #: whether a key may be missing from a row's grouping set
    has_grouping_sets: bool = False

    def levels(self) -> Iterator[Scope]:
        level: Scope | None = self
        while level is not None:
            yield level
            level = level.parent

    def cte(self, name: str) -> Source | None:
        """The common table expression of that name, nearest level first."""
        return next((level.ctes[name] for level in self.levels() if name in level.ctes), None)

    def may_know(self, name: str) -> bool:
        """Whether a source of this very level has, or may have, a column of that name."""
        return any(s.columns is None or s.find(name) for s in self.sources if not s.is_hidden)

    def is_grouped(self, column: ScopeColumn) -> bool:
        """Whether this level groups by `column`."""
        return any(column is grouped for grouped in self.grouped)

    def resolve(self, names: list[str]) -> ScopeColumn | None:
        """The column that a reference means, None for one that is not known (and hence plain).

        Raises AmbiguousName, WholeRow and OuterGroup. A reference that PostgreSQL
        would not find counts as plain: the server says so itself.
        """
        found, level = self._bare(names[0]) if len(names) == 1 else self._qualified(names)
        if found is not None and level is not self and level.is_grouped(found):
            raise OuterGroup(names[-1])
        return found

    def _bare(self, name: str) -> tuple[ScopeColumn | None, Scope]:
        unknown_inside = False
        for level in self.levels():
            visible = [s for s in level.sources if not s.is_hidden]
            found = [column for source in visible for column in source.find(name)]
            if any(c.protected for c in found):
                # A namesake in a source of the same level that is not known is an error of the server's.
                if unknown_inside or len(found) > 1:
                    raise AmbiguousName(name)
                return found[0], level
            if found:
                if unknown_inside or len(found) > 1:
                    for column in found:
                        column.use_plain()
                return found[0], level
            for source in level.sources:
                source.check_present(name)
                if source.alias == name:
                    if source.has_protected or source.row is not None:
                        raise WholeRow(name)
                    for column in source.columns or ():
                        column.use_plain()
            unknown_inside = unknown_inside or any(s.columns is None for s in visible)
        return None, self

    def _qualified(self, names: list[str]) -> tuple[ScopeColumn | None, Scope]:
        qualifier, name = names[-2], names[-1]
        schema = names[-3] if len(names) > 2 else None
        for level in self.levels():
            named = [
                s
                for s in level.sources
                if s.alias == qualifier and (schema is None or s.schema is None or s.schema == schema)
            ]
            if not named:
                continue
            found = [column for source in named for column in source.find(name)]
            if any(c.protected for c in found) and len(found) > 1:
                raise AmbiguousName(name)
            for source in named:
                source.check_present(name)
                source.check_column(name)
            return (found[0] if found else None), level
        # `a.b` may also be field b of a composite column a: a protected column is no composite.
        if self._is_protected(qualifier):
            raise AmbiguousName(qualifier)
        return None, self

    def _is_protected(self, name: str) -> bool:
        try:
            found, _ = self._bare(name)
        except WholeRow:
            return False
        return found is not None and found.protected is not None

    def spelling(self, name: str) -> str | None:
        """What the bare `name` must be written as, None for as it is. Raises AmbiguousName when that means another."""
        inner: list[Source] = []
        for level in self.levels():
            visible = [s for s in level.sources if not s.is_hidden]
            found = [s for s in visible if s.find(name)]
            if found:
                spelling = next((s.spellings[name] for s in found if name in s.spellings), None)
                if spelling is None:
                    return None
                may_be_others = len(found) > 1 or any(s.columns is None for s in visible)
                if may_be_others or any(s.alias and spells(s.alias, spelling) for s in inner):
                    raise AmbiguousName(name)
                return spelling
            inner += level.sources
        return None

    def whole_row(self, names: list[str], *, is_star: bool) -> Source | None:
        """The source whose rows `alias` or `alias.*` means as values, None when it means something else."""
        if is_star or len(names) > 1:
            return self.source(names) if is_star and names else None
        try:
            found = self.resolve(names)
        except WholeRow:
            return self.source(names)
        return self.source(names) if found is None else None

    def source(self, names: list[str]) -> Source | None:
        """The source that `alias.*` or `schema.table.*` means."""
        for level in self.levels():
            for source in level.sources:
                if source.alias == names[-1] and (
                    len(names) == 1 or source.schema is None or source.schema == names[-2]
                ):
                    return source
        return None


def quote(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def spells(alias: str, spelling: str) -> bool:
    """Whether `spelling` names a column by the qualifier `alias`."""
    return f"{quote(alias)}." in spelling


def table_source(relation: Relation, alias: str | None) -> Source:
    """The source that a table in FROM gives."""
    columns = tuple(ScopeColumn(c.name, c.protected, type_oid=c.type_oid) for c in relation.columns)
    row = relation if relation.is_rearranged else None
    return Source(alias or relation.name, columns, None if alias else relation.schema, absent=relation.absent, row=row)


def check_present(absent: Iterable[ProtectedColumn], name: str) -> None:
    """Raises Refusal when `name` is one of the columns that rules name and the table lacks."""
    for column in absent:
        if column.name == name:
            raise refuse.absent(column)


def aliased(source: Source, alias: str, names: list[str]) -> Source:
    """`source` under an alias, with columns of its own, renamed by a column list (`AS t (a, b)`)."""
    if source.columns is None:
        return Source(alias, None)
    renamed = [old.nested().renamed(new) for new, old in zip(names, source.columns, strict=False)]
    rest = [column.nested().renamed(column.name) for column in source.columns[len(names) :]]
    return Source(alias, (*renamed, *rest), absent=source.absent)
