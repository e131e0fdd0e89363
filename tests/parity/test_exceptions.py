"""What differs on purpose (docs/known-differences.md): each on its own, and the connection goes on where it can."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgcrypt_proxy.wire.frontend import SYNC
from tests.helpers.raw_peers import CLOSED, Pair, errors, kinds, rows
from tests.session.conversations import bind, execute, parse, query

Open = Callable[[], Pair]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT email, count(*) FROM people GROUP BY email",
        "SELECT DISTINCT email FROM people",
        "SELECT email FROM people UNION SELECT email FROM people",
    ],
)
def test_where_a_column_comes_from_may_be_lost_in_grouping(pair: Pair, sql: str) -> None:
    pair.say(query(sql))
    direct, proxied = (peer.hear() for peer in pair.peers)
    assert kinds(direct) == kinds(proxied)
    assert sorted(h[1] for h in direct if h[0] == "D") == sorted(h[1] for h in proxied if h[0] == "D")
    (plain, *_), (sealed, *_) = direct[0][1], proxied[0][1]
    assert sealed[0] == plain[0]
    assert sealed[3:] == plain[3:]
    assert sealed[1:3] in (plain[1:3], (0, 0))


@pytest.mark.parametrize("value", ["true", "database"])
def test_replication_is_refused(opened: Open, value: str) -> None:
    pair = opened()
    assert pair.direct.start(replication=value)[-1] != CLOSED
    heard = pair.proxied.start(replication=value)
    assert errors(heard)[0][0] == "0A000"
    assert heard[-1] == CLOSED


def test_other_databases_are_not_served(opened: Open) -> None:
    pair = opened()
    assert pair.direct.start(database="postgres")[-1] != CLOSED
    heard = pair.proxied.start(database="postgres")
    assert errors(heard)[0][0] == "3D000"
    assert heard[-1] == CLOSED


def test_names_of_the_proxys_own(pair: Pair) -> None:
    peer = pair.proxied
    peer.say(parse("SELECT 1", "pgcrypt_proxy_mine"), bind(statement="pgcrypt_proxy_mine"), execute(), SYNC)
    heard = peer.hear()
    assert [code for code, _ in errors(heard)] == ["42602"]
    pair.ask(query("SELECT 1"))


def test_texts_too_long_to_be_read(pair: Pair) -> None:
    long = "SELECT '" + "x" * (1 << 20) + "' FROM people"
    peer = pair.proxied
    peer.say(query(long), parse(long), bind(), execute(), SYNC, query("BEGIN"), query(long), query("ROLLBACK"))
    heard = peer.hear(count=5)
    assert [code for code, _ in errors(heard)] == ["54001"] * 3
    assert [fields for kind, fields in heard if kind == "Z"] == [b"I", b"I", b"T", b"E", b"I"]
    harmless = "SELECT '" + "x" * (1 << 20) + "'"
    pair.ask(query(harmless), parse(harmless), bind(), execute(), SYNC, count=2)


def test_the_address_is_the_proxys(pair: Pair) -> None:
    """And none, where it reaches the server by a Unix socket."""
    pair.say(query("SELECT inet_client_addr(), inet_client_port()"))
    (direct,), (proxied,) = (rows(peer.hear()) for peer in pair.peers)
    assert direct == [b"127.0.0.1", str(pair.direct.sock.getsockname()[1]).encode()]
    assert proxied == [None, None]


def test_a_text_that_goes_on_behind_rollback(pair: Pair) -> None:
    """What protected tables are cannot be asked in a failed transaction; what follows ROLLBACK could be about them."""
    for end, sqlstates in (("ROLLBACK; SELECT 1", ["25P02"]), ("ROLLBACK", [])):
        assert kinds(pair.ask(query("BEGIN; ALTER TABLE people ALTER name SET DEFAULT 'x'; SELECT 1/0"))) == "CCEZ"
        pair.say(query(end))
        direct, proxied = (peer.hear() for peer in pair.peers)
        assert errors(direct) == []
        assert [code for code, _ in errors(proxied)] == sqlstates
        if sqlstates:
            pair.proxied.say(query("ROLLBACK"))
            pair.proxied.hear()
    pair.ask(query("SELECT email FROM people ORDER BY id"))
