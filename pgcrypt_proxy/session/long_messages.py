"""Long messages of the frontend that need not be held until they are whole.

CopyData become several, which means the same. A Bind that passes as it is goes
on as it comes. What is skipped anyway, and texts that are too long to be read,
are thrown away as they come. Everything else waits in the buffer.
"""

from __future__ import annotations

from enum import Enum

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.from_frontend import FromFrontend
from pgcrypt_proxy.session.link import Link, Work
from pgcrypt_proxy.session.planning import Planning
from pgcrypt_proxy.session.question import Hold
from pgcrypt_proxy.session.reply_queue import Request
from pgcrypt_proxy.session.statements import Portal, Unsettled, check_not_reserved
from pgcrypt_proxy.wire import codes, writer
from pgcrypt_proxy.wire.frontend import bind_names

#: Where both names of a Bind must end to be read from its start.
START_BYTES = 1024
#: UTF-8 has no longer characters, and a Parse has besides its text 65,535 OIDs at most.
MAX_CHARACTER_BYTES, MAX_OIDS_BYTES = 4, 65_535 * 4 + START_BYTES


class _Fate(Enum):
    COPY = "copy"
    RELAY = "relay"
    DROP = "drop"


class LongMessages:
    """Takes messages from the frontend's buffer."""

    def __init__(self, link: Link, planning: Planning, from_frontend: FromFrontend) -> None:
        self._link = link
        self._planning = planning
        self._from_frontend = from_frontend
        self._fate = _Fate.DROP

    def take(self) -> bytes | None:
        """The next message that is to be dealt with, None when none has come."""
        frontend = self._link.frontend
        while (raw := frontend.take()) is None:
            if not (frontend.is_in_parts or self._starts()):
                return None
            part = frontend.take_part()
            if not part:
                return None
            if self._fate is _Fate.COPY:
                return writer.message(codes.COPY_DATA, part)
            if self._fate is _Fate.RELAY:
                self._link.to_backend.append(part)
        return raw

    def _starts(self) -> bool:
        """Whether the message at the head is taken in parts from now on."""
        frontend = self._link.frontend
        head = frontend.long_head()
        if head is None:
            return False
        fate = self._fate_of(*head)
        if fate is None:
            return False
        self._fate = fate
        frontend.start_parts(with_header=fate is not _Fate.COPY)
        return True

    def _fate_of(self, kind: int, length: int) -> _Fate | None:
        from_frontend, planner = self._from_frontend, self._link.planner
        if from_frontend.ignores(kind):
            return _Fate.DROP
        if kind == codes.COPY_DATA:
            return _Fate.COPY
        if kind == codes.BIND and self._starts_bind(self._link.frontend.peek(START_BYTES)):
            return _Fate.RELAY
        if kind in (codes.QUERY, codes.PARSE):
            refusal = planner.too_long((length - MAX_OIDS_BYTES) // MAX_CHARACTER_BYTES)
            if refusal is not None:
                from_frontend.refuse(bytes((kind,)), refusal)
                return _Fate.DROP
        return None

    def _starts_bind(self, start: bytes) -> bool:
        """Whether the Bind that begins so passes whatever else is in it; then it is noted as sent."""
        link = self._link
        try:
            portal_name, statement_name = bind_names(start)
            check_not_reserved(portal_name)
            self._from_frontend.await_settings()
            statement = self._from_frontend.known_statement(statement_name)
        except (PgcryptError, Hold, Unsettled):
            return False  # that is dealt with when it is whole
        plan = statement.plan
        if not plan.is_untouched or plan.is_about_prepared or statement.may_return_any_rows:
            return False
        self._planning.forget()
        portal = Portal(statement)
        change = link.portals.change(portal_name, portal, link.queue.batch)
        link.expect(b"", Request.BIND, Work(plan, statement, portal, (change,)))
        return True
