"""From the first byte to the first ReadyForQuery: the proxy answers as the server does."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.helpers.raw_peers import CLOSED, Pair, errors, kinds, startup_packet
from tests.parity.conftest import Twins
from tests.session.conversations import GSSENC_REQUEST, SSL_REQUEST, packet, query

Open = Callable[[], Pair]


def test_statuses_and_key_come_in_the_servers_order(opened: Open) -> None:
    heard = opened().start()
    assert kinds(heard).startswith("RS")
    assert kinds(heard).endswith("KZ")
    names = [fields[0] for kind, fields in heard if kind == "S"]
    assert {"server_version", "client_encoding", "standard_conforming_strings", "TimeZone", "is_superuser"} <= {*names}


@pytest.mark.parametrize(
    "parameters",
    [
        {"application_name": "app", "client_encoding": "LATIN1", "DateStyle": "German", "TimeZone": "Asia/Tokyo"},
        {"options": "-c statement_timeout=12345 -c extra_float_digits=0", "search_path": "pg_catalog"},
        {"options": "-c search_path=public\\ ,pg_catalog --work_mem=1MB"},
        {"application_name": "new\nline 'quoted' %s \x1b[31m " + "x" * 3000},
    ],
)
def test_parameters_reach_the_server(opened: Open, parameters: dict[str, str]) -> None:
    pair = opened()
    pair.start(**parameters)
    pair.ask(query("SHOW statement_timeout; SHOW search_path; SHOW application_name; SHOW TimeZone; SHOW work_mem"))


@pytest.mark.parametrize(
    ("parameters", "sqlstate"),
    [
        ({"nosuch_setting": "1"}, "42704"),
        ({"options": "-c nosuch_setting=1"}, "42704"),
        ({"TimeZone": "Nowhere/Land"}, "22023"),
        ({"user": "nobody_here"}, "28000"),
        ({"user": ""}, "28000"),
        ({"user": "new\nline'\"%s\\"}, "28000"),
        ({"user": "u" * 9000}, "28000"),
        ({"client_encoding": "KLINGON"}, "22023"),
        ({"options": "-X nonsense"}, "42601"),
    ],
)
def test_the_servers_refusal_comes_through_and_the_connection_ends(
    opened: Open, parameters: dict[str, str], sqlstate: str
) -> None:
    pair = opened()
    if parameters.get("user") == "":
        pair.ignored = frozenset("FLR")
    heard = pair.start(**parameters)
    assert errors(heard)[-1][0] == sqlstate
    assert heard[-1] == CLOSED


def test_too_many_connections_of_a_role(twins: Twins, opened: Open) -> None:
    for connect in (twins.plain, twins.sealed.direct):
        with connect() as connection:
            connection.execute("DROP ROLE IF EXISTS single")
            connection.execute("CREATE ROLE single LOGIN CONNECTION LIMIT 0")
    heard = opened().start(user="single")
    assert errors(heard)[-1][0] == "53300"


def password(body: bytes) -> bytes:
    return b"p" + struct.pack("!i", len(body) + 4) + body


class TestPasswords:
    """What a client may say when the server asks for a password, relayed."""

    def asked_in(self, twins: Twins, opened: Open, group: str) -> Pair:
        """Both sides ask for a password in the way of that group."""
        for connect in (twins.plain, twins.sealed.direct):
            with connect() as connection:
                connection.execute("DROP ROLE IF EXISTS keyed")
                connection.execute(f"DROP ROLE IF EXISTS {group}".encode())
                connection.execute(f"CREATE ROLE {group}".encode())
                connection.execute(f"CREATE ROLE keyed LOGIN PASSWORD 'planted-key' IN ROLE {group}".encode())
        pair = opened()
        pair.say(startup_packet(user="keyed", database=pair.direct.place.database))
        assert kinds(pair.hear("R")) == "R"
        return pair

    @pytest.fixture
    def asked(self, twins: Twins, opened: Open) -> Pair:
        """In clear."""
        return self.asked_in(twins, opened, "password_users")

    def test_the_right_one(self, asked: Pair) -> None:
        assert kinds(asked.ask(password(b"planted-key\0"))).endswith("KZ")
        asked.ask(query("SELECT current_user"))

    @pytest.mark.parametrize(
        ("said", "sqlstate"),
        [
            (password(b"wrong\0"), "28P01"),
            (password(b"planted-key"), "08P01"),
            (password(b"planted\0key\0"), "08P01"),
            (password(b"\0"), "28P01"),
            (query("SELECT 1"), "08P01"),
        ],
    )
    def test_others_end_the_connection(self, asked: Pair, said: bytes, sqlstate: str) -> None:
        asked.ignored = frozenset("FLR")
        heard = asked.ask(said)
        assert errors(heard)[0][0] == sqlstate
        assert heard[-1] == CLOSED

    def test_something_else_than_a_proof(self, twins: Twins, opened: Open) -> None:
        pair = self.asked_in(twins, opened, "scram_users")
        pair.ignored = frozenset("FLR")
        assert errors(pair.ask(query("SELECT 1"))) == [("08P01", "expected SASL response, got message type 81")]

    def test_one_that_is_too_long(self, asked: Pair) -> None:
        asked.say(b"p" + struct.pack("!i", 65_540), b"x" * 65_535 + b"\0")
        assert asked.direct.hear() == [CLOSED]
        assert kinds(asked.proxied.hear()) == "E."


@pytest.fixture
def without_gssapi(opened: Open, request: pytest.FixtureRequest) -> None:
    """The proxy answers N to everybody; only a server that does so as well can be compared with it."""
    if "gss" not in request.node.name:
        return
    pair = opened()
    pair.direct.say(GSSENC_REQUEST)
    if pair.direct.byte() == b"G":
        pytest.skip("not applicable: this server is built with GSSAPI")


@pytest.mark.usefixtures("without_gssapi")
class TestEncryptionRequests:
    """The server of these tests has neither TLS nor GSSAPI, and the proxy's TLS is off."""

    @pytest.mark.parametrize(
        "requests",
        [[SSL_REQUEST], [GSSENC_REQUEST], [SSL_REQUEST, GSSENC_REQUEST], [GSSENC_REQUEST, SSL_REQUEST]],
        ids=["ssl", "gss", "ssl-gss", "gss-ssl"],
    )
    def test_n_and_the_connection_goes_on(self, opened: Open, requests: list[bytes]) -> None:
        pair = opened()
        for request in requests:
            pair.say(request)
            assert pair.byte() == b"N"
        pair.start()
        pair.ask(query("SELECT 1"))

    @pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST], ids=["ssl", "gss"])
    def test_a_second_one_is_an_unknown_protocol(self, opened: Open, request_: bytes) -> None:
        pair = opened()
        pair.ignored = frozenset("FLRM")  # which says what versions the server knows
        pair.say(request_)
        assert pair.byte() == b"N"
        heard = pair.ask(request_)
        assert errors(heard)[0][0] == "0A000"
        assert heard[-1] == CLOSED

    @pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST], ids=["ssl", "gss"])
    def test_bytes_behind_it_are_refused(self, opened: Open, request_: bytes) -> None:
        pair = opened()
        pair.ignored = frozenset("FLR")
        pair.say(request_ + startup_packet(database=pair.direct.place.database))
        heard = [self.without_n(peer) for peer in pair.peers]
        pair.same(*heard)
        assert errors(heard[0])[0][0] == "08P01"

    def without_n(self, peer: object) -> list[object]:
        """What comes behind the N, if there is one: servers say it at once, or not at all, by version."""
        data = b""
        while received := peer.sock.recv(4096):  # type: ignore[attr-defined]
            data += received
        peer._data += data.removeprefix(b"N")  # type: ignore[attr-defined]
        return peer.hear()  # type: ignore[attr-defined]


