"""A question of the session's own to the server, between the client's requests, and when all its answers are there.

It travels in a batch of its own, or, between the client's requests of a batch,
with a Flush. What is asked, and what the answers say, belongs to `planning`,
`shape`, `swaps` and `tenants`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgcrypt_proxy.session.link import Link, Work
from pgcrypt_proxy.session.reply_queue import Answer, Request
from pgcrypt_proxy.wire.frontend import FLUSH, SYNC, Bind, Close, Execute, Parse
from pgcrypt_proxy.wire.rows import split


class Hold(Exception):
    """The message must wait: for the server's answer, or for a newer catalog."""


class Question:
    """Asked once. `has_failed` goes with `is_done`: the server did not say, or skipped it with the client's batch."""

    def __init__(self) -> None:
        self.is_done = False
        self.has_failed = False
        self.is_own_batch = True
        self._closes_left = -1

    def send(self, link: Link, requests: Sequence[tuple[Request, bytes]]) -> None:
        """Send `requests`, whose last is a Close. Swallows their errors too in a batch of their own."""
        work = Work(own=self)
        self.is_own_batch = link.queue.is_synced
        answer = Answer.SKIP_ALL if self.is_own_batch else Answer.SKIP
        for request, message in requests:
            link.expect(message, request, work, answer)
        if self.is_own_batch:
            link.expect(SYNC, Request.SYNC, work, answer)
        else:
            link.to_backend.append(FLUSH)
            self._closes_left = sum(request is Request.CLOSE for request, _ in requests)

    def on_reply(self, raw: bytes) -> None:
        """The server's next answer."""
        kind = raw[0]
        if kind == ord("3"):
            self._closes_left -= 1
            self.is_done = self._closes_left == 0
        elif kind == ord("Z"):
            self.is_done = True

    def on_dropped(self) -> None:
        """An error answers it, or skipped it."""
        self.has_failed = True
        if self._closes_left > 0:
            self.is_done = True


class ValueQuestion(Question):
    """What a query without parameters says in one row of one column; `value` is None for NULL too.

    `name` is that of the statement and the portal.
    """

    def __init__(self, name: bytes, query: bytes) -> None:
        super().__init__()
        self._name = name
        self._query = query
        self.value: bytes | None = None

    def ask(self, link: Link) -> None:
        name = self._name
        self.send(
            link,
            [
                (Request.PARSE, Parse(name, self._query, ()).encode()),
                (Request.BIND, Bind(name, name, (), (), ()).encode()),
                (Request.EXECUTE, Execute(name, 0).encode()),
                (Request.CLOSE, Close(ord("P"), name).encode()),
                (Request.CLOSE, Close(ord("S"), name).encode()),
            ],
        )

    def on_reply(self, raw: bytes) -> None:
        if raw[0] == ord("D"):
            self.value = split(raw[5:])[0]
        super().on_reply(raw)
