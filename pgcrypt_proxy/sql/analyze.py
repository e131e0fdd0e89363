"""One statement is untouched, rewritten or refused: the decision, and what carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import copy, ddl, introspection, mention, plain_tables, refuse, withheld
from pgcrypt_proxy.sql.catalog import Catalog, ProtectedColumn
from pgcrypt_proxy.sql.code import runs_dynamic_sql
from pgcrypt_proxy.sql.context import Context, Outputs, find_relation
from pgcrypt_proxy.sql.edits import Edit
from pgcrypt_proxy.sql.expressions import conditions, plain, window
from pgcrypt_proxy.sql.parse import Node, ParsedText, Statement
from pgcrypt_proxy.sql.plan import ParameterUse, StatementPlan, Use
from pgcrypt_proxy.sql.predicates import nullif
from pgcrypt_proxy.sql.prepared import deallocated, execution
from pgcrypt_proxy.sql.scope import ScopeColumn
from pgcrypt_proxy.sql.sealed import settle
from pgcrypt_proxy.sql.select import select, select_compared
from pgcrypt_proxy.sql.settings import changes_settings, ends_transaction, keeps_tenant, moves_names
from pgcrypt_proxy.sql.writes import write

#: Statements in words, for refusals.
STATEMENT_WORDS = {
    "MergeStmt": "MERGE",
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


@dataclass(frozen=True, slots=True)
class Dependence:
    """The relations that a statement names. `is_loose`: what they are makes no difference to it."""

    names: frozenset[str]
    is_loose: bool


@dataclass(slots=True)
class Analysis:
    """What one statement comes to. `edits` and `uses` are empty unless it is rewritten, or asks the catalogs."""

    plan: StatementPlan
    edits: list[Edit]
    uses: list[ParameterUse]
    unknown_relations: frozenset[mention.RelationName] = mention.NO_RELATIONS
    dependence: Dependence | None = None
    moves_names: bool = True
    keeps_tenant: bool = False


def analyze(statement: Statement, text: ParsedText, catalog: Catalog, resolved: Mapping[str, int]) -> Analysis:
    """Decide on one statement. Raises AskServer when a name's meaning must be asked for."""
    found = mention.find(statement.tree, statement.kind)
    unknown = _unknown(found, catalog)
    kind = statement.kind
    moves = moves_names(kind, statement.tree, found)
    is_ddl = kind not in mention.NEUTRAL_STATEMENTS | mention.DATA_STATEMENTS or "intoClause" in statement.tree
    dependence = Dependence(ddl.named(statement.tree, found), kind in HARMLESS_STATEMENTS | ddl.HARMLESS)
    try:
        executes = execution(statement, text)
        touched = _touched(statement, found, catalog, resolved, text)
        if touched is None and kind == "DoStmt" and catalog.sensitive_names and _builds_sql(statement.tree):
            raise refuse.dynamic_code()
        reshapes = is_ddl and ddl.reshapes(kind, statement.tree, is_concerned=touched is not None)
        noted = plain_tables.noted(statement, text, found, catalog, resolved)
        is_plain = touched is not None and plain_tables.passes(statement, found, catalog, resolved)
        if touched is None or kind in HARMLESS_STATEMENTS or is_plain:
            plan = StatementPlan(
                is_untouched=True,
                is_ddl=is_ddl,
                tables=tuple(sorted(noted)),
                reshapes=reshapes and bool(catalog.sensitive_names),
                executes=executes,
                deallocates=deallocated(kind, statement.tree),
                changes_settings=changes_settings(kind, statement.tree, found),
                ends_transaction=ends_transaction(kind, statement.tree),
                needs_tenant=kind == "FetchStmt" and any(c.is_of_session for c in catalog.provenance.values()),
            )
            edits, uses = introspection.rewrite(statement, found, text, catalog)
            return Analysis(plan, edits, uses, unknown, dependence, moves, keeps_tenant(kind, statement.tree, found))
        context = Context(
            catalog,
            text,
            resolved,
            select=select,
            select_compared=select_compared,
            write=write,
            plain=plain,
            window=window,
            conditions=conditions,
            nullif=nullif,
        )
        outputs = _understand(context, statement, touched)
        columns = tuple(_shown(o) for o in outputs) if outputs is not None else None
        settle(context)
        withheld.check(context, columns or ())
        shown = [column for column in columns or () if column is not None]
        copied = copy.plan(statement.tree, outputs, columns) if kind == "CopyStmt" and outputs and columns else None
        plan = StatementPlan(
            is_untouched=not context.edits and not any(columns or ()),
            outputs=(columns or None) if kind != "CopyStmt" else None,  # its rows are described by nobody
            copy=copied,
            is_ddl=is_ddl,
            tables=tuple(sorted(context.tables | noted)),
            changes_settings=changes_settings(kind, statement.tree, found),
            reshapes=reshapes,
            command_tag=context.command_tag,
            of_tenants=context.seals_of_tenants or any(c.tenant for c in shown),
            seals_of_tenants=context.seals_of_tenants,
            needs_tenant=context.needs_tenant or any(c.is_of_session for c in shown),
        )
        keeps = keeps_tenant(kind, statement.tree, found)
        return Analysis(plan, context.edits, context.uses, unknown, dependence, moves, keeps)
    except Refusal as refusal:
        return Analysis(StatementPlan(is_untouched=False, refusal=refusal), [], [], unknown, dependence)
    except RecursionError:
        too_deep = refuse.form("a statement that nests so deep")
        return Analysis(StatementPlan(is_untouched=False, refusal=too_deep), [], [], unknown, dependence)


