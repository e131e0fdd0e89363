"""Statements out of files: SQL scripts, PostgreSQL's logs, dumps of pg_stat_statements. Knows texts, not SQL.

Reads a piece at a time, so that a file may be larger than memory. A statement
that is longer than `MAX_STATEMENT` is only counted.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from pgcrypt_proxy.cli.sql_script import MAX_STATEMENT, Found, split
from pgcrypt_proxy.errors import ConfigError

SAMPLE = 64 * 1024
#: Columns of csvlog: manual, "Using CSV-Format Log Output".
CSV_SEVERITY, CSV_MESSAGE, CSV_WIDTH = 11, 13, 23

_SEVERITIES = "DEBUG[1-5]?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT"
_LOG_LINE = re.compile(rf"(?:.*?\W)?({_SEVERITIES}):  (.*)", re.DOTALL)
_SURE_LOG_LINE = re.compile(rf"(?:[^'\"]*?[^\w'\"])?({_SEVERITIES}):  ")
_BEGINNING = re.compile(
    r"\s*(select|insert|update|delete|with|merge|values|begin|start|commit|rollback|set|show|create|alter|drop|copy)\b",
    re.IGNORECASE,
)
MAX_LINES_GUESSED = 20
_MESSAGE = re.compile(r"(?:duration: [\d.]+ ms  )?(?:statement|execute (?!fetch from )[^:]*): (.*)", re.DOTALL)


class Form(StrEnum):
    """How statements stand in a file."""

    AUTO = "auto"
    SQL = "sql"
    LOG = "log"
    CSVLOG = "csvlog"
    JSONLOG = "jsonlog"
    CSV = "csv"
    LINES = "lines"


@dataclass(slots=True)
class Source:
    """An open file of statements. `position` and `size` are in bytes; `size` is 0 when it is not known."""

    name: str
    form: Form
    size: int
    _stream: TextIO
    _head: str

    def statements(self) -> Iterator[Found]:
        """Every statement with the line it begins on. Raises ConfigError when the file is not of its form."""
        readers = {
            Form.SQL: split,
            Form.LOG: _log,
            Form.CSVLOG: _csvlog,
            Form.JSONLOG: _jsonlog,
            Form.CSV: _csv,
            Form.LINES: _lines,
        }
        try:
            yield from readers[self.form](self._pieces())
        except csv.Error:
            raise ConfigError(f"{self.name} is no CSV file", hint="Name its form: --format.") from None

    def position(self) -> int:
        return self._stream.buffer.tell() if self.size else 0

    def _pieces(self) -> Iterator[str]:
        """The file's lines; very long ones in pieces."""
        head = _lines_of(self._head)
        if not head[-1].endswith("\n"):
            head[-1] += self._stream.readline(MAX_STATEMENT)
        return chain(head, iter(lambda: self._stream.readline(MAX_STATEMENT), ""))


@contextlib.contextmanager
def open_source(path: Path, form: Form) -> Iterator[Source]:
    """The file, or standard input for `-`. Raises ConfigError when it cannot be read or is no text."""
    name = "standard input" if str(path) == "-" else str(path)
    with contextlib.ExitStack() as stack:
        try:
            if str(path) == "-":
                stream, size = sys.stdin, 0
                if isinstance(stream, TextIOWrapper):
                    stream.reconfigure(errors="replace")
            else:
                stream = stack.enter_context(path.open(encoding="utf-8", errors="replace", newline=""))
                size = path.stat().st_size
            head = stream.read(SAMPLE)
        except OSError as error:
            raise ConfigError(f"{name} cannot be read: {error.strerror}") from None
        if "\0" in head or head.startswith("\x1f"):
            raise ConfigError(
                f"{name} is no text file",
                hint="Unpack it first. Dumps in pg_dump's own formats hold no statements: give a plain one.",
            )
        if not head.strip():
            raise ConfigError(f"{name} is empty")
        yield Source(name, _guess(head) if form is Form.AUTO else form, size, stream, head)


