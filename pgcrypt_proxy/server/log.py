"""Logging that cannot leak: JSON lines of known events with known fields, everything else is dropped.

A field's value is a number, a truth value or a short identifier; texts of
exceptions, statements and values have no way in. Control characters are
escaped, so that a name from a client cannot forge a line.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from typing import Any, TextIO

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
}
_ALWAYS = ("event", "level", "timestamp")


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


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logging of the process to `stream` (standard error) in this form."""
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_known,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
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
