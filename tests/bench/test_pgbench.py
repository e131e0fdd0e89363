"""What pgbench says is read right, and its scripts run through a proxy in each protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import pgbench
from bench.pgbench import PgbenchFailed, TooShort, Transaction, parse_log, parse_output, steady, warm
from bench.places import Contestant, Place, place
from bench.processes import Database
from bench.results import SEALED
from bench.scripts import CRUD, EXTENDED, LOOKUP, PREPARED, SIMPLE, TPCB, WORKLOADS
from bench.tables import Sizes, create
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

TINY = Sizes(users=50, wide=10, copied=10, looked_up=20, branches=2, accounts_each=5)
OUTPUT = """\
transaction type: multiple scripts
number of transactions actually processed: 2500
number of failed transactions: {failed} (0.000%)
latency average = 0.395 ms
initial connection time = 3.124 ms
tps = 2531.645570 (without initial connection time)
"""


def test_the_log_of_transactions() -> None:
    lines = ["0 1 1021 0 1790000000 123456", "3 2 998 2 1790000000 124000", "1 7 skipped 0 1790000000 1 5", ""]
    began = 1_790_000_000_000_000
    assert parse_log(lines) == [Transaction(0, 0, 1021, began + 123456), Transaction(3, 2, 998, began + 124000)]


def test_failed_transactions_are_no_times() -> None:
    assert parse_log(["0 1 failed 0 1790000000 123456"]) == []


def test_the_first_transactions_of_each_client_do_not_count() -> None:
    of_two = [Transaction(client, 0, number, number) for number in range(7) for client in (0, 1)]
    assert [t.us for t in steady(of_two)] == [5, 5, 6, 6]
    few = of_two[:4]
    assert steady(few) == few


def test_the_first_second_of_many_clients_does_not_count() -> None:
    ends_ms = [5000, 5900, 6000, 6100, 6500, 7000]
    kept, tps = warm([Transaction(0, 0, ms, ms * 1000) for ms in ends_ms])
    assert [t.us for t in kept] == [6100, 6500, 7000]
    assert tps == pytest.approx(3)
    for short in ([], [Transaction(0, 0, 7, 7)]):
        with pytest.raises(TooShort):
            warm(short)


def test_throughput_is_without_the_time_of_connecting() -> None:
    assert parse_output(OUTPUT.format(failed=0)) == (2531.64557, 2500)


@pytest.mark.parametrize("text", ["", OUTPUT.format(failed=3)])
def test_a_run_that_failed_is_no_result(text: str) -> None:
    with pytest.raises(PgbenchFailed):
        parse_output(text)


def test_a_run_in_which_nothing_was_done_is_made_again_and_longer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []

    def run(*arguments: object) -> object:
        asked.append(arguments[5])  # type: ignore[arg-type]
        if len(asked) == 1:
            parse_output("number of transactions actually processed: 0\n")
        return "run"

    monkeypatch.setattr(pgbench, "_run", run)
    contestant = Contestant(SEALED, Database("127.0.0.1", 1, "d"), "sealed", "sealed")
    assert pgbench.run(tmp_path, contestant, CRUD, SIMPLE, 64, 1, TINY) == "run"
    assert asked == [1, pgbench.LONGER]


def test_values_are_quoted_in_the_simple_protocol_only(tmp_path: Path) -> None:
    contestant = Contestant(SEALED, Database("127.0.0.1", 1, "d"), "sealed", "sealed")
    search = next(s for s in WORKLOADS[CRUD] if s.name == "search")
    assert "crud_sealed WHERE email = ':email';" in search.write(tmp_path, contestant, SIMPLE, TINY).read_text()
    assert "crud_sealed WHERE email = :email;" in search.write(tmp_path, contestant, PREPARED, TINY).read_text()
    assert sum(s.weight for s in WORKLOADS[CRUD]) == 100


@contextlib.contextmanager
def tiny_place(postgres: PostgresServer, folder: Path) -> Iterator[Place]:
    with postgres.database() as name:
        rules = create(postgres, name, folder, TINY)
        with place(Database(postgres.host, postgres.port, name), rules, folder) as here:
            yield here


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_workload_runs_through_the_proxy(postgres: PostgresServer, tmp_path: Path) -> None:
    program = pgbench.find(postgres.bin_dir)
    if program is None:
        pytest.skip("not applicable: there is no pgbench")
    cases = [(CRUD, SIMPLE), (CRUD, EXTENDED), (CRUD, PREPARED), (TPCB, PREPARED), (LOOKUP, PREPARED)]
    with tiny_place(postgres, tmp_path) as here:
        for workload, protocol in cases:
            run = pgbench.run(program, here[SEALED], workload, protocol, 2, 1, TINY)
            assert run.tps > 0
            assert run.p50_us > 0
        with postgres.connect(here[SEALED].database.name) as connection:
            row = connection.execute("SELECT count(*) FROM crud_sealed WHERE length(email::bytea) = 50 + 19").fetchone()
            assert row is not None
            assert row[0] > TINY.users  # all were sealed, those that were inserted too
