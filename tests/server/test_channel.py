"""Supervisor and worker talk over a socket pair, and the end of one is seen by the other."""

from __future__ import annotations

import asyncio
import socket

import pytest

from pgcrypt_proxy.server.channel import Channel, ChannelLost, Message


async def pair() -> tuple[Channel, Channel, list[Message], list[asyncio.Task[None]]]:
    ours, theirs = socket.socketpair()
    one, two = await Channel.over(ours), await Channel.over(theirs)
    heard: list[Message] = []

    def on_message(message: Message) -> None:
        heard.append(message)
        if message["do"] == "double":
            two.answer(message, doubled=2 * message["number"])

    async def ignore() -> None:
        await one.listen(lambda _: None)

    return one, two, heard, [asyncio.ensure_future(two.listen(on_message)), asyncio.ensure_future(ignore())]


async def test_questions_find_their_answers_and_the_rest_is_heard_in_order() -> None:
    one, two, heard, tasks = await pair()
    one.send(do="first")
    answers = await asyncio.gather(*(one.ask(5, do="double", number=n) for n in (3, 4)))
    assert [answer["doubled"] for answer in answers] == [6, 8]
    one.send(do="long", text="x" * 1_000_000 + "\n\ud800")
    await one.flush()
    await asyncio.gather(*tasks)
    assert [message["do"] for message in heard] == ["first", "double", "double", "long"]
    assert heard[-1]["text"].endswith("x\n\ud800")
    with pytest.raises(ChannelLost):
        await two.ask(5, do="late")


async def test_no_answer_and_a_lost_peer() -> None:
    one, two, _, tasks = await pair()
    with pytest.raises(TimeoutError):
        await one.ask(0.05, do="silence")
    asked = asyncio.ensure_future(one.ask(30, do="silence"))
    await asyncio.sleep(0.05)
    two.close()
    with pytest.raises(ChannelLost):
        await asked
    one.send(do="nothing")
    await asyncio.gather(*tasks)
