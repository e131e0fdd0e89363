"""What the server says unasked, and cancelling: at once, in order, to the right client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from pgcrypt_proxy.wire.frontend import SYNC
from tests.helpers.raw_peers import CLOSED, Pair, Peer, errors, eventually, kinds
from tests.parity.conftest import Twins
from tests.session.conversations import bind, execute, parse, query

Open = Callable[[], Pair]
PEOPLE = "SELECT id, email FROM people ORDER BY id"


def both(twins: Twins, sql: str) -> None:
    """Run `sql` in both databases, from another connection that goes to the server itself."""
    for connect in (twins.plain, twins.sealed.direct):
        with connect() as connection:
            connection.execute(sql.encode())


def terminate(twins: Twins, pair: Pair) -> None:
    for connect, peer in ((twins.plain, pair.direct), (twins.sealed.direct, pair.proxied)):
        with connect() as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [peer.key[0]])


class TestNotifications:
    def test_while_idle(self, twins: Twins, pair: Pair) -> None:
        pair.ask(query("LISTEN here"))
        both(twins, "NOTIFY here, 'payload ä'")
        heard = pair.hear("A")
        assert heard == [("A", "here\0payload ä\0".encode())]
        both(twins, "SELECT pg_notify('here', n::text) FROM generate_series(1, 100) n")
        pair.hear("A", count=100)

    def test_the_process_is_the_one_that_notified(self, twins: Twins, pair: Pair) -> None:
        pair.ask(query("LISTEN here; NOTIFY here"))
        own = [raw for raw in pair.proxied.raw if raw[:1] == b"A"]
        assert int.from_bytes(own[0][5:9]) == pair.proxied.key[0]
        pair.ask(query("SELECT 1"))

    def test_between_transactions_and_pipelines(self, pair: Pair) -> None:
        pair.ask(query("LISTEN here"))
        one = [parse("NOTIFY here, 'x'"), bind(), execute(), parse(PEOPLE), bind(), execute(), SYNC]
        pair.ask(*one, *one, count=2)
        pair.ask(query("BEGIN; NOTIFY here, 'y'"))
        pair.ask(query("COMMIT"))


def test_notices_keep_their_place_among_rows(pair: Pair) -> None:
    pair.ask(query("SET client_min_messages = debug1"))
    pair.ask(query("SET client_min_messages = notice"))
    assert kinds(pair.ask(query("SELECT loud(n) FROM generate_series(1, 3) n"))) == "TNDNDNDCZ"


def test_settings_are_reported_whenever_they_change(twins: Twins, pair: Pair) -> None:
    pair.ask(
        query("SET DateStyle = German; SET client_encoding = LATIN1; SET TimeZone = 'Asia/Tokyo'; SELECT now() - now()")
    )
    pair.ask(query("BEGIN; SET LOCAL TimeZone = 'UTC'"))
    pair.ask(query("ROLLBACK"))
    both(twins, "ALTER SYSTEM SET IntervalStyle = 'iso_8601'")
    both(twins, "SELECT pg_reload_conf()")
    try:
        assert pair.hear_quiet() == []  # it is told with the next answer
        assert ("S", ("IntervalStyle", "iso_8601")) in pair.ask(query("SELECT 1"))
    finally:
        both(twins, "ALTER SYSTEM RESET IntervalStyle")
        both(twins, "SELECT pg_reload_conf()")


class TestEnds:
    def test_a_terminated_backend(self, twins: Twins, opened: Open) -> None:
        for sql in ("", "BEGIN", "SELECT 1"):
            pair = opened()
            pair.start()
            pair.ask(query(sql))
            terminate(twins, pair)
            heard = pair.hear()
            assert errors(heard)[0][0] == "57P01"
            assert heard[-1] == CLOSED

    @pytest.mark.parametrize("sql", ["SELECT pg_sleep(20)", "SELECT email, pg_sleep(20) FROM people"])
    def test_a_backend_terminated_at_work(self, twins: Twins, opened: Open, sql: str) -> None:
        pair = opened()
        pair.start()
        pair.say(query(sql))
        time.sleep(0.3)
        terminate(twins, pair)
        heard = pair.hear()
        assert errors(heard)[-1][0] == "57P01"
        assert heard[-1] == CLOSED

    @pytest.mark.parametrize(
        ("setting", "sql", "sqlstate"),
        [("idle_session_timeout", "", "57P05"), ("idle_in_transaction_session_timeout", "BEGIN", "25P03")],
    )
    def test_idle_too_long(self, opened: Open, setting: str, sql: str, sqlstate: str) -> None:
        pair = opened()
        pair.start(options=f"-c {setting}=200ms")
        pair.ask(query(sql))
        heard = pair.hear()
        assert errors(heard)[0][0] == sqlstate
        assert heard[-1] == CLOSED

    def test_statement_and_lock_timeouts(self, pair: Pair) -> None:
        for sql in ("SELECT pg_sleep(5)", "SELECT email, pg_sleep(5) FROM people"):
            pair.ask(query("SET statement_timeout = '100ms'"))
            assert errors(pair.ask(query(sql)))[0][0] == "57014"
            pair.ask(query("RESET statement_timeout"))


class TestCancel:
    def cancel(self, peer: Peer) -> None:
        sock = peer.place.connect()
        with sock:
            sock.sendall(peer.cancel_packet())
            assert sock.recv(1) == b""

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT pg_sleep(30)",
            "SELECT email, pg_sleep(30) FROM people",
            "UPDATE people SET email = 'planted-c', name = pg_sleep(30)::text",
            "SELECT repeat('x', 1000), n FROM generate_series(1, 100000000) n",
        ],
    )
    def test_the_connection_goes_on(self, pair: Pair, sql: str) -> None:
        pair.say(query(sql))
        time.sleep(0.3)
        for peer in pair.peers:
            self.cancel(peer)
        for peer in pair.peers:
            heard = peer.hear()
            assert errors(heard) == [("57014", "canceling statement due to user request")]
        pair.ask(query(PEOPLE))

    def test_in_a_pipeline(self, pair: Pair) -> None:
        pair.say(parse("SELECT pg_sleep(30)"), bind(), execute(), parse(PEOPLE), bind(), execute(), SYNC, query(PEOPLE))
        time.sleep(0.3)
        for peer in pair.peers:
            self.cancel(peer)
        assert kinds(pair.hear(count=2)) == "12EZTDDDCZ"

    def test_too_late(self, pair: Pair) -> None:
        pair.ask(query("SELECT 1"))
        for peer in pair.peers:
            self.cancel(peer)
        time.sleep(0.2)
        pair.ask(query(PEOPLE))

    def test_a_hundred_at_once(self, twins: Twins) -> None:
        """Each hits its own statement and no other one."""
        failures: list[object] = []

        def work(number: int) -> None:
            try:
                with twins.sealed.connect() as connection:
                    timer = threading.Timer(0.3, connection.cancel_safe)
                    timer.start()
                    try:
                        connection.execute("SELECT pg_sleep(30)")
                        failures.append(number)
                    except psycopg.errors.QueryCanceled:
                        pass
                    timer.join()
                    for _ in range(5):
                        connection.execute("SELECT email FROM people")
            except Exception as error:
                failures.append(error)

        for _ in range(4):
            threads = [threading.Thread(target=work, args=(n,)) for n in range(25)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert failures == []
        eventually(lambda: len(twins.sealed.running.proxy.listener._connections) == 0)
