"""Statements on a table whose column is about to change places with the one beside it (ADR 0013).

While the catalog says that a table is held, no new statement on it is sent, but
for those of a transaction that has used it already: its lock keeps the swap from
happening before it ends, and it could not end if they waited. A transaction that
was open at the swap and has a snapshot from before would see rows whose new
value is not there yet: it is told to start again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.session.link import FAILED_TRANSACTION, IDLE, IN_TRANSACTION, Link
from pgcrypt_proxy.session.question import Hold, ValueQuestion
from pgcrypt_proxy.session.statements import RESERVED_PREFIX
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.plan import Plan

ISOLATION_QUESTION = b"SELECT pg_catalog.current_setting('transaction_isolation')"
OWN_NAME = RESERVED_PREFIX + b"_isolation"
#: In which each statement of a transaction has a snapshot of its own.
OWN_SNAPSHOTS = (b"read committed", b"read uncommitted")


class Swaps:
    """What one session has under way on such tables. Costs nothing while no rule has a phase."""

    def __init__(self, link: Link, may_watch: Callable[[], bool]) -> None:
        self._link = link
        self._may_watch = may_watch
        #: the batch in which each table was last used, since the last transaction is known to have ended
        self._used: dict[str, int] = {}
        #: tables that were held while the present transaction was open
        self._behind: set[str] = set()
        #: tables whose rules had a phase at any time since the session began
        self._watched: set[str] = set()
        #: tables with a column that the application encrypted itself when the session began, and that was imported
        self._imported: set[str] = set()
        self._idles = 0
        self._question: ValueQuestion | None = None

    def await_swap(self, plan: Plan) -> None:
        """Raises Hold while a statement of that plan must not be sent, Refusal when its transaction is too old."""
        if not self.is_concerned:
            return
        catalog = self._link.shared_catalog
        may_watch = self._may_watch()
        held = catalog.held_tables if may_watch else catalog.watched_tables
        together = catalog.held_together if may_watch else frozenset()
        self._note_idle()
        tables = set(_tables(plan))
        waiting = {table for table in tables & held if not self._has_lock(table)}
        # a lock on one table keeps all that are swapped with it from being swapped
        if waiting - together or (waiting and not any(map(self._has_lock, together))):
            raise Hold
        if not tables.isdisjoint(self._behind):
            self._check_snapshot()

    def concerns(self, plan: Plan) -> bool:
        """Whether it is about a table on which a column is on its way, or was since the session began."""
        watched = self._link.shared_catalog.watched_tables | self._watched
        return bool(watched) and any(table in watched for table in _tables(plan))

    def speaks_of_imported(self, plan: Plan) -> bool:
        """Whether it is about a table with a column that was imported since the session began."""
        return bool(self._imported) and not self._imported.isdisjoint(_tables(plan))

    def is_using(self, table: str) -> bool:
        """Whether a statement on it was sent that the server has not answered."""
        return any(table in _tables(entry.work.plan) for entry in self._link.queue)

    def note_sent(self, plan: Plan) -> None:
        """A statement of that plan is sent."""
        watched = self._link.shared_catalog.watched_tables
        if not watched:
            return
        self._note_idle()
        if plan.ends_transaction:  # ROLLBACK TO gives locks back as well
            self._used.clear()
            return
        batch = self._link.queue.batch
        self._used.update((table, batch) for table in _tables(plan) if table in watched)

    def note_changed(self, before: Catalog) -> None:
        """This was the shared catalog until now."""
        link = self._link
        self._watched |= before.watched_tables
        self._imported |= {name.rpartition(".")[0] for name in before.foreign - link.shared_catalog.foreign}
        tables = before.held_tables - link.shared_catalog.held_tables
        self._note_idle()
        if link.transaction_status != IDLE or len(link.queue):
            self._behind |= {table for table in tables if not self._has_lock(table)}

    @property
    def is_concerned(self) -> bool:
        """Whether any statement may have to wait, or to be refused."""
        catalog = self._link.shared_catalog
        return bool(self._behind or (catalog.watched_tables and (catalog.held_tables or not self._may_watch())))

    def _note_idle(self) -> None:
        """Whether the server has said since that no transaction was open. What is in flight may have opened one."""
        link = self._link
        if link.idles != self._idles:
            self._idles = link.idles
            self._used.clear()
        if link.transaction_status == IDLE and not len(link.queue):
            self._behind.clear()

    def _has_lock(self, table: str) -> bool:
        """Whether the session's transaction has used the table, and is not over."""
        link, batch = self._link, self._used.get(table)
        if batch is None:
            return False
        return link.transaction_status == IN_TRANSACTION or (batch == link.queue.batch and not link.queue.is_synced)

    def _check_snapshot(self) -> None:
        """Raises Hold while the server is asked, Refusal if the transaction has one snapshot for all statements."""
        link, question = self._link, self._question
        if link.transaction_status == FAILED_TRANSACTION:
            return  # the server says so
        if question is None:
            if link.queue.is_synced and len(link.queue):
                raise Hold  # the transaction may be ending
            question = self._question = ValueQuestion(OWN_NAME, ISOLATION_QUESTION)
            question.ask(link)
        if not question.is_done:
            raise Hold
        self._question = None
        if question.value not in OWN_SNAPSHOTS:
            raise Refusal(
                "could not serialize access: a column was sealed, reindexed or made plain after the transaction began",
                hint="The transaction might succeed if retried.",
                sqlstate="40001",
            )
        self._behind.clear()


def _tables(plan: Plan) -> Iterator[str]:
    return (table for statement in plan.statements for table in statement.tables)
