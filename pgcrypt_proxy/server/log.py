"""Logging that cannot leak: JSON lines of known events with known fields, everything else is dropped.

A field's value is a number, a truth value or a short identifier; texts of
exceptions, statements and values have no way in. Control characters are
escaped, so that a name from a client cannot forge a line.

Nobody waits for the log and nothing fails by it: lines for which standard error
has no room, or no reader any more, are lost, and how many is told in the next.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import select
import sys
import warnings
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from pgcrypt_proxy.errors import PgcryptError

MAX_TEXT = 200
#: Fields and what they may hold. An event is a fixed text in the code.
FIELDS: dict[str, type | tuple[type, ...]] = {
    "connection": int,
    "count": int,
    "port": int,
    "seconds": float,
    "version": int,
    "host": str,
    "path": str,
    "column": str,
    "operation": str,
    "sqlstate": str,
    "error": str,  # an exception's class
    "where": str,  # file:line of its last frame
    "signal": str,
    "reason": str,  # fixed texts of ours
    "mode": str,
    "worker": int,
    "lost": int,  # lines that could not be written
}
_ALWAYS = ("event", "level", "timestamp")
#: What is always written of a line: less than a pipe that can be written to has room for (PIPE_BUF).
MAX_LINE = 4096


def _only_known(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    kept: EventDict = {}
    for name, value in event.items():
        if name in _ALWAYS:
            kept[name] = value
        elif name in FIELDS and isinstance(value, FIELDS[name]):
            kept[name] = _clean(value) if isinstance(value, str) else value
        elif name in FIELDS and FIELDS[name] is float and isinstance(value, int):
            kept[name] = float(value)
    return kept


def _clean(text: str) -> str:
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return shown[:MAX_TEXT]


class Unfailing(io.TextIOBase):
    """Lines to a file descriptor: written whole at once, or lost."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, line: str) -> int:
        if self._lost:
            line = f'{line.rstrip()[:-1]}, "lost": {self._lost}}}\n'
        try:
            states = self._poll.poll(0)
            if not states or states[0][1] & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
                self._lost += 1
            else:
                os.write(self._descriptor, line.encode("utf-8", "backslashreplace")[:MAX_LINE])
                self._lost = 0
        except OSError:
            self._lost += 1
        return len(line)


def _standard_error() -> TextIO:
    try:
        return cast("TextIO", Unfailing(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):  # there is none, or it is no file
        return sys.stderr


def configure(level: str = "info", stream: TextIO | None = None, *, worker: int | None = None) -> None:
    """Send all logging of the process to `stream` (standard error) in this form; `worker` is the process's number."""
    number = getattr(logging, level.upper())

    def number_worker(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return event if worker is None else {**event, "worker": worker}

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            number_worker,
            _only_known,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream or _standard_error()),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Redirect()]
    root.setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)
    warnings.simplefilter("default")
    sys.excepthook = lambda kind, error, _: failure("uncaught", error) if issubclass(kind, Exception) else None


class _Redirect(logging.Handler):
    """Libraries' log records: their logger's name and place are told, their text is not."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception):
            failure("library error", error)
        else:
            get().warning("library message", operation=record.name, where=f"{record.filename}:{record.lineno}")


def get() -> structlog.typing.FilteringBoundLogger:
    """The logger. Its events are fixed texts, its fields those of FIELDS."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def failure(event: str, error: BaseException, **fields: Any) -> None:
    """Log an exception by its class, SQLSTATE and place, without its text and without locals."""
    frame = error.__traceback__
    where = ""
    while frame is not None:
        path = frame.tb_frame.f_code.co_filename
        where = f"{'/'.join(path.split('/')[-2:])}:{frame.tb_lineno}"
        frame = frame.tb_next
    sqlstate = error.code if isinstance(error, PgcryptError) else ""
    get().error(event, error=type(error).__name__, where=where, sqlstate=sqlstate, **fields)


def on_loop_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio's exception handler: its own would print arguments."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        failure("event loop error", error)
    else:
        get().error("event loop error")
