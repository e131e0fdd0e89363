"""A session test reads as a conversation: `play >> event << command << command`.

`>>` hands an event to the session; each `<<` is the next command it must have
given. Commands that nobody expected fail the test at the next event or at
`done`. Byte commands are compared message by message.
"""

from __future__ import annotations

import difflib
import struct
from collections import deque

from pgcrypt_proxy.session.commands import Command, SendData
from pgcrypt_proxy.session.events import DataReceived, Event, Side
from pgcrypt_proxy.session.session import Session


def frontend(*messages: bytes) -> DataReceived:
    """The application sent these messages at once."""
    return DataReceived(Side.FRONTEND, b"".join(messages))


def backend(*messages: bytes) -> DataReceived:
    """The server sent these messages at once."""
    return DataReceived(Side.BACKEND, b"".join(messages))


def to_frontend(*messages: bytes) -> SendData:
    return SendData(Side.FRONTEND, b"".join(messages))


def to_backend(*messages: bytes) -> SendData:
    return SendData(Side.BACKEND, b"".join(messages))


def messages_of(data: bytes) -> list[bytes]:
    """The messages in a byte string; an incomplete rest is the last."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        if len(data) - at < 5:
            return [*found, data[at:]]
        end = at + 1 + int(struct.unpack_from("!i", data, at + 1)[0])
        found.append(data[at:end])
        at = end
    return found


class Playbook:
    """One session and what it has said so far that no test line has asked for."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.said: deque[Command] = deque()

    def __rshift__(self, event: Event) -> Playbook:
        self.done()
        self.said.extend(self.session.handle(event))
        return self

    def __lshift__(self, expected: Command) -> Playbook:
        if not self.said:
            raise AssertionError(f"the session said nothing more; expected\n{_shown(expected)}")
        said = self.said.popleft()
        if said != expected:
            diff = "\n".join(difflib.ndiff(_shown(expected).splitlines(), _shown(said).splitlines()))
            raise AssertionError(f"- expected, + said:\n{diff}")
        return self

    def next(self) -> Command:
        """The next command, whatever it is."""
        return self.said.popleft()

    def sent(self, side: Side) -> list[bytes]:
        """The messages of the next command, which must send to that side."""
        command = self.said.popleft()
        assert isinstance(command, SendData), command
        assert command.side is side, _shown(command)
        return messages_of(command.data)

    def done(self) -> None:
        """Fails when the session said more than was expected."""
        if self.said:
            said = "\n".join(_shown(command) for command in self.said)
            raise AssertionError(f"unfinished playbook! The session also said\n{said}")


def _shown(command: Command) -> str:
    if not isinstance(command, SendData):
        return repr(command)
    lines = "\n".join(f"  {message!r}" for message in messages_of(command.data))
    return f"SendData to {command.side.value}:\n{lines}"
