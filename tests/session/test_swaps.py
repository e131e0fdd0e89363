"""Which statements wait while columns are about to change places."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from pgcrypt_proxy.session.link import IDLE, IN_TRANSACTION, Link
from pgcrypt_proxy.session.question import Hold
from pgcrypt_proxy.session.swaps import Swaps
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.plan import Plan

TABLES = frozenset({"public.a", "public.b", "public.c"})


class Queue:
    batch, is_synced = 1, False

    def __len__(self) -> int:
        return 0


def on(*tables: str) -> Plan:
    """The plan of a statement on these."""
    return cast(Plan, SimpleNamespace(statements=[SimpleNamespace(tables=tables)], ends_transaction=False))


class Session:
    """One that has a transaction open in which it has used public.a."""

    def __init__(self, status: Any = IN_TRANSACTION) -> None:
        self.may_watch = True
        self.link: Any = SimpleNamespace(
            shared_catalog=Catalog(1, {}, watched_tables=TABLES), idles=0, transaction_status=status, queue=Queue()
        )
        self.swaps = Swaps(cast(Link, self.link), lambda: self.may_watch)
        self.swaps.note_sent(on("public.a"))

    def hold(self, *tables: str, together: tuple[str, ...] = ()) -> None:
        self.link.shared_catalog = Catalog(
            2, {}, watched_tables=TABLES, held_tables=frozenset(tables), held_together=frozenset(together)
        )

    def waits(self, *tables: str) -> bool:
        try:
            self.swaps.await_swap(on(*tables))
        except Hold:
            return True
        return False


def test_a_transaction_goes_on_with_what_it_has_used() -> None:
    session = Session()
    session.hold("public.a", "public.b")
    assert not session.waits("public.a")
    assert session.waits("public.b")
    assert session.waits("public.a", "public.b")
    assert not session.waits("public.c")


def test_and_with_what_is_swapped_together_with_that() -> None:
    session = Session()
    session.hold("public.a", "public.b", "public.c", together=("public.a", "public.b"))
    assert not session.waits("public.a", "public.b")
    assert session.waits("public.c")
    assert session.waits("public.b", "public.c")


def test_what_is_swapped_without_it_waits() -> None:
    session = Session()
    session.hold("public.a", "public.b", "public.c", together=("public.b", "public.c"))
    assert session.waits("public.b")


def test_a_proxy_without_its_lease_trusts_no_such_list() -> None:
    session = Session()
    session.hold("public.a", "public.b", together=("public.a", "public.b"))
    session.may_watch = False
    assert session.waits("public.b")
    assert not session.waits("public.a")


def test_without_a_transaction_everything_waits() -> None:
    session = Session(IDLE)
    session.link.queue.batch = 2
    session.hold("public.a", "public.b", together=("public.a", "public.b"))
    assert session.waits("public.a")
    assert session.waits("public.b")


def test_a_session_remembers_what_was_imported_while_it_lasts() -> None:
    session = Session()
    before = Catalog(1, {}, watched_tables=TABLES, foreign=frozenset({"public.a.x", "public.b.x", "public.c.x"}))
    session.link.shared_catalog = Catalog(2, {}, watched_tables=TABLES, foreign=frozenset({"public.a.x", "public.b.x"}))
    session.swaps.note_changed(before)
    assert session.swaps.speaks_of_imported(on("public.c"))
    assert not session.swaps.speaks_of_imported(on("public.a", "public.b"))
    after, session.link.shared_catalog = session.link.shared_catalog, Catalog(3, {})
    session.swaps.note_changed(after)
    assert session.swaps.speaks_of_imported(on("public.a", "public.d"))
    assert not session.swaps.speaks_of_imported(on("public.d"))
