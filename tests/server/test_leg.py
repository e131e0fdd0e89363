"""A leg that brings much has turns: its bytes come in order, in pieces, and others are asked in between."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from pgcrypt_proxy.server import leg as leg_module
from pgcrypt_proxy.server.leg import PIECE_BYTES, Leg
from pgcrypt_proxy.server.sockets import Keepalive
from pgcrypt_proxy.session.events import Side


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.is_over = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_over

    def close(self) -> None:
        self.is_over = True

    def pause_reading(self) -> None:
        self.said.append("pause")

    def resume_reading(self) -> None:
        self.said.append("resume")


class FakeOwner:
    """Notes what comes, and reads a leg as `Connection.balance` does."""

    def __init__(self, side: Side) -> None:
        self.got: list[bytes | str] = []
        self.is_ready = True
        self.keepalive = Keepalive(0, 0, 0)
        self.transport = FakeTransport()
        self.leg = Leg(side, self)
        self.leg.connection_made(self.transport)

    def on_made(self, leg: Leg) -> None: ...

    def on_data(self, leg: Leg, data: bytes) -> None:
        self.got.append(data)

    def on_ended(self, leg: Leg) -> bool:
        return True

    def on_lost(self, leg: Leg) -> None: ...

    def balance(self) -> None:
        self.leg.read(wanted=not self.leg.is_resting)

    @property
    def bytes(self) -> bytes:
        return b"".join(cast("list[bytes]", [piece for piece in self.got if isinstance(piece, bytes)]))


@pytest.fixture(autouse=True)
def every_piece_is_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "TURN_S", 0.0)


MUCH = bytes(range(256)) * (3 * PIECE_BYTES // 256) + b"the end"


async def turns(owner: FakeOwner, count: int) -> None:
    for _ in range(count):
        owner.got.append("others")
        await asyncio.sleep(0)


async def test_a_client_that_sends_much_has_others_between_its_pieces() -> None:
    owner = FakeOwner(Side.FRONTEND)
    owner.leg.data_received(MUCH)
    assert owner.got == [MUCH[:PIECE_BYTES]]
    assert owner.transport.said == ["pause"]
    await turns(owner, 6)
    pieces = [len(piece) if isinstance(piece, bytes) else piece for piece in owner.got]
    assert pieces[:6] == [PIECE_BYTES, "others", PIECE_BYTES, "others", PIECE_BYTES, "others"]
    assert owner.bytes == MUCH
    assert owner.transport.said == ["pause", "resume"]


async def test_a_turn_that_was_short_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "TURN_S", 3600.0)
    owner = FakeOwner(Side.FRONTEND)
    owner.leg.data_received(MUCH)
    assert owner.bytes == MUCH
    assert owner.transport.said == []


async def test_rows_stay_in_one_piece_and_then_the_server_rests() -> None:
    owner = FakeOwner(Side.BACKEND)
    owner.leg.data_received(MUCH)
    assert owner.got == [MUCH]
    assert owner.transport.said == ["pause"]
    await turns(owner, 2)
    assert owner.bytes == MUCH
    assert owner.transport.said == ["pause", "resume"]


async def test_what_had_been_read_already_comes_behind_what_is_left() -> None:
    owner = FakeOwner(Side.FRONTEND)
    owner.leg.data_received(MUCH)
    owner.leg.data_received(b"late")
    assert len(owner.got) == 1
    await turns(owner, 6)
    assert owner.bytes == MUCH + b"late"


async def test_little_is_no_turn_and_a_login_is_not_cut() -> None:
    owner = FakeOwner(Side.FRONTEND)
    owner.leg.data_received(b"little")
    owner.is_ready = False
    owner.leg.data_received(MUCH)
    assert owner.got == [b"little", MUCH]
    assert owner.transport.said == []


async def test_nothing_more_comes_of_a_leg_that_was_closed() -> None:
    owner = FakeOwner(Side.FRONTEND)
    owner.leg.data_received(MUCH)
    owner.leg.close()
    await turns(owner, 4)
    assert owner.bytes == MUCH[:PIECE_BYTES]
