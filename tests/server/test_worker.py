"""What a worker does without its supervisor. The rest is tested with processes."""

from __future__ import annotations

import asyncio
import socket

import pytest

from pgcrypt_proxy.server import worker
from pgcrypt_proxy.server.channel import Channel, Message
from pgcrypt_proxy.server.throttle import TooManyFailures
from pgcrypt_proxy.server.worker import SharedThrottle
from pgcrypt_proxy.session.scram import LoginRefused

KEY = ("192.0.2.1", "app")


async def test_the_throttle_of_all_is_asked_and_told() -> None:
    ours, theirs = socket.socketpair()
    channel, supervisor = await Channel.over(ours), await Channel.over(theirs)
    heard: list[tuple[str, list[str]]] = []
    waits = [0.5, None]

    def on_message(message: Message) -> None:
        heard.append((message["do"], message["key"]))
        if message["do"] == "wait":
            supervisor.answer(message, wait_s=waits.pop(0))

    tasks = [
        asyncio.ensure_future(supervisor.listen(on_message)),
        asyncio.ensure_future(channel.listen(lambda _: None)),
    ]
    throttle = SharedThrottle(channel)
    throttle.failed(KEY)
    assert await throttle.wait_s(KEY) == 0.5
    with pytest.raises(TooManyFailures):
        await throttle.wait_s(KEY)
    throttle.succeeded(KEY)
    await channel.flush()
    await asyncio.gather(*tasks)
    assert heard == [(do, list(KEY)) for do in ("login_failed", "wait", "wait", "login_succeeded")]
    with pytest.raises(LoginRefused):
        await throttle.wait_s(KEY)


async def test_nobody_logs_in_while_the_supervisor_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ANSWER_S", 0.05)
    ours, theirs = socket.socketpair()
    channel = await Channel.over(ours)
    with theirs, pytest.raises(LoginRefused):
        await SharedThrottle(channel).wait_s(KEY)
    channel.close()
