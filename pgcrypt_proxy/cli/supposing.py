"""What would be if columns had more search terms: catalogs that differ from the database's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from pgcrypt_proxy.cli.planning import Names
from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn
from pgcrypt_proxy.sql.planner import Planner

#: How refusals name the column and the search mode that it lacks.
_COLUMN = re.compile(r'protected column "([^"]+)"')
_MODE = re.compile(r'add "search: \[(\w+)\]"', re.IGNORECASE)

#: (qualified name of a column, search mode).
Need = tuple[str, str]


def lacking(refusal: Refusal) -> Need | None:
    """The search term without which a statement is refused, None when it lacks something else."""
    column, mode = _COLUMN.search(refusal.message), _MODE.search(refusal.hint or "")
    return (column[1], mode[1]) if column and mode else None


class Supposing:
    """Planners for a catalog whose columns have search terms that they lack; one for each set of them.

    Partitions and copies share the terms of the column that a rule names; `ruled`
    are the qualified names of those.
    """

    def __init__(self, catalog: Catalog, ruled: Iterable[str]) -> None:
        self._catalog = catalog
        self._planners: dict[frozenset[Need], Planner] = {}
        named = set(ruled)
        owners = {c.id: c.qualified_name for c in catalog.protected_columns if c.qualified_name in named}
        self._owner = {c.qualified_name: owners.get(c.id, c.qualified_name) for c in catalog.protected_columns}

    def planner(self, needs: frozenset[Need] = frozenset()) -> Planner:
        """The planner of the catalog with these terms added."""
        if needs not in self._planners:
            self._planners[needs] = Planner(_changed(self._catalog, lambda column: self._with(column, needs)))
        return self._planners[needs]

    def _with(self, column: ProtectedColumn, needs: frozenset[Need]) -> ProtectedColumn:
        owner = self._owner[column.qualified_name]
        modes = {mode for name, mode in needs if name == owner}
        if not modes:
            return column
        return replace(column, search=column.search | modes, index_domain=column.index_domain or owner)

    def needs(self, refusal: Refusal, sql: str, names: Names) -> tuple[frozenset[Need], bool]:
        """The terms that a refused statement lacks, one after the other, and whether it passes with them."""
        found: frozenset[Need] = frozenset()
        next_refusal: Refusal | None = refusal
        while next_refusal is not None:
            lacked = lacking(next_refusal)
            need = (self._owner.get(lacked[0], lacked[0]), lacked[1]) if lacked is not None else None
            if need is None or need in found:
                return found, False
            found |= {need}
            next_refusal = names.plan(self.planner(found), sql, extended=False).refusal
        return found, True


def _changed(catalog: Catalog, change: Callable[[ProtectedColumn], ProtectedColumn]) -> Catalog:
    relations = [
        replace(
            relation,
            columns=tuple(
                replace(column, protected=change(column.protected)) if column.protected is not None else column
                for column in relation.columns
            ),
        )
        if relation.is_protected
        else relation
        for relation in catalog.relations.values()
    ]
    return catalog.with_relations(relations, ruled={where: change(column) for where, column in catalog.ruled.items()})
