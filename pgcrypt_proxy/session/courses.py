"""What the compiled code knows of statements that were seen before: it takes their courses without Python.

A `Route` is made here once the reference (`express`, or the handlers) has taken
a course, so that it holds nothing that was not decided there. Everything that a
route rests on is one *generation*: the catalog, the keyring, and the settings
that values are read and written by. Without compiled code nothing is known.
"""

from __future__ import annotations

import itertools
import re
import struct
from typing import Any

from pgcrypt_proxy import fast
from pgcrypt_proxy.session.binders import Binder, binder
from pgcrypt_proxy.session.link import Link, Work
from pgcrypt_proxy.session.opening import RowOpener
from pgcrypt_proxy.session.parameters import passes_bind
from pgcrypt_proxy.session.results import Result
from pgcrypt_proxy.session.statements import MAX_NAMES, Statement
from pgcrypt_proxy.session.swaps import Swaps
from pgcrypt_proxy.session.templates import MAX_ALIKE, Told, told
from pgcrypt_proxy.sql.plan import Plan, StatementPlan
from pgcrypt_proxy.wire.framing import LONG_MESSAGE_BYTES

#: Kinds of courses; the numbers are course.h's.
BIND, PARSE, QUERY, HANDED, OF_TEMPLATE = range(5)
MAX_ROUTES = 1000
#: Texts that carry their values are seldom sent again.
MAX_TEXTS = 256
MAX_TEXT_BYTES = 2048
#: Longer descriptions are not kept.
MAX_KEY_BYTES = 8192
#: What rewrites Binds and opens rows; when there are more, all that is known is forgotten.
MAX_PARTS = 1000
_STRAIGHT = re.compile(
    r"\s*(?:select|insert|update|delete|with|values|begin|start|commit|end|rollback|savepoint|release)\b",
    re.IGNORECASE,
)


def is_straight(sql: str, plan: Plan) -> bool:
    """Whether running it changes nothing but data: no settings, names or definitions, and its rows are its own.

    COPY, and what SQL says of prepared statements, has effects in the session's books that are not in a course. The
    end of a transaction is straight while no setting or definition was changed in it.
    """
    if _STRAIGHT.match(sql) is None or plan.refusal is not None or plan.is_about_prepared or len(plan.statements) > 1:
        return False
    if plan.of_tenants or plan.needs_tenant:
        return False  # their keys may have to be fetched
    return not any(s.is_ddl or s.changes_settings or s.copy or s.command_tag for s in plan.statements)


