"""Names in a statement become columns: what FROM brings into sight, and the lookup of column references.

A source whose columns are not known (a function, a table the catalog has not
seen) can hide names, but never holds a protected column: relations that may
are always in the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pgcrypt_proxy.sql.catalog import ProtectedColumn, Relation


@dataclass(frozen=True, slots=True)
class ScopeColumn:
    """A column in sight: its name and the protected column that its values come from, if any."""

    name: str
    protected: ProtectedColumn | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One FROM item in sight. `columns` is None when they are not known.

    `schema` is set for tables, so that `schema.table.column` finds them;
    `is_hidden` for `old`, `new` and `excluded`, whose columns need the qualifier.
    """

    alias: str
    columns: tuple[ScopeColumn, ...] | None
    schema: str | None = None
    is_hidden: bool = False

    @property
    def has_protected(self) -> bool:
        return self.columns is not None and any(c.protected for c in self.columns)

    def find(self, name: str) -> list[ScopeColumn]:
        return [c for c in self.columns or () if c.name == name]


class AmbiguousName(Exception):
    """The name may or may not be a protected column: the statement cannot be understood for certain."""


class WholeRow(Exception):
    """The name is a whole row that contains protected columns."""


@dataclass(slots=True)
class Scope:
    """The sources of one query level. `parent` is the level around it; `ctes` maps WITH names in sight."""

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    ctes: dict[str, Source] = field(default_factory=dict)
    #: output columns of `*`, None when not known
    star: list[ScopeColumn] | None = field(default_factory=list)

    def levels(self) -> Iterator[Scope]:
        level: Scope | None = self
        while level is not None:
            yield level
            level = level.parent

    def cte(self, name: str) -> Source | None:
        """The common table expression of that name, nearest level first."""
        return next((level.ctes[name] for level in self.levels() if name in level.ctes), None)

    def resolve(self, names: list[str]) -> ProtectedColumn | None:
        """The protected column that a column reference means, or None for a plain one.

        Raises AmbiguousName and WholeRow. A reference that PostgreSQL would not
        find counts as plain: the server says so itself.
        """
        if len(names) == 1:
            return self._bare(names[0])
        return self._qualified(names)

    def _bare(self, name: str) -> ProtectedColumn | None:
        unknown_inside = False
        for level in self.levels():
            visible = [s for s in level.sources if not s.is_hidden]
            found = [column for source in visible for column in source.find(name)]
            protected = {c.protected for c in found if c.protected is not None}
            if protected:
                if unknown_inside or len(found) > 1 or any(s.columns is None for s in visible):
                    raise AmbiguousName(name)
                return found[0].protected
            if found:
                return None
            if any(s.alias == name and s.has_protected for s in level.sources):
                raise WholeRow(name)
            unknown_inside = unknown_inside or any(s.columns is None for s in visible)
        return None

    def _qualified(self, names: list[str]) -> ProtectedColumn | None:
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
            if any(c.protected for c in found):
                if len(found) > 1:
                    raise AmbiguousName(name)
                return found[0].protected
            return None
        # `a.b` may also be field b of a composite column a: a protected column is no composite.
        if self._bare_or_none(qualifier) is not None:
            raise AmbiguousName(qualifier)
        return None

    def _bare_or_none(self, name: str) -> ProtectedColumn | None:
        try:
            return self._bare(name)
        except WholeRow:
            return None

    def source(self, names: list[str]) -> Source | None:
        """The source that `alias.*` or `schema.table.*` means."""
        for level in self.levels():
            for source in level.sources:
                if source.alias == names[-1] and (
                    len(names) == 1 or source.schema is None or source.schema == names[-2]
                ):
                    return source
        return None


def table_source(relation: Relation, alias: str | None) -> Source:
    """The source that a table in FROM gives."""
    columns = tuple(ScopeColumn(c.name, c.protected) for c in relation.columns)
    return Source(alias or relation.name, columns, None if alias else relation.schema)


def aliased(source: Source, alias: str, names: list[str]) -> Source:
    """`source` under an alias with a column list (`AS t (a, b)`)."""
    columns = source.columns
    if columns is not None and names:
        renamed = [ScopeColumn(new, old.protected) for new, old in zip(names, columns, strict=False)]
        columns = (*renamed, *columns[len(names) :])
    return Source(alias, columns)
