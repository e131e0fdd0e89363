"""What a suite is: whose tests, which of them, and the command that runs them against one place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

DATABASE = "postgres"  # suites connect to it by name, and a proxy serves one database
SECOND_DATABASE = "suites_second"  # for suites that want two: never behind a proxy
USER = "postgres"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suite runs: a server, or a proxy before one. `server_port` is the server's own."""

    name: str
    port: int
    server_port: int
    host: str = "127.0.0.1"

    def environment(self) -> dict[str, str]:
        """This process's, with libpq's variables leading here."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTEST", "COV"))}
        return {
            **kept,
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGDATABASE": DATABASE,
            "PGSSLMODE": "disable",
            "SUITE_SERVER_PORT": str(self.server_port),
            "SUITE_SECOND_DATABASE": SECOND_DATABASE,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One run to be started: `folder` holds the suite's files, results go to `results`, `short` takes a part."""

    place: Place
    folder: Path
    results: Path
    short: bool


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of another project, of the version that is installed here. `about` says which.

    `parts` are the folders and files of its sdist that are needed. `command` is run in the folder they are unpacked
    in, and writes JUnit XML to `results`. `prepare` is SQL for the server, before any proxy starts.
    """

    name: str
    about: str
    distribution: str
    parts: tuple[str, ...]
    command: Callable[[Run], list[str]]
    sha256: Mapping[str, str] = field(default_factory=dict)  # of the sdist, by version
    prepare: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)  # of the server
    environment: Mapping[str, str] = field(default_factory=dict)
