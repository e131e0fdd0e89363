"""A file of the statements that an application sends, each once and without its values, for `learn`.

Written as they come, so that nothing is lost when the proxy ends, and read at
start, so that the next run goes on. What was recorded already costs a lookup.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.server import log
from pgcrypt_proxy.sql.bare_text import without_values

HEADER = "query\n"
MAX_STATEMENTS = 20_000
#: Raw texts that are known to be in the file: such as drivers send again and again.
MAX_TEXTS = 10_000
MAX_LENGTH = 100_000


class StatementRecorder:
    """Appends to a CSV file with the one column `query`, mode 0600. Raises ConfigError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._texts: set[str] = set()
        self._known: set[str] = set()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with path.open(encoding="utf-8", newline="") as file:
                self._known.update(row[0] for row in csv.reader(file) if row)
            if not self._known:
                os.write(self._file, HEADER.encode())
        except (OSError, UnicodeError, csv.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no CSV file"
            raise ConfigError(f"statements cannot be recorded in {path}: {reason}") from None

    def add(self, sql: str) -> None:
        """Record a statement's text, unless one that differs in values only is there already."""
        if sql in self._texts or len(sql) > MAX_LENGTH or len(self._known) > MAX_STATEMENTS:
            return
        if len(self._texts) >= MAX_TEXTS:
            self._texts.clear()
        self._texts.add(sql)
        query = without_values(sql)
        if query is None or query in self._known:
            return
        self._known.add(query)
        line = io.StringIO()
        csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow([query])
        try:
            os.write(self._file, line.getvalue().encode("utf-8", "replace"))
        except OSError as error:
            log.failure("a statement was not recorded", error)
        if len(self._known) > MAX_STATEMENTS:
            log.get().warning("no more statements are recorded", count=MAX_STATEMENTS)

    def close(self) -> None:
        os.close(self._file)
