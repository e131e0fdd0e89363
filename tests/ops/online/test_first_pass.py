"""Several fillers at once: nothing is left out, and a run that is stopped goes on behind what all of them have done."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import moves
from pgcrypt_proxy.ops.online.fill import Filler
from tests.ops.conftest import OpenProvider

Helper = Callable[[], contextlib.AbstractContextManager[tuple[psycopg.Connection, KeyringStore]]]


@pytest.fixture
def helper(postgres, database) -> Helper:
    @contextlib.contextmanager
    def make() -> Iterator[tuple[psycopg.Connection, KeyringStore]]:
        with connect(postgres.dsn(database)) as own, connect(postgres.dsn(database)) as other:
            yield own, KeyringStore(other, OpenProvider())

    return make


@pytest.fixture
def table(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("CREATE TABLE public.t (id int PRIMARY KEY, v text UNIQUE, note text DEFAULT repeat('n', 400))")
    connection.execute("INSERT INTO public.t SELECT i, 'v' || i FROM generate_series(1, 3000) i")
    return connection


def test_all_values_are_written_once(table, sealing, verified, rule, helper, monkeypatch):
    ruled = rule("public.t.v", "text", ("equality",))
    threads: set[str] = set()
    batch = Filler.batch

    def note(filler: Filler, *arguments: Any, **more: Any) -> Any:
        threads.add(threading.current_thread().name)
        return batch(filler, *arguments, **more)

    monkeypatch.setattr(Filler, "batch", note)
    seen: list[int] = []

    def progress(what: str, now: int, _: int) -> None:
        if what == "filling":
            seen.append(now)

    done = sealing(ruled, jobs=3, helper=helper, batch_blocks=2, progress=progress).to_the_end()
    assert done.values == verified(ruled) == 3000
    assert len([name for name in threads if name.startswith("fill")]) > 1
    assert seen == sorted(seen)


def test_what_stops_one_stops_all(table, sealing, verified, rule, helper, monkeypatch):
    ruled = rule("public.t.v", "text", ("equality",))
    batch = Filler.batch
    count: list[int] = []

    def stop(filler: Filler, *arguments: Any, **more: Any) -> Any:
        count.append(1)
        if len(count) == 20:
            raise ConfigError("stopped here")
        return batch(filler, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Filler, "batch", stop)
        with pytest.raises(ConfigError, match="stopped here"):
            sealing(ruled, jobs=3, helper=helper, batch_blocks=1).to_the_end()
    (move,) = moves.every(table)
    assert (move.state, move.moved > 0, move.next_block < move.blocks) == ("filling", True, True)
    (left,) = table.execute(
        f"SELECT count(*) FROM public.t WHERE pgcrypt_next_1 IS NULL AND ctid < '({move.next_block},0)'".encode()
    ).fetchone() or (None,)
    assert left == 0
    sealing(ruled, jobs=2, helper=helper).to_the_end()
    assert verified(ruled) == 3000