class TestMalformed:
    @pytest.mark.parametrize(
        "data",
        [
            struct.pack("!i", 0),
            struct.pack("!ii", 7, 3 << 16),
            struct.pack("!i", -1),
            struct.pack("!ii", 10_005, 3 << 16),
            struct.pack("!ii", 0x7FFFFFFF, 3 << 16),
            b"GET / HTTP/1.0\r\n\r\n",
            b"SSH-2.0-x\r\n",
            packet(80877102, b"\0\0\0\1"),
        ],
        ids=["0", "7", "negative", "10005", "huge", "http", "ssh", "short cancel"],
    )
    def test_closed_without_a_word(self, opened: Open, data: bytes) -> None:
        assert opened().ask(data) == [CLOSED]

    @pytest.mark.parametrize(
        "body",
        [b"user\0postgres\0", b"user\0postgres\0\0x", b"user\0postgres", b"user\0", b"\0user\0postgres\0\0", b""],
    )
    def test_layout(self, opened: Open, body: bytes) -> None:
        pair = opened()
        pair.ignored = frozenset("FLR")
        heard = pair.ask(packet(3 << 16, body))
        assert heard[-1] == CLOSED
        assert errors(heard)[0][0] in ("08P01", "28000")

    @pytest.mark.parametrize("major", [1, 4, 255])
    def test_other_protocols(self, opened: Open, major: int) -> None:
        pair = opened()
        pair.ignored = frozenset("FLRM")
        pair.say(packet(major << 16, b"user\0postgres\0\0"))
        if major > 2:
            assert errors(pair.hear())[0][0] == "0A000"
            return
        direct, proxied = (b"".join(iter(lambda peer=peer: peer.sock.recv(4096), b"")) for peer in pair.peers)
        assert direct.partition(b": server")[0] == proxied.partition(b": server")[0]
        assert proxied[-1] == 0

    def test_byte_by_byte(self, opened: Open) -> None:
        pair = opened()
        pair.say_slowly(startup_packet(database=pair.direct.place.database))
        pair.hear()
        pair.say_slowly(query("SELECT 'byte by byte'"))
        pair.hear()