def _shown(output: ScopeColumn) -> ProtectedColumn | None:
    """The protected column that the rows' values come from; values of the statement that were sealed count as such."""
    if output.feed is not None:
        if output.feed.demand is not None and output.feed.demand[0] is Use.SEAL:
            return output.feed.demand[1]
        output.use_plain()
    return output.protected


def _touched(
    statement: Statement, found: mention.Mentions, catalog: Catalog, resolved: Mapping[str, int], text: ParsedText
) -> str | None:
    """The name of something sensitive that the statement mentions, or None when it provably touches nothing.

    Raises Refusal for functions whose SQL cannot be seen.
    """
    if not catalog.sensitive_names:
        return None
    for name, location in found.functions:
        if name in catalog.tainted_functions or mention.SQL_RUNNING_FUNCTIONS.match(name):
            raise refuse.function(name, text.to_char(location) + 1)
    _check_hazards(found, catalog, resolved, text)
    kind = statement.kind
    if (ruled := ddl.takes_ruled_name(kind, statement.tree, catalog)) is not None:
        return ruled
    for schema, name, _ in found.relations:
        if name in catalog.sensitive_names and _is_sensitive(catalog, resolved, schema, name):
            return name
    if kind in mention.NEUTRAL_STATEMENTS or kind in mention.DATA_STATEMENTS:
        return None
    # Names in DDL stand in plain lists, bodies of functions in strings: any word counts.
    names = catalog.sensitive_names
    return next((found_name for s in found.strings if (found_name := mention.spelled_in(s, names))), None)


def _check_hazards(found: mention.Mentions, catalog: Catalog, resolved: Mapping[str, int], text: ParsedText) -> None:
    """Raises Refusal for a write that sets off a trigger or rule which may move protected values."""
    for event, schema, name, location in found.targets:
        relation = find_relation(catalog, resolved, schema, name) if name in catalog.hazard_names else None
        if relation is None:
            continue
        what = next((what for hazard, what in relation.write_hazards if hazard == event), None)
        if what is not None:
            raise refuse.hazard(event, what, relation, text.to_char(location) + 1)


def _builds_sql(tree: Node) -> bool:
    """Whether a DO may run SQL that does not stand in its code."""
    options = {
        item["DefElem"]["defname"]: item["DefElem"]["arg"]["String"].get("sval", "") for item in tree.get("args", ())
    }
    return runs_dynamic_sql(options.get("language", "plpgsql"), options.get("as", ""))


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


def _understand(context: Context, statement: Statement, touched: str) -> Outputs:
    """The analysis of a statement that mentions something sensitive: the outputs of the rows it returns, if any.

    Raises Refusal for all statements that are not understood.
    """
    if statement.kind in ddl.KINDS:
        ddl.understand(context, statement)
        return None
    return _understand_data(context, statement.kind, statement.tree, touched)


