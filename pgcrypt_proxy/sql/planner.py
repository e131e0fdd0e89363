"""SQL text to `Plan`, with a bounded cache: the front door of this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from pgcrypt_proxy.errors import PgcryptError, Refusal
from pgcrypt_proxy.sql import ddl_effects, long_text, refuse
from pgcrypt_proxy.sql.analyze import Analysis, analyze
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.context import MOVED, AskServer
from pgcrypt_proxy.sql.edits import Edit, render
from pgcrypt_proxy.sql.mention import ANY_RELATIONS, NO_RELATIONS, RelationName, text_mentions, text_runs_code
from pgcrypt_proxy.sql.parse import ParsedText, Statement, Unparsable, parse
from pgcrypt_proxy.sql.plan import (
    UNTOUCHED,
    LiteralSlot,
    NeedsNames,
    ParameterUse,
    Plan,
    StatementPlan,
    Use,
)
from pgcrypt_proxy.sql.plan_cache import PlanCache
from pgcrypt_proxy.sql.prepared import prepare
from pgcrypt_proxy.sql.template import Family, Template

#: What stands in place of a refused statement: PostgreSQL fails it with 42883 in analysis, whatever is installed.
REFUSED_STATEMENT = "SELECT pg_catalog.pgcrypt_proxy_refused()"
MAX_STATEMENT_BYTES = 1 << 20
#: Plans of longer texts are made anew each time.
MAX_CACHED_TEXT = 16 * 1024
MAX_CACHED_PLANS = 5_000
MAX_CACHED_BYTES = 32 << 20
#: For a catalog that is one session's own, while its DDL is not committed.
MAX_OWN_PLANS = 100
_NOTHING: Mapping[str, int] = MappingProxyType({})

_Resolved = tuple[tuple[str, int], ...]
_Made = tuple[Plan, frozenset[RelationName]]

#: A Bind has no more.
MAX_PARAMETERS = 65_535


class Planner:
    """Makes plans for one catalog version. Holds a cache, so one Planner serves all connections of a process."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        max_statement_bytes: int = MAX_STATEMENT_BYTES,
        max_cached_plans: int = MAX_CACHED_PLANS,
        max_cached_bytes: int = MAX_CACHED_BYTES,
        blocked: Refusal | None = None,
    ) -> None:
        """`blocked`: refuse every text with this, because what the rules mean in this database is not certain."""
        self.catalog = catalog
        self.blocked = blocked
        #: Longer texts are not parsed; counted in characters.
        self.max_statement_bytes = max_statement_bytes
        #: by whole text; and by text without literals, see `template`
        self.plans: PlanCache[_Made] = PlanCache(max_cached_plans, max_cached_bytes // 2)
        self.templates: PlanCache[Template | frozenset[int]] = PlanCache(max_cached_plans, max_cached_bytes // 2)

    def under(self, catalog: Catalog) -> Planner:
        """A planner for another catalog, with the same limits."""
        return Planner(
            catalog, max_statement_bytes=self.max_statement_bytes, max_cached_plans=MAX_OWN_PLANS, blocked=self.blocked
        )

    def plan(
        self,
        sql: str,
        *,
        extended: bool,
        resolved: Mapping[str, int] | None = None,
        standard_conforming_strings: bool = True,
    ) -> Plan | NeedsNames:
        """The plan of `sql`: one statement when `extended`, any number otherwise.

        `resolved` answers an earlier NeedsNames: relation OID by asked name, 0
        for none. `standard_conforming_strings` is the session's setting: with it
        off, texts with backslashes cannot be read for certain. Never raises:
        what cannot be planned is a plan with a refusal, or provably untouched.
        """
        return self._planned(sql, extended, resolved, standard_conforming_strings)[0]

    def with_failures(self, sql: str, resolved: Mapping[str, int] | None, errors: Sequence[PgcryptError]) -> Plan:
        """The plan of a planned simple query in which the statements at the errors' positions fail with them.

        A literal is judged when it is sealed. The statements before it must run
        even so, as the server would run them: one may be BEGIN or COMMIT.
        """
        text = parse(sql, self.catalog.types)
        analyses = _settled(self._analyses(text, resolved or _NOTHING))
        for error in errors:
            for number, statement in enumerate(text.statements):
                if error.position is not None and statement.start < error.position <= statement.end:
                    refusal = Refusal(
                        error.message,
                        detail=error.detail,
                        hint=error.hint,
                        position=error.position,
                        sqlstate=error.code,
                    )
                    analyses[number] = Analysis(StatementPlan(is_untouched=False, refusal=refusal), [], [])
        return self._rewritten(text, analyses)

    def plan_and_unknown(
        self,
        sql: str,
        *,
        extended: bool,
        resolved: Mapping[str, int] | None = None,
        standard_conforming_strings: bool = True,
    ) -> tuple[Plan | NeedsNames, frozenset[RelationName]]:
        """What `plan` and `unknown_relations` say, planned once: long texts are not remembered."""
        made = self._planned(sql, extended, resolved, standard_conforming_strings)
        if standard_conforming_strings or "\\" not in sql:
            return made
        return made[0], self.unknown_relations(sql, extended=extended, resolved=resolved)

    def unknown_relations(
        self, sql: str, *, extended: bool = True, resolved: Mapping[str, int] | None = None
    ) -> frozenset[RelationName]:
        """The relations that `sql` names and the catalog lacks: a newer catalog may tell more.

        None as long as `plan` asks for names: give the answers then.
        """
        return self._planned(sql, extended, resolved, True)[1]

    def template(self, sql: str) -> tuple[str, Template] | None:
        """The key and the template that tell the plan of a simple query for certain, where no names were asked for."""
        if self.blocked is not None or len(sql) > min(self.max_statement_bytes, MAX_CACHED_TEXT):
            return None
        family = Family(self.templates, sql, False, ())
        trusted = family.trusted()
        return None if trusted is None else (family.key, trusted)

    def _planned(
        self, sql: str, extended: bool, resolved: Mapping[str, int] | None, standard_conforming_strings: bool
    ) -> tuple[Plan | NeedsNames, frozenset[RelationName]]:
        if self.blocked is not None:
            return _refused(self.blocked), NO_RELATIONS
        if not standard_conforming_strings and "\\" in sql:
            reason = "backslashes with standard_conforming_strings off"
            if self._sensitive and text_runs_code(sql):
                return _refused(refuse.unparsable(reason, None)), NO_RELATIONS
            return self._unreadable(sql, reason, None), NO_RELATIONS
        answers: _Resolved = tuple(sorted(resolved.items())) if resolved else ()
        key = (sql, extended, answers)
        if (cached := self.plans.get(key)) is not None:
            return cached
        if len(sql) > self.max_statement_bytes:
            return self._long(sql)
        is_cached = len(sql) <= MAX_CACHED_TEXT
        family = Family(self.templates, sql, extended, answers) if is_cached else None
        made = family.plan() if family is not None else None
        try:
            if made is None:
                text = parse(sql, self.catalog.types)
                made = self._make(text, extended, resolved or _NOTHING)
                if family is not None:
                    family.learn(text, *made)
        except AskServer as ask:
            return NeedsNames((*(resolved or ()), ask.name)), NO_RELATIONS
        except Unparsable as error:
            made = self._unreadable(sql, error.message, error.position), NO_RELATIONS
        if is_cached:
            self.plans.put(key, made, max(len(sql), made[0].length))
        return made

    def _make(self, text: ParsedText, extended: bool, resolved: Mapping[str, int]) -> _Made:
        sql = text.sql
        if extended and len(text.statements) > 1:
            # The server refuses it whatever it holds; but it must not see a protected value.
            if text_mentions(sql, self._sensitive):
                refusal = Refusal("cannot insert multiple commands into a prepared statement", sqlstate="42601")
                return _refused(refusal), NO_RELATIONS
            return UNTOUCHED, NO_RELATIONS
        analyses = _settled(self._analyses(text, resolved))
        unknown = NO_RELATIONS.union(*(a.unknown_relations for a in analyses))
        plans = tuple(a.plan for a in analyses)
        is_optional = all(p.is_untouched for p in plans)
        if is_optional and not any(a.edits for a in analyses):
            return Plan(is_untouched=True, statements=plans), unknown
        return self._rewritten(text, analyses, is_optional=is_optional), unknown

    def _analyses(self, text: ParsedText, resolved: Mapping[str, int]) -> Iterator[tuple[Analysis, bool]]:
        """The analyses in order, and whether what is behind is known: each is made for what those before it leave."""
        catalog = self.catalog
        for statement in text.statements:
            analysis = self._analysed(statement, text, resolved, catalog)
            if analysis.moves_names:
                resolved = MOVED
            left: Catalog | None = catalog
            if analysis.plan.reshapes and len(text.statements) > 1:
                left = ddl_effects.after(catalog, statement, analysis.plan.tables)
            elif analysis.plan.ends_transaction and statement.tree.get("kind") != "TRANS_STMT_COMMIT":
                left = catalog if catalog is self.catalog else None  # which of it is taken back is not known
            yield analysis, left is not None
            catalog = left or catalog

    def _analysed(
        self, statement: Statement, text: ParsedText, resolved: Mapping[str, int], catalog: Catalog
    ) -> Analysis:
        if statement.kind != "PrepareStmt":
            return analyze(statement, text, catalog, resolved)
        unknown = NO_RELATIONS

        def plan_of(sql: str) -> Plan:
            nonlocal unknown
            inner = self if catalog is self.catalog else self.under(catalog)
            plan, unknown = inner._make(parse(sql, self.catalog.types), True, resolved)
            return plan.unwritten if plan.is_optional else plan

        try:
            plan, edits = prepare(statement, text, plan_of)
        except Refusal as refusal:
            plan, edits = StatementPlan(is_untouched=False, refusal=refusal), []
        return Analysis(plan, edits, [], unknown, moves_names=False)

    def _rewritten(self, text: ParsedText, analyses: list[Analysis], *, is_optional: bool = False) -> Plan:
        edits: list[Edit] = []
        uses: list[ParameterUse] = []
        for statement, analysis in zip(text.statements, analyses, strict=True):
            if analysis.plan.refusal is not None:
                edits.append(Edit(statement.start, statement.end, (_refused_text(text, statement.start),)))
            edits += analysis.edits
            uses += analysis.uses
        statements = tuple(a.plan for a in analyses)
        for use in uses:
            if not 0 <= use.client_index < MAX_PARAMETERS:
                return _refused(Refusal(f"there is no parameter ${use.client_index + 1}", sqlstate="42P02"))
        parameters, numbers, count = _number(uses)
        try:
            pieces, splices = render(text.sql, edits, numbers)
            if edits:
                _check(pieces, len(statements))
        except Refusal as refusal:
            return _refused(refusal)
        return Plan(False, statements, pieces, splices, parameters, count, is_optional)

    def _unreadable(self, sql: str, reason: str, position: int | None) -> Plan:
        """A text that cannot be parsed: the server judges it unless it may speak of something protected."""
        if self._sensitive and text_mentions(sql, self._sensitive):
            return _refused(refuse.unparsable(reason, position))
        return UNTOUCHED

    def too_long(self, length: int) -> Refusal | None:
        """Why a text of that many characters is not even looked at, if it is not."""
        if length <= self.max_statement_bytes * long_text.MAX_TIMES or not self.catalog.sensitive_names:
            return None
        return self._is_long()

    def _long(self, sql: str) -> tuple[Plan, frozenset[RelationName]]:
        """A text that is not parsed for its length."""
        if not self.catalog.sensitive_names:
            return UNTOUCHED, NO_RELATIONS
        if self.too_long(len(sql)) is None and long_text.touches_nothing(sql, self.catalog):
            return UNTOUCHED, ANY_RELATIONS
        return _refused(self._is_long()), NO_RELATIONS

    def _is_long(self) -> Refusal:
        return Refusal(
            f"the statement is longer than {self.max_statement_bytes} characters",
            detail="Longer ones pass if they are queries or DML, and spell the name of nothing protected.",
            hint="Send long values as parameters, or raise max_statement_bytes.",
            sqlstate="54001",
        )

    @property
    def _sensitive(self) -> frozenset[str]:
        return self.catalog.sensitive_names | self.catalog.tainted_functions


def _settled(analyses: Iterable[tuple[Analysis, bool]]) -> list[Analysis]:
    """Refuse what is planned for a state that an earlier statement of the same text ends.

    Such a statement changes how values are read, or what protected tables are in a way that is not known (the
    analysis comes with False).
    """
    made = []
    is_doubtful = False
    is_same_tenant = True
    changed: frozenset[str] = frozenset()
    reshaped: frozenset[str] | None = None
    for analysis, is_known in analyses:
        on = analysis.dependence
        is_touching = not analysis.plan.is_untouched or bool(analysis.plan.tables)
        if reshaped is not None and on is not None and not on.is_loose and (is_touching or on.names & reshaped):
            refused = StatementPlan(is_untouched=False, refusal=refuse.behind_reshaping())
            analysis = Analysis(refused, [], [], analysis.unknown_relations)
        elif analysis.plan.needs_tenant and not is_same_tenant:
            refused = StatementPlan(is_untouched=False, refusal=refuse.unsettled_tenant())
            analysis = Analysis(refused, [], [], analysis.unknown_relations)
        elif is_doubtful and not analysis.plan.is_untouched and analysis.plan.refusal is None:
            refused = StatementPlan(is_untouched=False, refusal=refuse.unsettled_settings())
            analysis = Analysis(refused, [], [], analysis.unknown_relations)
        made.append(analysis)
        is_doubtful = is_doubtful or analysis.plan.changes_settings
        is_same_tenant = is_same_tenant and analysis.keeps_tenant
        if analysis.plan.reshapes and on is not None:
            changed |= on.names
        if not is_known or reshaped is not None:
            reshaped = changed
    return made


def _refused(refusal: Refusal) -> Plan:
    """The plan of a whole text that is refused."""
    return Plan(False, (StatementPlan(is_untouched=False, refusal=refusal),), (REFUSED_STATEMENT,))


def _refused_text(text: ParsedText, start: int) -> str:
    """The failing statement, kept apart from a word before it."""
    return f" {REFUSED_STATEMENT}" if start else REFUSED_STATEMENT


def _number(uses: list[ParameterUse]) -> tuple[tuple[ParameterUse, ...], dict[ParameterUse, int], int]:
    """The upstream parameters in order, the number of each use, and how many the client's text has.

    One use of a client's parameter keeps its number; further ones, of another
    kind, get numbers after the client's last. Where the value passes the text
    stays as it is, so that use keeps the number if there is one.
    """
    count = max((use.client_index for use in uses), default=-1) + 1
    first: dict[int, ParameterUse] = {use.client_index: use for use in uses if use.use is Use.PASS}
    further: list[ParameterUse] = []
    for use in uses:
        if use.client_index not in first:
            first[use.client_index] = use
        elif use != first[use.client_index] and use not in further:
            further.append(use)
    ordered = [first.get(index, ParameterUse(index, Use.PASS)) for index in range(count)] + further
    return tuple(ordered), {use: number for number, use in enumerate(ordered, 1)}, count


def _check(pieces: tuple[str | LiteralSlot, ...], count: int) -> None:
    """A rewritten text must parse, to as many statements as the client's. Raises Refusal."""
    probe = "".join(piece if isinstance(piece, str) else "E'\\\\x00'::pg_catalog.bytea" for piece in pieces)
    try:
        parsed = parse(probe)
    except Unparsable:
        raise refuse.unsafe() from None
    if len(parsed.statements) != count:
        raise refuse.unsafe()
