"""Tables without envelopes that must be looked at all the same: clients see other columns of them, or soon will."""

from __future__ import annotations

from collections.abc import Mapping

from pgcrypt_proxy.sql import mention, refuse, row_order
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.context import find_relation
from pgcrypt_proxy.sql.parse import ParsedText, Statement

#: Statements about tables as a whole that pass if these hold no envelopes; and those that also need tables at rest.
_SETTLED_STATEMENTS = frozenset({"CreateTrigStmt", "CreatePolicyStmt", "AlterPolicyStmt", "CreateStatsStmt"})
_TABLE_STATEMENTS = _SETTLED_STATEMENTS | {"RefreshMatViewStmt", "ReindexStmt", "ClusterStmt"}
#: Statements that pass on tables which hold no envelopes.
_PLAIN_STATEMENTS = _TABLE_STATEMENTS | {
    "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "DeclareCursorStmt", "CopyStmt", "CallStmt",
}  # fmt: skip


def passes(statement: Statement, found: mention.Mentions, catalog: Catalog, resolved: Mapping[str, int]) -> bool:
    """Whether a statement that mentions something sensitive passes as it is: no value that it reads or writes can be
    an envelope, and it makes no difference to it which columns a table has besides those that it names.
    """
    kind, tree = statement.kind, statement.tree
    if kind == "ExplainStmt":
        ((kind, tree),) = tree["query"].items()
    if kind not in _PLAIN_STATEMENTS or "intoClause" in tree:
        return False
    rearranged = []
    for schema, name, _ in found.relations:
        if name not in catalog.sensitive_names:
            continue
        if any(table == name and schema in (None, s) for s, table in catalog.unmet_rules):
            return False
        relation = find_relation(catalog, resolved, schema, name)
        if relation is None:
            continue
        if relation.may_hold_envelopes or (kind in _SETTLED_STATEMENTS and relation.is_changing):
            return False
        if relation.is_rearranged:
            rearranged.append(relation)
    return not rearranged or kind in _TABLE_STATEMENTS or not row_order.depends(kind, tree, rearranged)


def noted(
    statement: Statement, text: ParsedText, found: mention.Mentions, catalog: Catalog, resolved: Mapping[str, int]
) -> set[str]:
    """The tables with a column on its way, or with other columns than clients see, that the statement reaches,
    whatever it does with them. Raises AskServer, and Refusal for what names a column that clients do not see.
    """
    names = catalog.moving_names | catalog.rearranged_names
    if not names:
        return set()
    row_type = next((t for t in found.types if t.removeprefix("_") in catalog.rearranged_names), None)
    if row_type is not None:
        raise refuse.form(f'the row type "{row_type}", which has other columns than clients see,')
    relations = [
        relation
        for schema, name, _ in found.relations
        if name in names and (relation := find_relation(catalog, resolved, schema, name)) is not None
    ]
    if statement.kind not in mention.NEUTRAL_STATEMENTS | mention.DATA_STATEMENTS:  # DROP has names as strings
        for name in sorted(names):
            if any(mention.spelled_in(string, frozenset({name})) for string in found.strings):
                relations += catalog.by_name[name]
    row_order.check_hidden(statement.tree, text, relations)
    return set().union(*(relation.touched for relation in relations))