def _understand_data(context: Context, kind: str, tree: Node, touched: str) -> Outputs:
    if kind == "SelectStmt":
        outputs = select(context, tree, None)
        if "intoClause" in tree:
            _kept(context, tree["intoClause"]["rel"], outputs, "SELECT INTO")
            return None
        return outputs
    if kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
        return write(context, kind, tree, None) or None
    if kind == "ExplainStmt":
        ((inner, query),) = tree["query"].items()
        if inner in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
            for output in _understand_data(context, inner, query, touched) or ():
                output.use_plain()
            return None
    if kind == "CopyStmt":
        copy.check_target(tree, touched)
        if "relation" in tree:
            return copy.table_columns(context, tree)
        ((inner, query),) = tree["query"].items()
        return _understand_data(context, inner, query, touched)
    if kind == "DeclareCursorStmt":
        _cursor(context, tree)
    elif kind == "ViewStmt":
        _view(context, tree["view"], tree["query"])
    elif kind == "CreateTableAsStmt" and tree.get("objtype") == "OBJECT_MATVIEW" and "SelectStmt" in tree["query"]:
        _view(context, tree["into"]["rel"], tree["query"])
    elif kind == "CreateTableAsStmt" and "SelectStmt" in tree["query"]:
        _kept(context, tree["into"]["rel"], select(context, tree["query"], None), "CREATE TABLE AS")
    else:
        raise refuse.statement(STATEMENT_WORDS.get(kind, kind.removesuffix("Stmt")), touched)
    return None


def _kept(context: Context, target: Node, outputs: Outputs, what: str) -> None:
    """A query whose result becomes a table: none of it may be protected, as no rule would speak of its columns."""
    _check_new(context, target, what)
    if outputs is None:
        raise refuse.form(f"{what} with columns that are not known")
    for output in outputs:
        if output.protected is not None:
            hint = "Create the table, protect its column, then copy in the application."
            raise refuse.construct(output.protected, what, hint=hint)
        output.use_plain()


def _view(context: Context, target: Node, query: Node) -> None:
    """A view hands columns on under their sealed types; what would be rewritten for one run cannot be in its body."""
    _check_new(context, target, "CREATE VIEW")
    select(context, query, None)
    settle(context)
    if len(context.edits) > context.listings or context.uses:
        hint = "Leave the condition out of the view and put it into the queries on it."
        raise refuse.statement("CREATE VIEW with a condition or value", ", ".join(sorted(context.tables)), hint=hint)


def _check_new(context: Context, target: Node, what: str) -> None:
    """Raises Refusal when a query's result would take the place of a protected table, or of one that rules name."""
    schema, name = target.get("schemaname"), target["relname"]
    present = {relation.schema for relation in context.catalog.by_name.get(name, ())}
    for ruled in sorted({s for s, table, _ in context.catalog.ruled if table == name} - present):
        if schema == ruled or (schema is None and context.creates_in(ruled)):
            raise refuse.statement(what, name, hint="Create the table with its columns, then INSERT.")
    relation = find_relation(context.catalog, context.resolved, schema, name)
    if relation is not None and relation.is_sensitive:
        raise refuse.statement(what, relation.name)


def _cursor(context: Context, tree: Node) -> None:
    """DECLARE CURSOR: FETCH says nothing of its query, so every protected output must show in RowDescription."""
    outputs = select(context, tree["query"], None) or ()
    withheld.check(context, (output.protected for output in outputs))
    for output in outputs:
        if output.protected is not None and not output.is_direct:
            raise refuse.construct(output.protected, "an expression in a cursor's result")
        output.use_plain()


def _unknown(found: mention.Mentions, catalog: Catalog) -> frozenset[mention.RelationName]:
    """The relations that the statement names, the catalog lacks, and that are no system relations or WITH names."""
    return frozenset(
        (schema, name)
        for schema, name, _ in found.relations
        if name not in catalog.by_name
        and name not in found.cte_names
        and not name.startswith("pg_")
        and schema not in ("pg_catalog", "information_schema", "pg_temp")
    )