class Courses:
    """The routes of one session. `native` is None where there is no compiled code: then nothing is ever taken."""

    def __init__(self, link: Link, swaps: Swaps) -> None:
        self._link = link
        self._swaps = swaps
        self.native: Any = None if fast.native is None else fast.native.Course(link.statements.settled)
        self._generation = -1
        self._epoch = 0
        self._openers: dict[int, tuple[RowOpener, Any]] = {}
        self._streamed: tuple[RowOpener, Any] | None = None  # of the last stream
        self._binders: list[Binder] = []
        self._answered: dict[int, tuple[tuple[StatementPlan, ...], Any]] = {}
        self._templates: dict[str, tuple[Told, ...]] = {}
        self._once: set[int] = set()  # hashes of Queries that came once

    # -- what is known

    def note_answered(
        self, statement: Statement, key: bytes, shown: bytes, result: Result, opener: RowOpener | None
    ) -> None:
        """A course of a prepared statement was answered: `key` stood before its rows, and `shown` in its place."""
        if self.native is None or statement.sealed_under:  # which may have to be prepared anew at any time
            return
        if not self._is_free(statement.plan):
            return
        if statement.version != self._link.planner.catalog.version:  # the catalog changed while it was under way
            return
        self._renew()
        route = self.native.known(BIND, statement.name)
        if route is None or route.statement is not statement:
            route = self._prepared_route(statement, None)
            if route is None:
                return
            self.native.add(BIND, statement.name, route, MAX_ROUTES)
        self.note_described(route, key, shown, result, opener)

    def note_query(self, key: bytes, sql: str, plan: Plan) -> None:
        """A Query of certain meaning is sent; `key` is all of it behind its length. Known from the second time on."""
        if self.native is None or len(key) > MAX_TEXT_BYTES or not plan.is_untouched:
            return
        if self._is_new(key) or not self._is_free(plan) or not is_straight(sql, plan):
            return
        self._renew()
        if self.native.known(QUERY, key) is None:
            self.native.add(QUERY, key, self._route(plan, plan, None, None), MAX_TEXTS)

    def hand_over(self, plan: Plan, sql: str, work: Work) -> bool:
        """Whether compiled code waits for the answer to this Query, which is sent now.

        Texts that carry their values differ, while what answers them does not: all of one template share a route.
        """
        if self.native is None or work.on_complete or len(plan.statements) != 1 or not self._is_quiet():
            return False
        self._renew()
        work.route = self._answered_by(plan, sql)
        return work.route is not None and bool(self.native.hand(work.route, work))

    def note_template(self, sql: str, plan: Plan) -> None:
        """A Query of certain meaning is sent. If a template tells its plan, texts of it are known from now on."""
        link = self._link
        if self.native is None or len(sql) > MAX_TEXT_BYTES or len(plan.statements) != 1:
            return
        if not (link.encoding.is_utf8 and link.standard_conforming_strings):
            return
        found = link.planner.template(sql)
        if found is None:
            return
        key, template = found
        # Texts that are the same each time are known as a whole, if they pass.
        if not template.varied and (plan.is_untouched or self._is_new(sql.encode())):
            return
        self._renew()
        alike = self._templates.get(key, ())
        if any(known.template is template and known.is_current for known in alike):
            return
        route = self._answered_by(template.plan, sql)
        if route is None or template.unknown or template.plan.is_optional:
            return
        made = told(link, template, sql, route)
        if made.binder is not None:
            self._binders.append(made.binder)
        others = (known for known in alike if known.template is not template)
        alike = made, *itertools.islice(others, MAX_ALIKE - 1)
        if key not in self._templates and len(self._templates) >= MAX_TEXTS:
            self._templates.clear()
            self.native.forget_templates()
        self._templates[key] = alike
        self.native.set_templates(key.encode(), tuple(known.native for known in alike if known.native is not None))

    def _answered_by(self, plan: Plan, sql: str) -> Any:
        """The route of what answers all texts of one template; None where that is not straight."""
        known = self._answered.get(id(plan.statements))
        if known is None:
            if not self._is_free(plan) or not is_straight(sql, plan):
                return None
            if len(self._answered) >= MAX_TEXTS:
                self._answered.clear()
            # By identity: the statements are kept alive with it.
            known = self._answered[id(plan.statements)] = plan.statements, self._route(plan, plan, None, None)
        return known[1]

    def note_parse(self, key: bytes, statement: Statement, sent: bytes) -> None:
        """A Parse of certain meaning was `sent`, of the unnamed statement; `key` is the client's behind that name.

        Known from the second time on, as a Query is.
        """
        plan = statement.plan
        if self.native is None or len(key) > MAX_TEXT_BYTES or self._is_new(key):
            return
        if not self._is_free(plan) or not is_straight(statement.sql, plan):
            return
        if statement.may_return_any_rows or not all(isinstance(piece, str) for piece in plan.pieces):
            return
        self._renew()
        if self.native.known(PARSE, key) is None:
            route = self._prepared_route(statement, None if plan.is_untouched else sent)
            if route is not None:
                self.native.add(PARSE, key, route, MAX_TEXTS)

    def note_described(self, route: Any, key: bytes, shown: bytes, result: Result, opener: RowOpener | None) -> None:
        """What stands before the rows of a route; `opener` is theirs, if any column is protected."""
        rows = None
        if result.outputs is not None:
            rows = opener.compiled() if opener is not None else None
            if rows is None:
                return
        if len(key) > MAX_KEY_BYTES or not route.see(key.startswith((b"T", b"n")), key, shown, result, rows):
            return
        if rows is not None:
            assert opener is not None
            self._openers[id(rows)] = opener, rows

    def _is_free(self, plan: Plan) -> bool:
        """Whether nobody who watches the columns that are on their way needs to see it run."""
        is_watching = bool(self._link.shared_catalog.watched_tables)
        return not is_watching or not (plan.ends_transaction or self._swaps.concerns(plan))

    def _is_new(self, key: bytes) -> bool:
        """Whether a text comes for the first time, as far as it is remembered: many never come again."""
        mark = hash(key)
        if mark in self._once:
            return False
        if len(self._once) >= MAX_TEXTS:
            self._once.clear()
        self._once.add(mark)
        return True

    def _prepared_route(self, statement: Statement, parse: bytes | None) -> Any:
        if passes_bind(self._link, statement):
            return self._route(statement, statement.plan, None, parse)
        made = binder(self._link, statement)
        if made is None:
            return None
        self._binders.append(made)
        return self._route(statement, statement.plan, made.native, parse)

    def _route(self, subject: Statement | Plan, plan: Plan, native_binder: Any, parse: bytes | None) -> Any:
        assert fast.native is not None
        return fast.native.Route(subject, self._epoch, not plan.is_untouched, native_binder, parse)

    def _renew(self) -> None:
        if self._generation != self._link.generation or max(len(self._binders), len(self._openers)) >= MAX_PARTS:
            self.settle()
            self._openers.clear()
            self._binders.clear()
            self._answered.clear()
            self._templates.clear()
            self._generation = self._link.generation
            self._epoch = self.native.renew()

    # -- taking

    def arm(self) -> None:
        """Take known courses from now on, if nothing is pending in the session."""
        if self.native is not None and self._is_quiet():
            self._renew()
            self.native.arm(self._keys_until())

    def _keys_until(self) -> float:
        keyring = self._link.values.keyring
        return keyring.expires_at if keyring.is_by_monotonic_clock else float("-inf")

    def stream(self, opener: RowOpener) -> None:
        """Take the rows that `opener` is for, which are due, until anything else comes."""
        rows = None if self.native is None else opener.compiled()
        if rows is None:
            return
        backend = self._link.backend
        limit = min(backend.max_bytes, LONG_MESSAGE_BYTES)
        if self.native.stream(rows, backend.peek(backend.pending), limit, self._keys_until()):
            backend.drain()
            if self._streamed is not None and self._streamed[1] is not rows:
                _settle(*self._streamed)
            self._streamed = opener, rows

    def _is_quiet(self) -> bool:
        link = self._link
        return (
            link.queue.is_quiet
            and not (link.is_closed or link.is_frontend_done or link.is_server_ending)
            and not (link.statements.latest or link.portals.latest)
            and not (link.frontend.pending or link.backend.pending)
            and not (link.is_ddl_pending or link.is_reshaped or link.has_changed_settings or link.is_in_doubt)
            and not self._swaps.is_concerned
            and len(link.portals.settled) < MAX_NAMES
        )

    def settle(self) -> None:
        """Tell the meter what was sealed and opened."""
        for each in self._binders:
            each.settle(self._link.meter)
        for opener, rows in self._openers.values():
            _settle(opener, rows)
        if self._streamed is not None:
            _settle(*self._streamed)

    def close(self) -> None:
        """Take nothing any more."""
        if self.native is not None:
            self.settle()
            self.native.close()
            self._streamed = None
            self._openers.clear()
            self._binders.clear()
            self._answered.clear()
            self._templates.clear()


def _settle(opener: RowOpener, rows: Any) -> None:
    counts, seconds = rows.counts()
    if any(counts):
        opener.count(counts, seconds)


def formats_key(codes: tuple[int, ...]) -> bytes:
    """What stands for the description of rows that were not described: the end of their Bind."""
    return struct.pack(f"!H{len(codes)}h", len(codes), *codes)
