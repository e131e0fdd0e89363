"""What the server still owes us: one FIFO with an entry for every frontend message that will be answered.

Knows which backend message answers which frontend message (protocol-flow.html)
and what happens to the answer: FORWARD, SKIP (our own request: the client never
sees it) or REPLACE (the error that answers it becomes ours). Knows nothing of
SQL or values; `work` is the session's own note on the request.

Four rules of the protocol live here and nowhere else:

1. After an ErrorResponse to an extended-protocol message the server discards
   everything up to the next Sync, Query included.
2. An ErrorResponse to Query, FunctionCall or Sync is followed by ReadyForQuery.
3. During COPY FROM STDIN the server ignores Sync: no ReadyForQuery answers it.
   When the COPY fails, those that it reads afterwards are answered: nobody here
   can know how many, so any of them may be, until something else is.
4. A message that answers no entry means that we and the server disagree: the
   connection cannot go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from pgcrypt_proxy.errors import BackendProtocolError, PgcryptError
from pgcrypt_proxy.wire import codes


class Request(Enum):
    """What the server was asked; COPY_END is a CopyDone or CopyFail, which no message of its own answers."""

    QUERY = "Query"
    PARSE = "Parse"
    BIND = "Bind"
    DESCRIBE_STATEMENT = "Describe statement"
    DESCRIBE_PORTAL = "Describe portal"
    EXECUTE = "Execute"
    CLOSE = "Close"
    SYNC = "Sync"
    FUNCTION_CALL = "FunctionCall"
    COPY_END = "CopyDone"
    COURSE = "Bind to Sync"  # several entries in one

    # Members are compared by identity; Enum's own hash is a Python function on the hot path.
    __hash__ = object.__hash__


class Answer(Enum):
    FORWARD = "forward"
    SKIP = "skip"  # a success is swallowed, an error is the client's
    SKIP_ALL = "skip all"  # an error is swallowed as well
    REPLACE = "replace"  # it must fail; that error becomes ours


Q, P, B, E, C = Request.QUERY, Request.PARSE, Request.BIND, Request.EXECUTE, Request.CLOSE
DS, DP, S, F = Request.DESCRIBE_STATEMENT, Request.DESCRIBE_PORTAL, Request.SYNC, Request.FUNCTION_CALL

#: For each kind of backend message: the requests it may answer, and those it is the last answer to.
ANSWERS: dict[int, tuple[frozenset[Request], frozenset[Request]]] = {
    ord(kind): (frozenset(may_answer), frozenset(finishes))
    for kind, may_answer, finishes in (
        ("1", {P}, {P}),
        ("2", {B}, {B}),
        ("3", {C}, {C}),
        ("t", {DS}, set()),
        ("T", {DS, DP, Q}, {DS, DP}),
        ("n", {DS, DP}, {DS, DP}),
        ("D", {Q, E}, set()),
        ("C", {Q, E}, {E}),
        ("I", {Q, E}, {E}),
        ("s", {E}, {E}),
        ("G", {Q, E}, set()),
        ("H", {Q, E}, set()),
        ("d", {Q, E}, set()),
        ("c", {Q, E}, set()),
        ("V", {F}, set()),
        ("Z", {Q, F, S}, {Q, F, S}),
    )
}

#: Requests after whose error the server sends ReadyForQuery without waiting for a Sync.
SELF_SYNCHRONISING = frozenset({Q, F, S})

W = TypeVar("W")


@dataclass(slots=True, eq=False)
class Expected(Generic[W]):
    """One entry: a request, what to do with its answer, and the session's note on it."""

    request: Request
    work: W
    answer: Answer = Answer.FORWARD
    error: PgcryptError | None = None  # for REPLACE


