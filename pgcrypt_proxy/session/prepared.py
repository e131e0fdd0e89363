"""SQL's PREPARE, EXECUTE and DEALLOCATE beside the session's books, which Parse and Close share.

What EXECUTE means is known from the prepared statement that it names, as the
books have it when the message is sent; a text of the extended protocol that was
planned so must find the same there when it runs. What PREPARE makes enters the
books once the server did it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pgcrypt_proxy.errors import PgcryptError, Refusal
from pgcrypt_proxy.session.link import Link, Settling
from pgcrypt_proxy.session.planning import Planned, Planning
from pgcrypt_proxy.session.results import drift
from pgcrypt_proxy.session.statements import Forgetting, Statement, check_not_reserved
from pgcrypt_proxy.sql.executing import executing
from pgcrypt_proxy.sql.plan import ALL_PREPARED, Plan, Prepared

_NONE: Mapping[int, Statement] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Text:
    """A text whose plan knows what it executes.

    `executed` are the prepared statements that it names, in order (None for
    unknown ones), `made` those that its PREPAREs make, by the statement's index;
    `text_plan` is the plan of the text alone, where it differs.
    """

    planned: Planned
    executed: tuple[Statement | None, ...] = ()
    made: Mapping[int, Statement] = field(default_factory=lambda: _NONE)
    text_plan: Plan | None = None


class PreparedBySql:
    """Joins plans and books for one session."""

    def __init__(self, link: Link, planning: Planning) -> None:
        self._link = link
        self._planning = planning

    def read(self, planned: Planned) -> Text:
        """The text with what it executes. Raises Hold or Unsettled while that is not certain, Refusal, CatalogDrift."""
        plan = planned.plan
        if not plan.is_about_prepared:
            return Text(planned)
        made: dict[int, Statement] = {}
        here: dict[str, Statement | None] = {}  # what the text itself does before
        is_cleared = False
        executed: list[Statement | None] = []
        for index, statement in enumerate(plan.statements):
            if statement.prepares is not None:
                link = self._link
                made[index] = _made(
                    statement.prepares,
                    planned.resolved,
                    link.planner.catalog.version,
                    link.executions,
                    link.values.sealing_keys(statement.prepares.plan.pieces),
                )
                here[statement.prepares.name] = made[index]
            elif statement.deallocates == ALL_PREPARED:
                is_cleared = True
                here.clear()
            elif statement.deallocates is not None:
                here[statement.deallocates] = None
            elif statement.executes is not None:
                name = statement.executes.name
                self.check_name(name.encode())
                found = here[name] if name in here else None if is_cleared else self._current(name)
                executed.append(found)
        if not executed:
            return Text(planned, made=made)
        bound = executing(
            planned.sql,
            plan,
            [None if s is None else Prepared("", s.sql, s.plan, s.parameter_type_oids) for s in executed],
            hides_unknown=bool(self._link.planner.catalog.sensitive_names),
        )
        return Text(replace(planned, plan=bound), tuple(executed), made, plan)

    def check_name(self, name: bytes) -> None:
        """The books have one spelling of a name, that of UTF-8. Raises Refusal."""
        check_not_reserved(name)
        link = self._link
        if not name.isascii() and not link.encoding.is_utf8 and link.planner.catalog.sensitive_names:
            raise Refusal(
                "the name of a prepared statement must be ASCII in this client encoding",
                hint="Give it another name, or SET client_encoding TO 'UTF8'.",
            )

    def check(self, statement: Statement | None) -> None:
        """A statement of the extended protocol is about to run: what it was planned with must still be so.

        Raises Hold or Unsettled while that is not certain, PgcryptError when it is not so.
        """
        if statement is None or not statement.plan.is_about_prepared:
            return
        self._planning.check_current(statement)
        self._planning.check_names(statement)
        executions = [s.executes for s in statement.plan.statements if s.executes is not None]
        for execution, before in zip(executions, statement.executed, strict=True):
            now = self._current(execution.name)
            if now is before or (now is None and (before is None or before.plan.is_untouched)):
                continue
            if now is None:
                raise PgcryptError(f'prepared statement "{execution.name}" does not exist', sqlstate="26000")
            if not _is_same(before, now, has_arguments=bool(execution.arguments)):
                raise drift(f'prepared statement "{execution.name}" is another one now')

    def _current(self, name: str) -> Statement | None:
        """The prepared statement of that name, if its plan still holds."""
        link = self._link
        found = link.statements.get(name.encode(), link.queue.batch)
        if found is None or found.plan.refusal is not None:
            return None
        self._planning.check_current(found)
        self._planning.check_names(found)
        self.check(found)
        if found.sealed_under and not link.values.keyring.are_active(found.sealed_under):
            raise drift(f'prepared statement "{name}" holds values that were sealed under another key')
        return found

    def made_by(self, statement: Statement | None) -> Mapping[int, Statement]:
        """What a PREPARE of the extended protocol makes when it is executed now."""
        if statement is None or not statement.plan.is_about_prepared:
            return _NONE
        return {
            index: _made(
                planned.prepares, statement.resolved, statement.version, statement.resolved_at, statement.sealed_under
            )
            for index, planned in enumerate(statement.plan.statements)
            if planned.prepares is not None
        }

    def changes(self, plan: Plan, made: Mapping[int, Statement], batch: int) -> Mapping[int, Settling]:
        """The changes of the books that the plan's statements make when they are done, by index; noted as sent."""
        changes: dict[int, Settling] = {}
        if not plan.is_about_prepared:
            return changes
        names = self._link.statements
        try:
            for index, planned in enumerate(plan.statements):
                if planned.prepares is not None:
                    name = planned.prepares.name.encode()
                    if not planned.prepares.plan.is_untouched:
                        self.check_name(name)
                    check_not_reserved(name)
                    changes[index] = names.change(name, made[index], batch)
                elif planned.deallocates is not None:
                    changes[index] = Forgetting(names, planned.deallocates.encode() or None)
        except PgcryptError:
            for change in changes.values():
                change.drop()
            raise
        return changes


def _made(
    prepared: Prepared,
    resolved: Mapping[str, int] | None,
    version: int,
    resolved_at: int,
    sealed_under: frozenset[int],
) -> Statement:
    return Statement(
        name=prepared.name.encode(),
        sql=prepared.sql,
        plan=prepared.plan,
        parameter_type_oids=prepared.parameter_type_oids,
        resolved=resolved,
        version=version,
        resolved_at=resolved_at,
        sealed_under=sealed_under,
    )


def _is_same(before: Statement | None, now: Statement, *, has_arguments: bool) -> bool:
    """Whether an EXECUTE that was planned for `before` is right for `now`."""
    if before is None:
        return now.plan.is_untouched and not has_arguments
    if before.plan.is_untouched and now.plan.is_untouched:
        return True
    return before.plan == now.plan and before.parameter_type_oids == now.parameter_type_oids