def _lines_of(text: str) -> list[str]:
    """The lines of a text with their ends; unlike splitlines(), at newlines only."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _guess(head: str) -> Form:
    """The form of a file that begins so."""
    first = head.lstrip("\ufeff").split("\n", 1)[0].strip()
    if first.startswith("{") and '"message"' in first:
        return Form.JSONLOG
    if "query" in [name.strip('" ').lower() for name in first.split(",")]:
        return Form.CSV
    lines = _lines_of(head)
    try:
        row = next(csv.reader(lines), [])
    except csv.Error:
        row = []
    if len(row) >= CSV_WIDTH - 1 and re.fullmatch(_SEVERITIES, row[CSV_SEVERITY]):
        return Form.CSVLOG
    if any(_SURE_LOG_LINE.match(line) for line in lines):
        return Form.LOG
    filled = [line for line in lines if line.strip()]
    has_one_on_each = all(_BEGINNING.match(line) for line in filled[:MAX_LINES_GUESSED])
    if len(filled) > 1 and has_one_on_each and len(list(islice(split(lines), 2))) == 1:
        return Form.LINES  # no semicolon anywhere
    return Form.SQL


def _of_message(message: str, line: int) -> Iterator[Found]:
    """The statement in a log message, if it is one that tells of a statement."""
    found = _MESSAGE.match(message)
    if found is not None:
        yield Found(found[1].strip(), line)


def _log(pieces: Iterable[str]) -> Iterator[Found]:
    """Lines of stderr logs. What belongs to the line before begins with a tab."""
    message: list[str] = []
    length = began = number = 0
    is_line_begun = False
    for piece in pieces:
        number += not is_line_begun
        is_cut, is_line_begun = is_line_begun, not piece.endswith("\n")
        if is_cut or piece.startswith("\t"):
            length += len(piece)
            if message and length <= MAX_STATEMENT:
                message.append(piece if is_cut else piece[1:])
            continue
        head = _LOG_LINE.match(piece)
        if head is not None:
            yield from _of_lines(message, length, began)
            message, length, began = ([head[2]] if head[1] == "LOG" else []), len(head[2]), number
    yield from _of_lines(message, length, began)


def _of_lines(message: list[str], length: int, line: int) -> Iterator[Found]:
    text = "".join(message)
    if length <= MAX_STATEMENT:
        yield from _of_message(text, line)
    elif _MESSAGE.match(text):
        yield Found("", line, is_too_long=True)


def _rows(pieces: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """CSV rows with the line they begin on."""
    csv.field_size_limit(16 * MAX_STATEMENT)
    reader = csv.reader(pieces)
    began = 1
    for row in reader:
        yield began, row
        began = reader.line_num + 1


def _csvlog(pieces: Iterable[str]) -> Iterator[Found]:
    for line, row in _rows(pieces):
        if len(row) > CSV_MESSAGE and row[CSV_SEVERITY] == "LOG":
            yield from _limited(_of_message(row[CSV_MESSAGE], line))


def _jsonlog(pieces: Iterable[str]) -> Iterator[Found]:
    for line, piece in enumerate(pieces, 1):
        try:
            entry = json.loads(piece)
        except (ValueError, RecursionError):
            continue  # cut short, longer than a piece, or no entry at all
        if isinstance(entry, dict) and entry.get("error_severity") == "LOG":
            yield from _limited(_of_message(str(entry.get("message", "")), line))


def _csv(pieces: Iterable[str]) -> Iterator[Found]:
    """A table with a column `query`, and perhaps one `calls`."""
    rows = _rows(pieces)
    names = [name.strip().lstrip("\ufeff").lower() for name in next(rows, (1, [""]))[1]]
    if "query" not in names:
        raise ConfigError("the CSV file has no column query", hint="Its first line must name the columns.")
    query, calls = names.index("query"), names.index("calls") if "calls" in names else None
    for line, row in rows:
        if len(row) == len(names) and row[query].strip() and row[query] != "<insufficient privilege>":
            count = int(row[calls]) if calls is not None and row[calls].isdecimal() else 1
            yield from _limited([Found(row[query].strip(), line, count)])


def _lines(pieces: Iterable[str]) -> Iterator[Found]:
    for line, piece in enumerate(pieces, 1):
        if piece.strip():
            yield from _limited([Found(piece.strip(), line)])


def _limited(found: Iterable[Found]) -> Iterator[Found]:
    for one in found:
        yield one if len(one.text) < MAX_STATEMENT else Found("", one.line, one.count, is_too_long=True)
