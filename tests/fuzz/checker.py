"""Runs one statement on the twins and says whether anything is wrong, as `tests.conformance.judge` does, but fast.

What a statement cannot have changed is looked at now and then only, and the
start rows come back from copies in temporary tables, so that nothing is sealed
anew. A finding is judged once more from the true start state.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from tests.conformance.judge import Verdict
from tests.conformance.shapes import Filling, Kind, Shape, Variant, filled
from tests.helpers.leaks import PLANTED
from tests.helpers.twin_schema import TABLES
from tests.helpers.twins import Outcome, Twins

#: Statements that cannot change anything stored are believed, but for every so many.
READS_BETWEEN_MARKS = 40
RESTORES_BETWEEN_RESETS = 400
#: Works under any search_path and encoding.
_PROBE = "SELECT id FROM public.users WHERE id = 1"
_SETTLED = re.compile(
    r"\s*(?:/\*.*?\*/\s*)*(select|with|insert|update|delete|merge|values|explain)\b", re.IGNORECASE | re.DOTALL
)
#: PostgreSQL cannot tell a parameter's type; the proxy declares what it seals.
_UNTYPED = frozenset({"42P08", "42P18"})
#: What the proxy says of values in forms that it does not read (`'today'`), or does not turn into the column's type.
_UNREADABLE = frozenset({"22007", "22008", "42804"})
#: What is of a wrong type may first be wrong in another way.
_OTHER_TYPE = frozenset({"42804", "42883"})
#: Of one row twice: which of the two comes depends on the order of rows.
_EITHER = {"21000", "23505"}
_EXPLAIN = re.compile(r"\s*explain\b", re.IGNORECASE)
_CHOICE = re.compile(r"\b(case|coalesce)\b", re.IGNORECASE)
_PREPARE = re.compile(r"\bprepare\b", re.IGNORECASE)
_TOO_LARGE = frozenset({"22001", "22003"})
_FOLDED = re.compile(r"type modifiers \([-\d, ]*-1")
_REPEATED = "an error repeats a value"
_PROTECTED = re.compile("users|orders", re.IGNORECASE)
_CIPHERTEXT = "ciphertext in a result"
#: Cancelled, out of memory or too deep: where one of the twins gives up, nothing can be compared.
_EXHAUSTED = frozenset({"57014", "53200", "54001", "53100", "54011"})


@dataclass(frozen=True, slots=True)
class Question:
    """A statement with holes, how it is sent, and what is known of it."""

    text: str
    variant: Variant
    is_ordered: bool = False
    is_write: bool = True
    #: whether planted values stand where they belong to no protected column, and so may reach the server
    is_loose: bool = True

    @property
    def shape(self) -> Shape:
        return Shape(Path("fuzz.sql"), 1, "", "", self.text)


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict, and how many rows came."""

    verdict: Verdict
    rows: int = 0

    @property
    def problem(self) -> str | None:
        return self.verdict.problem


