"""Waiting for sockets by poll, which takes any descriptor: `select.select` takes none above 1023."""

from __future__ import annotations

import select
from typing import Protocol, TypeVar


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


Source = TypeVar("Source", bound="int | HasDescriptor")


def readable(sources: list[Source], timeout_s: float) -> list[Source]:
    """Those that can be read without blocking, ends and errors among them; none when the time is over."""
    return _ready(sources, select.POLLIN, timeout_s)


def writable(source: int | HasDescriptor, timeout_s: float) -> bool:
    """Whether it can be written to without blocking before the time is over."""
    return bool(_ready([source], select.POLLOUT, timeout_s))


def _ready(sources: list[Source], events: int, timeout_s: float) -> list[Source]:
    poll = select.poll()
    of_descriptor = {source if isinstance(source, int) else source.fileno(): source for source in sources}
    for descriptor in of_descriptor:
        poll.register(descriptor, events)
    return [of_descriptor[descriptor] for descriptor, _ in poll.poll(timeout_s * 1000)]
