"""Which columns of a view are protected columns: the lineage of views, views over views included.

A view over a protected table is understood when its query, read as a client's
statement, would pass the proxy as it stands. A query that compares protected
values, or stores or computes with them, would need rewriting; the server runs a
view's query unrewritten, on ciphertext, so such a view stays derived and is
refused. So does one whose columns' types say something else than its lineage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pgcrypt_proxy.ops.catalog_queries import CatalogRows
from pgcrypt_proxy.sql.analyze import analyze
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn, Relation
from pgcrypt_proxy.sql.context import AskServer
from pgcrypt_proxy.sql.parse import Unparsable, parse

VIEW_KINDS = frozenset("vm")

Lineage = tuple[ProtectedColumn | None, ...]


def candidates(rows: CatalogRows, derived: Iterable[int]) -> list[int]:
    """The OIDs of the derived relations that are views."""
    views = {relation.oid for relation in rows.relations if relation.kind in VIEW_KINDS}
    return sorted(views.intersection(derived))


def with_views(base: Catalog, rows: CatalogRows, definitions: Mapping[int, str], tainted: frozenset[int]) -> Catalog:
    """`base` with every view that can be understood as a relation of its own right.

    `definitions` are the queries of candidates with all names qualified;
    `tainted` are the OIDs of functions that may touch protected tables.
    """
    reads: dict[int, set[int]] = defaultdict(set)
    rejected = set()
    for view, is_function, what in rows.rule_reads:
        if not is_function:
            reads[view].add(what)
        elif what in tainted:
            rejected.add(view)
    catalog = base
    waiting = {oid for oid in definitions if oid in base.relations} - rejected
    while True:
        # A view is read when all views that it reads have been: nested ones take a round each.
        ready = {oid for oid in waiting if waiting.isdisjoint(reads[oid] - {oid})}
        read = [_understood(catalog, rows, oid, definitions[oid], reads[oid]) for oid in sorted(ready)]
        understood = [view for view in read if view is not None]
        waiting -= ready
        if not understood:
            return catalog
        catalog = base.with_relations({**catalog.relations, **{view.oid: view for view in understood}}.values())


def _understood(catalog: Catalog, rows: CatalogRows, oid: int, definition: str, reads: set[int]) -> Relation | None:
    """The view with its protected columns, None when it cannot be understood.

    A column of a view is the table's column that it shows. So is one of a
    materialised view, which stores copies of that column's envelopes.
    """
    view = catalog.relations[oid]
    sensitive = [
        relation for what in sorted(reads) if (relation := catalog.relations.get(what)) and relation.is_sensitive
    ]
    lineage = _lineage(catalog, definition, len(view.columns), sensitive)
    if lineage is None:
        return None
    moving = tuple(sorted({table for relation in sensitive for table in relation.moving}))
    columns = []
    for column, source in zip(view.columns, lineage, strict=True):
        if column.type_oid != source.domain_oid if source is not None else column.type_oid in rows.domains:
            return None
        columns.append(replace(column, protected=source))
    return replace(view, columns=tuple(columns), is_derived=False, moving=moving)


def _lineage(catalog: Catalog, definition: str, width: int, sensitive: Iterable[Relation]) -> Lineage | None:
    """The protected column behind each of the query's `width` outputs; None when the query cannot be understood."""
    try:
        text = parse(definition, catalog.types)
        if len(text.statements) != 1 or text.statements[0].kind != "SelectStmt":
            return None
        analysis = analyze(text.statements[0], text, catalog, {})
    except (Unparsable, AskServer):
        return None
    plan = analysis.plan
    if plan.refusal is not None or analysis.edits or analysis.uses:
        return None
    # The server's own record of what the view reads, by OID: the names in the query must mean just these.
    if set(plan.tables) != {table for relation in sensitive for table in relation.touched}:
        return None
    outputs = plan.outputs if plan.outputs is not None else (None,) * width
    return outputs if len(outputs) == width else None
