"""What is logged, and what has no way into a log: planted texts in every place that could carry them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.server import log

SECRET = "planted-secret"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    made = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook
    with warnings.catch_warnings():
        log.configure("debug", made)
        yield made
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level, sys.excepthook = before
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(statement: str) -> None:
    raise ValueError(f"{SECRET} in {statement}")


def test_events_are_json_with_their_fields(stream: io.StringIO) -> None:
    log.get().info("ready", host="127.0.0.1", port=5, seconds=2)
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["host"], line["port"], line["seconds"]) == (
        "ready",
        "info",
        "127.0.0.1",
        5,
        2.0,
    )


def test_unknown_fields_and_wrong_types_are_dropped(stream: io.StringIO) -> None:
    log.get().info(
        "ready", statement=SECRET, parameters=[SECRET], port=SECRET, exc_info=SECRET, count=b"planted-secret"
    )
    assert SECRET not in stream.getvalue()
    assert set(lines(stream)[0]) == {"event", "level", "timestamp"}


def test_control_characters_cannot_forge_a_line(stream: io.StringIO) -> None:
    log.get().info("ready", host='x\n{"event": "forged"}\r\x1b[31m' + "y" * 500)
    (line,) = lines(stream)
    assert line["event"] == "ready"
    assert "\n" not in line["host"]
    assert "\x1b" not in line["host"]
    assert len(line["host"]) == log.MAX_TEXT


def test_exceptions_are_told_without_their_text(stream: io.StringIO) -> None:
    try:
        fail(SECRET)
    except ValueError as error:
        log.failure("broken", error)
    log.failure("refused", Refusal(SECRET))
    broken, refused = lines(stream)
    assert broken["error"] == "ValueError"
    assert broken["where"].startswith("server/test_log.py:")
    assert refused["sqlstate"] == "0A000"
    assert SECRET not in stream.getvalue()


def test_libraries_warnings_and_uncaught_errors_are_told_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("library").error("text %s", SECRET)
    try:
        fail(SECRET)
    except ValueError as error:
        logging.getLogger("library").exception("more %s", SECRET)
        sys.excepthook(ValueError, error, error.__traceback__)
    logging.getLogger("py.warnings").warning(SECRET)
    assert SECRET not in stream.getvalue()
    assert [line["event"] for line in lines(stream)] == [
        "library message",
        "library error",
        "uncaught",
        "library message",
    ]


async def test_the_event_loops_errors_are_told_the_same_way(stream: io.StringIO) -> None:
    loop = asyncio.get_running_loop()
    log.on_loop_exception(loop, {"message": SECRET, "exception": ValueError(SECRET), "args": SECRET})
    log.on_loop_exception(loop, {"message": SECRET})
    assert SECRET not in stream.getvalue()
    assert len(lines(stream)) == 2


def test_a_line_without_room_or_reader_is_lost_and_counted() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b"x" * 4096):
            pass
    os.set_blocking(writer, True)
    said = log.Unfailing(writer)
    said.write('{"event": "one"}\n')  # would wait forever
    said.write('{"event": "two"}\n')
    with contextlib.suppress(BlockingIOError):
        os.set_blocking(reader, False)
        while os.read(reader, 1 << 20):
            pass
    said.write('{"event": "three"}\n')
    said.write('{"event": "four"}\n')
    assert [json.loads(line) for line in os.read(reader, 1 << 20).splitlines()] == [
        {"event": "three", "lost": 2},
        {"event": "four"},
    ]
    os.close(reader)
    said.write('{"event": "five"}\n')
    os.close(writer)
    said.write('{"event": "six"}\n')


def test_a_workers_lines_have_its_number(stream: io.StringIO) -> None:
    log.configure("info", stream, worker=3)
    log.get().info("ready")
    assert lines(stream)[0]["worker"] == 3


def test_the_level_is_kept(stream: io.StringIO) -> None:
    log.configure("error", stream)
    log.get().info("ready")
    log.get().error("broken")
    assert [line["event"] for line in lines(stream)] == ["broken"]