class Checker:
    """Asks the twins, whose contents are the start rows before and after each question."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins
        self._direct = twins.database.direct()
        self._plain = psycopg.connect(twins._plain_dsn, autocommit=True)
        for connection in (self._direct, self._plain):
            for number, table in enumerate(TABLES):
                connection.execute(f"CREATE TEMPORARY TABLE saved_{number} AS TABLE {table}".encode())
        self._reads = self._restores = 0
        self._start = twins.stored_mark()
        self._log = twins.database.server.log_path.open("rb")
        self._log.seek(0, os.SEEK_END)

    def close(self) -> None:
        self._log.close()
        self._direct.close()
        self._plain.close()

    def ask(self, question: Question) -> Answer:
        """The answer; both databases are at their start rows afterwards."""
        twins = self.twins
        try:
            answer = self._asked(question)
            if PLANTED.encode() in self._log.read() and answer.problem is None:
                is_all_refused = answer.verdict.kind is Kind.REFUSED and ";" not in question.text
                if is_all_refused or not question.is_loose:
                    answer = Answer(replace(answer.verdict, problem="a planted value is in the server's log"))
        finally:
            is_settled = _SETTLED.match(question.text) and ";" not in question.text
            if not is_settled or not (twins.through.is_idle and twins.plain.is_idle):
                twins.settle()
        self._reads += 1
        if not question.is_write and answer.problem is None and self._reads % READS_BETWEEN_MARKS:
            return answer
        if twins.mark() == twins.start:
            return answer
        problems = twins.check_state()
        self.restore()
        if answer.verdict.kind is not Kind.REFUSED and answer.problem is None and problems:
            return Answer(Verdict(answer.verdict.kind, answer.verdict.words, "; ".join(problems)))
        return answer

    def _asked(self, question: Question) -> Answer:
        kind, words, rows = Kind.SAME, "", 0
        twins, shape, variant = self.twins, question.shape, question.variant
        steps = shape.steps
        before = self._start
        for number, step in enumerate(steps):
            sql, values = filled(step, variant)
            if number and question.is_write:
                before = twins.stored_mark()
            is_binary = variant.filling is Filling.BINARY
            try:
                through, plain = twins.run(sql, values, form=variant.form, is_result_binary=is_binary)
            except AssertionError as error:
                return Answer(Verdict(Kind.ERROR, f"not sent: {str(error)[:40]}"))
            except psycopg.OperationalError:  # the proxy closes when a row that has begun cannot be shown
                return Answer(Verdict(Kind.REFUSED, "connection closed"))
            if through.sqlstate in _EXHAUSTED or plain.sqlstate in _EXHAUSTED:
                return Answer(Verdict(Kind.ERROR, "exhausted"))
            in_order = question.is_ordered and len(steps) == 1
            if through.is_own and through.sqlstate in _UNREADABLE:
                return Answer(Verdict(Kind.REFUSED, through.message))
            if not through.is_refusal and (plain.sqlstate in _UNTYPED or through.sqlstate in _UNTYPED):
                return Answer(Verdict(Kind.ERROR, f"{plain.sqlstate} or {through.sqlstate}"))
            if plain.sqlstate in _OTHER_TYPE and through.sqlstate is not None and not through.is_refusal:
                return Answer(Verdict(Kind.ERROR, f"{plain.sqlstate} or {through.sqlstate}"))
            if {plain.sqlstate, through.sqlstate} == _EITHER:
                return Answer(Verdict(Kind.ERROR, "either error"))
            if through.is_own and plain.sqlstate is not None and len(through.before) == len(plain.before):
                # the proxy judges a value at another time than PostgreSQL: of several errors either may come
                through = replace(plain, message="", detail="", hint="") if not through.is_refusal else through
            difference = twins.compare(through, plain, is_ordered=in_order, sql=sql)
            is_plain = _PROTECTED.search(sql) is None or through.sqlstate == "22P02"
            if question.is_loose and is_plain and difference is not None and difference.startswith(_REPEATED):
                return Answer(Verdict(Kind.ERROR, through.sqlstate or ""))
            if difference is not None and _FOLDED.match(difference) and _CHOICE.search(sql):
                difference = None  # the planner drops a branch, and with it the loss of the modifier
            is_early = _PREPARE.search(sql) or _CHOICE.search(sql)
            if through.is_own and through.sqlstate in _TOO_LARGE and is_early:
                return Answer(Verdict(Kind.ERROR, through.sqlstate))  # PostgreSQL says it when it is executed, if it is
            if difference == _CIPHERTEXT and _EXPLAIN.match(sql):
                difference = None  # a plan shows what the statement's own literals became
            if difference is not None:
                return Answer(Verdict(kind, problem=difference))
            refusal = next((one for one in (*through.before, through) if one.is_refusal), None)
            if refusal is not None:
                problem = self._after_refusal(before if question.is_write else None)
                return Answer(Verdict(Kind.REFUSED, refusal.message, problem))
            rows += len(through.rows)
            failed = next((one for one in (*through.before, through) if one.sqlstate is not None), None)
            if failed is not None and kind is Kind.SAME:
                kind, words = Kind.ERROR, failed.sqlstate or ""
        return Answer(Verdict(kind, words), rows)

    def _after_refusal(self, before: Outcome | None) -> str | None:
        """A refused statement has changed nothing, and its connection works on."""
        if not self.twins.through.is_idle:
            self.twins.through.simple("ROLLBACK")
        probe: Outcome = self.twins.through.simple(_PROBE)
        if probe.sqlstate is not None:
            return f"the connection is of no use after a refusal: {probe.sqlstate} {probe.message}"
        if before is not None and _rows(self.twins.stored_mark()) != _rows(before):
            return "the refused statement has changed something"
        return None

    def restore(self) -> None:
        """The start rows again."""
        self._restores += 1
        if self._restores % RESTORES_BETWEEN_RESETS == 0:
            self._reset()
            return
        for connection in (self._direct, self._plain):
            _copy_back(connection)
        if self.twins.mark() != self.twins.start:
            self._reset()

    def _reset(self) -> None:
        """From nothing, relations that were made included; sealed anew, so the copies are made anew too."""
        self.twins.reset()
        self._start = self.twins.stored_mark()
        for connection in (self._direct, self._plain):
            for number, table in enumerate(TABLES):
                connection.execute(f"TRUNCATE saved_{number}".encode())
                connection.execute(f"INSERT INTO saved_{number} TABLE {table}".encode())


def _copy_back(connection: psycopg.Connection) -> None:
    empty = [f"DELETE FROM {table}" for table in reversed(TABLES) if table != "public.users"] + [
        "DELETE FROM public.users"
    ]
    fill = [f"INSERT INTO {table} SELECT * FROM saved_{n} ORDER BY id" for n, table in enumerate(TABLES)]
    sequences = [f"SELECT setval('public.{name}_id_seq', 100)" for name in ("users", "orders", "contacts", "logs")]
    connection.execute(("BEGIN;" + ";".join([*empty, *fill, *sequences]) + ";COMMIT").encode())


def _rows(mark: Outcome) -> object:
    """A mark without its end, the sequences: what was done before a refusal is undone, but for those."""
    return mark.before
