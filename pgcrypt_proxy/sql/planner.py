"""SQL text to `Plan`, with a bounded cache: the front door of this package."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.analyze import Analysis, analyze
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.context import AskServer
from pgcrypt_proxy.sql.edits import Edit, render
from pgcrypt_proxy.sql.mention import text_mentions
from pgcrypt_proxy.sql.parse import ParsedText, Unparsable, parse
from pgcrypt_proxy.sql.plan import (
    UNTOUCHED,
    LiteralSlot,
    NeedsNames,
    ParameterUse,
    Plan,
    StatementPlan,
    Use,
)

#: What stands in place of a refused statement: PostgreSQL fails it with 42883 in analysis, whatever is installed.
REFUSED_STATEMENT = "SELECT pg_catalog.pgcrypt_proxy_refused()"
MAX_STATEMENT_BYTES = 1 << 20
#: Plans of longer texts are made anew each time.
MAX_CACHED_TEXT = 16 * 1024
MAX_CACHED_PLANS = 5_000
_NOTHING: Mapping[str, int] = MappingProxyType({})

_Key = tuple[str, bool, tuple[tuple[str, int], ...]]


class Planner:
    """Makes plans for one catalog version. Holds a cache, so one Planner serves all connections of a process."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        max_statement_bytes: int = MAX_STATEMENT_BYTES,
        max_cached_plans: int = MAX_CACHED_PLANS,
        blocked: Refusal | None = None,
    ) -> None:
        """`blocked`: refuse every text with this, because what the rules mean in this database is not certain."""
        self.catalog = catalog
        self.blocked = blocked
        self._max_statement_bytes = max_statement_bytes
        self._max_cached_plans = max_cached_plans
        self._cache: OrderedDict[_Key, tuple[Plan, bool]] = OrderedDict()

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

    def unknown_relations(self, sql: str, *, extended: bool = True) -> bool:
        """Whether `sql` names a relation that the catalog lacks, so that a newer catalog may tell more."""
        return self._planned(sql, extended, None, True)[1]

    def _planned(
        self, sql: str, extended: bool, resolved: Mapping[str, int] | None, standard_conforming_strings: bool
    ) -> tuple[Plan | NeedsNames, bool]:
        if self.blocked is not None:
            return _refused(self.blocked), False
        if not standard_conforming_strings and "\\" in sql:
            return self._unreadable(sql, "backslashes with standard_conforming_strings off", None), False
        key = (sql, extended, tuple(sorted(resolved.items())) if resolved else ())
        cached = self._cache.get(key)
        if cached is not None:
            self._cache.move_to_end(key)
            return cached
        if len(sql) > self._max_statement_bytes:
            return self._too_long(sql), False
        try:
            made, unknown = self._make(sql, extended, resolved or _NOTHING)
        except AskServer as ask:
            return NeedsNames((*(resolved or ()), ask.name)), False
        except Unparsable as error:
            made, unknown = self._unreadable(sql, error.message, error.position), False
        if len(sql) <= MAX_CACHED_TEXT:
            self._cache[key] = made, unknown
            if len(self._cache) > self._max_cached_plans:
                self._cache.popitem(last=False)
        return made, unknown

    def _make(self, sql: str, extended: bool, resolved: Mapping[str, int]) -> tuple[Plan, bool]:
        text = parse(sql)
        if extended and len(text.statements) > 1:
            # The server refuses it whatever it holds; but it must not see a protected value.
            if text_mentions(sql, self._sensitive):
                refusal = Refusal("cannot insert multiple commands into a prepared statement", sqlstate="42601")
                return _refused(refusal), False
            return UNTOUCHED, False
        analyses = _settled([analyze(s, text, self.catalog, resolved) for s in text.statements])
        unknown = any(a.unknown_relations for a in analyses)
        plans = tuple(a.plan for a in analyses)
        if all(p.is_untouched for p in plans):
            return Plan(is_untouched=True, statements=plans), unknown
        return self._rewritten(text, analyses), unknown

    def _rewritten(self, text: ParsedText, analyses: list[Analysis]) -> Plan:
        edits: list[Edit] = []
        uses: list[ParameterUse] = []
        for statement, analysis in zip(text.statements, analyses, strict=True):
            if analysis.plan.refusal is not None:
                edits.append(Edit(statement.start, statement.end, (_refused_text(text, statement.start),)))
            edits += analysis.edits
            uses += analysis.uses
        statements = tuple(a.plan for a in analyses)
        parameters, numbers, count = _number(uses)
        try:
            pieces, splices = render(text.sql, edits, numbers)
            if edits:
                _check(pieces, len(statements))
        except Refusal as refusal:
            return _refused(refusal)
        return Plan(False, statements, pieces, splices, parameters, count)

    def _unreadable(self, sql: str, reason: str, position: int | None) -> Plan:
        """A text that cannot be parsed: the server judges it unless it may speak of something protected."""
        if self._sensitive and text_mentions(sql, self._sensitive):
            return _refused(refuse.unparsable(reason, position))
        return UNTOUCHED

    def _too_long(self, sql: str) -> Plan:
        if not self.catalog.sensitive_names:
            return UNTOUCHED
        return _refused(
            Refusal(
                f"the statement is longer than {self._max_statement_bytes} characters",
                hint="Send long values as parameters, or raise max_statement_bytes.",
                sqlstate="54001",
            )
        )

    @property
    def _sensitive(self) -> frozenset[str]:
        return self.catalog.sensitive_names | self.catalog.tainted_functions


def _settled(analyses: list[Analysis]) -> list[Analysis]:
    """Refuse what is rewritten behind a statement of the same text that changes how values are read."""
    made = []
    is_doubtful = False
    for analysis in analyses:
        if is_doubtful and not analysis.plan.is_untouched and analysis.plan.refusal is None:
            refused = StatementPlan(is_untouched=False, refusal=refuse.unsettled_settings())
            analysis = Analysis(refused, [], [], analysis.unknown_relations)
        made.append(analysis)
        is_doubtful = is_doubtful or analysis.plan.changes_settings
    return made


def _refused(refusal: Refusal) -> Plan:
    """The plan of a whole text that is refused."""
    return Plan(False, (StatementPlan(is_untouched=False, refusal=refusal),), (REFUSED_STATEMENT,))


def _refused_text(text: ParsedText, start: int) -> str:
    """The failing statement, kept apart from a word before it."""
    return f" {REFUSED_STATEMENT}" if start else REFUSED_STATEMENT


def _number(uses: list[ParameterUse]) -> tuple[tuple[ParameterUse, ...], dict[ParameterUse, int], int]:
    """The upstream parameters in order, the number of each use, and how many the client's text has.

    The first use of a client's parameter keeps its number; further ones, of
    another kind, get numbers after the client's last.
    """
    count = max((use.client_index for use in uses), default=-1) + 1
    first: dict[int, ParameterUse] = {}
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
        raise Refusal("the statement cannot be rewritten safely") from None
    if len(parsed.statements) != count:
        raise Refusal("the statement cannot be rewritten safely")