class ReplyQueue(Generic[W]):
    """The FIFO. `batch` counts the Syncs sent; names parsed within one batch succeed or are skipped together."""

    def __init__(self) -> None:
        self._entries: deque[Expected[W]] = deque()
        self.is_copying_in = False
        self.is_skipping = False
        self.is_synced = True
        self.batch = 0
        self._courses = 0
        self._ignored = 0  # Syncs among the data of the COPY under way
        self._loose = 0  # the same of one that failed
        self._ignored_sync: Expected[W] | None = None  # the last of them
        self._failed: Expected[W] | None = None

    @property
    def may_be_synced(self) -> bool:
        """Whether the server may be past a Sync although it `is_skipping` here."""
        return self._loose > 0

    def __len__(self) -> int:
        self._drop_markers()
        return len(self._entries)

    def __iter__(self) -> Iterator[Expected[W]]:
        return iter(self._entries)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is owed, and what is sent next begins a batch of its own."""
        return not (self._entries or self.is_skipping or self.is_copying_in or self._loose) and self.is_synced

    @property
    def head(self) -> Expected[W] | None:
        self._drop_markers()
        return self._entries[0] if self._entries else None

    def add(self, entry: Expected[W]) -> None:
        """Note a request as it is sent. While `is_skipping`, only Sync counts: the caller sends nothing else."""
        request = entry.request
        if self.is_copying_in:
            if request is Request.SYNC:
                self._ignore(entry)
                return
            self.is_copying_in = request is not Request.COPY_END
        if request is Request.SYNC:
            self.batch += 1
            self.is_synced = True
            self.is_skipping = False
        elif self.is_skipping:
            raise AssertionError("a request was sent while the server skips to Sync")
        elif request not in SELF_SYNCHRONISING and request is not Request.COPY_END:
            self.is_synced = False
        self._entries.append(entry)

    @property
    def course(self) -> Expected[W] | None:
        """The head, if it is a COURSE."""
        if not self._courses:
            return None
        head = self.head
        return head if head is not None and head.request is Request.COURSE else None

    def add_course(self, entry: Expected[W]) -> None:
        """Note a whole batch, Sync included, that is sent in one piece while `is_synced`."""
        assert self.is_synced
        assert not self.is_copying_in
        self.batch += 1
        self.is_skipping = False
        self._courses += 1
        self._entries.append(entry)

    def finish_course(self) -> None:
        """The head, a COURSE, was answered as a whole."""
        self._entries.popleft()
        self._courses -= 1

    def unfold(self, entries_of: Callable[[W], Iterable[Expected[W]]]) -> None:
        """Put in the place of courses what they stand for: `match`, `fail` and `start_copy_in` know none."""
        if self._courses:
            self._courses = 0
            old, self._entries = self._entries, deque()
            for entry in old:
                self._entries.extend(entries_of(entry.work) if entry.request is Request.COURSE else (entry,))

    def match(self, kind: int) -> Expected[W]:
        """The entry that a backend message of this kind answers; it is gone from the queue if that finishes it."""
        head = self.head
        may_answer, finishes = ANSWERS.get(kind, (frozenset(), frozenset()))
        is_answer = head is not None and head.request in may_answer
        if kind != codes.READY_FOR_QUERY:
            self._ignored = self._loose = 0
        elif self._loose and self._ignored_sync is not None and not self._is_for(head):
            self._loose -= 1
            self.is_skipping = False
            self.is_synced = self.is_synced or not self._entries
            return self._ignored_sync
        if head is None or not is_answer:
            asked = "nothing" if head is None else head.request.value
            raise BackendProtocolError(f"unexpected message type {kind} from the server in answer to {asked}")
        if head.request in finishes:
            self._entries.popleft()
            self.is_copying_in = False
        return head

    def fail(self) -> tuple[Expected[W], list[Expected[W]]]:
        """An ErrorResponse came: the entry it answers, and all entries that get no answer any more (it included)."""
        head = self.head
        if head is None:
            raise BackendProtocolError("unexpected ErrorResponse from the server in answer to nothing")
        self.is_copying_in = False
        self._ignored, self._loose = 0, self._ignored
        self._failed = head
        if head.request in SELF_SYNCHRONISING:
            return head, []
        dropped = []
        while self._entries and self._entries[0].request is not Request.SYNC:
            dropped.append(self._entries.popleft())
        self.is_skipping = not self._entries
        return head, dropped

    def start_copy_in(self) -> None:
        """CopyInResponse came for the head: Syncs up to CopyDone or CopyFail are ignored by the server."""
        kept = deque([self._entries.popleft()])
        while self._entries and self._entries[0].request is not Request.COPY_END:
            entry = self._entries.popleft()
            if entry.request is Request.SYNC:
                self.is_synced = False
                self._ignore(entry)
            else:
                kept.append(entry)
        self.is_copying_in = not self._entries
        kept.extend(self._entries)
        self._entries = kept

    def _is_for(self, head: Expected[W] | None) -> bool:
        """Whether ReadyForQuery answers the head: of a request that was not answered yet it is not the first answer."""
        return head is not None and (head is self._failed or head.request is Request.SYNC)

    def _ignore(self, entry: Expected[W]) -> None:
        self._ignored += 1
        self._ignored_sync = entry

    def _drop_markers(self) -> None:
        while self._entries and self._entries[0].request is Request.COPY_END:
            self._entries.popleft()