class TestProtocolVersions:
    @pytest.mark.parametrize("minor", [0, 1, 2, 3, 9999])
    def test_versions_are_negotiated_by_the_server(self, opened: Open, minor: int) -> None:
        pair = opened()
        pair.start(minor=minor)
        pair.ask(query("SELECT 1"))

    def test_unknown_options_are_listed(self, opened: Open) -> None:
        heard = opened().start(minor=2, **{"_pq_.first": "on", "_pq_.second": "x"})
        assert heard[0][0] == "v"
        assert heard[0][1].endswith(b"_pq_.first\0_pq_.second\0")

    def test_a_long_cancel_key_cancels(self, opened: Open, twins: Twins) -> None:
        pair = opened()
        pair.start(minor=2)
        if twins.sealed.server.major_version >= 18:
            assert len(pair.proxied.key[1]) == 32
        cancel(pair, opened)


def cancel(pair: Pair, opened: Open) -> None:
    """Start a long statement on both, cancel each by its own key, and use the connections again."""
    pair.say(query("SELECT pg_sleep(30)"))
    other = opened()
    for peer, canceller in zip(pair.peers, other.peers, strict=True):
        wait_until_active(peer)
        canceller.say(peer.cancel_packet())
        assert canceller.hear() == [CLOSED]
    assert errors(pair.hear())[0][0] == "57014"
    pair.ask(query("SELECT 1"))


def wait_until_active(peer: object) -> None:
    import time

    time.sleep(0.3)


def test_a_cancel_request_of_nobody_is_answered_by_silence(opened: Open) -> None:
    for body in (struct.pack("!ii", 1, 2), struct.pack("!i", 1) + b"k" * 32, struct.pack("!i", 1) + b"k" * 256):
        assert opened().ask(packet(80877102, body)) == [CLOSED]


def test_messages_behind_the_startup_packet_are_not_lost(opened: Open) -> None:
    pair = opened()
    pair.say(startup_packet(database=pair.direct.place.database) + query("SELECT 1") + query("SELECT 2"))
    assert kinds(pair.hear(count=3)).endswith("ZTDCZTDCZ")


def test_the_database_is_the_user_by_default(opened: Open) -> None:
    pair = opened()
    for peer in pair.peers:
        peer.say(packet(3 << 16, b"user\0" + peer.place.database.encode() + b"\0\0"))
    assert errors(pair.hear())[0][0] == "28000"
