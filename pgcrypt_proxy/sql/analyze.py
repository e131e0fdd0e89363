"""One statement is untouched, rewritten or refused: the decision, and what carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import mention, refuse
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.context import Context, Outputs, find_relation
from pgcrypt_proxy.sql.edits import Edit
from pgcrypt_proxy.sql.parse import Node, ParsedText, Statement
from pgcrypt_proxy.sql.plan import ParameterUse, StatementPlan
from pgcrypt_proxy.sql.select import select
from pgcrypt_proxy.sql.settings import changes_settings, ends_transaction
from pgcrypt_proxy.sql.writes import write

#: Statements in words, for refusals.
STATEMENT_WORDS = {
    "MergeStmt": "MERGE",
    "CopyStmt": "COPY",
    "PrepareStmt": "PREPARE",
    "DeclareCursorStmt": "DECLARE CURSOR",
    "CreateTableAsStmt": "CREATE TABLE AS",
    "CreateStmt": "CREATE TABLE",
    "ViewStmt": "CREATE VIEW",
    "AlterTableStmt": "ALTER TABLE",
    "RenameStmt": "ALTER ... RENAME",
    "DropStmt": "DROP",
    "TruncateStmt": "TRUNCATE",
    "IndexStmt": "CREATE INDEX",
    "DoStmt": "DO",
    "CallStmt": "CALL",
    "CreateFunctionStmt": "CREATE FUNCTION",
    "LockStmt": "LOCK TABLE",
    "VacuumStmt": "VACUUM or ANALYZE",
    "CommentStmt": "COMMENT",
    "GrantStmt": "GRANT or REVOKE",
}
#: Statements about a table as a whole that carry no value and read no column.
HARMLESS_STATEMENTS = frozenset({"LockStmt", "TruncateStmt", "GrantStmt", "VacuumStmt"})


@dataclass(slots=True)
class Analysis:
    """What one statement comes to. `edits` and `uses` are empty unless it is rewritten."""

    plan: StatementPlan
    edits: list[Edit]
    uses: list[ParameterUse]
    unknown_relations: bool = False


def analyze(statement: Statement, text: ParsedText, catalog: Catalog, resolved: Mapping[str, int]) -> Analysis:
    """Decide on one statement. Raises AskServer when a name's meaning must be asked for."""
    found = mention.find(statement.tree)
    unknown = _has_unknown(found, catalog)
    kind = statement.kind
    is_ddl = kind not in mention.NEUTRAL_STATEMENTS and kind not in mention.DATA_STATEMENTS
    executes = statement.tree.get("name") if kind == "ExecuteStmt" else None
    try:
        touched = _touched(kind, found, catalog, resolved, text)
        if touched is None or kind in HARMLESS_STATEMENTS:
            plan = StatementPlan(
                is_untouched=True,
                is_ddl=is_ddl,
                executes=executes,
                changes_settings=changes_settings(kind, statement.tree, found),
                ends_transaction=ends_transaction(kind, statement.tree),
            )
            return Analysis(plan, [], [], unknown)
        context = Context(catalog, text, resolved, select=select, write=write)
        outputs = _understand(context, kind, statement.tree, touched)
        columns = tuple(o.protected for o in outputs) if outputs is not None else None
        plan = StatementPlan(
            is_untouched=not context.edits and not any(columns or ()),
            outputs=columns or None,
            tables=tuple(sorted(context.tables)),
            changes_settings=changes_settings(kind, statement.tree, found),
        )
        return Analysis(plan, context.edits, context.uses, unknown)
    except Refusal as refusal:
        return Analysis(StatementPlan(is_untouched=False, refusal=refusal), [], [], unknown)
    except RecursionError:
        too_deep = refuse.form("a statement that nests so deep")
        return Analysis(StatementPlan(is_untouched=False, refusal=too_deep), [], [], unknown)


def _touched(
    kind: str, found: mention.Mentions, catalog: Catalog, resolved: Mapping[str, int], text: ParsedText
) -> str | None:
    """The name of something sensitive that the statement mentions, or None when it provably touches nothing.

    Raises Refusal for functions whose SQL cannot be seen.
    """
    if not catalog.sensitive_names:
        return None
    for name, location in found.functions:
        if name in catalog.tainted_functions or mention.SQL_RUNNING_FUNCTIONS.match(name):
            raise refuse.function(name, text.to_char(location) + 1)
    for schema, name, _ in found.relations:
        if name in catalog.sensitive_names and _is_sensitive(catalog, resolved, schema, name):
            return name
    if kind in mention.NEUTRAL_STATEMENTS or kind in mention.DATA_STATEMENTS:
        return None
    # Names in DDL stand in plain lists, bodies of functions in strings: any word counts.
    names = catalog.sensitive_names
    return next((found_name for s in found.strings if (found_name := mention.spelled_in(s, names))), None)


def _is_sensitive(catalog: Catalog, resolved: Mapping[str, int], schema: str | None, name: str) -> bool:
    if schema is not None:
        if any(s == schema and t == name for s, t in catalog.unmet_rules):
            return True
        relation = find_relation(catalog, resolved, schema, name)
        return relation is not None and relation.is_sensitive
    relation = find_relation(catalog, resolved, None, name)
    if relation is not None:
        return relation.is_sensitive
    return any(table == name for _, table in catalog.unmet_rules) and f'"{name}"' not in resolved


def _understand(context: Context, kind: str, tree: Node, touched: str) -> Outputs:
    """The analysis of a statement that mentions something sensitive. Raises Refusal for all but plain DML."""
    if kind == "SelectStmt":
        return select(context, tree, None)
    if kind in ("InsertStmt", "UpdateStmt", "DeleteStmt"):
        return write(context, kind, tree, None) or None
    if kind == "ExplainStmt":
        ((inner, query),) = tree["query"].items()
        if inner in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"):
            _understand(context, inner, query, touched)
            return None
    raise refuse.statement(STATEMENT_WORDS.get(kind, kind.removesuffix("Stmt")), touched)


def _has_unknown(found: mention.Mentions, catalog: Catalog) -> bool:
    """Whether the statement names a relation that the catalog lacks and that is no system relation or WITH name."""
    return any(
        name not in catalog.by_name
        and name not in found.cte_names
        and not name.startswith("pg_")
        and schema not in ("pg_catalog", "information_schema", "pg_temp")
        for schema, name, _ in found.relations
    )
