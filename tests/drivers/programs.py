"""Drivers of other languages: a program of each language is run, and answers a line of JSON for each type and table.

It gets the form as its argument, the connection in libpq's environment variables, and on standard input a line for
each type: column, type, first and last id, with tabs between.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.drivers.answers import Answer, parsed
from tests.drivers.kinds import Kind
from tests.helpers.proxies import ProtectedDatabase

FOLDER = Path(__file__).parent
JDBC = Path("/usr/share/java/postgresql.jar")


class DriverMissing(Exception):
    """Something is not installed; the text says what, and how it is."""


def node(db: ProtectedDatabase, kinds: list[Kind], form: str) -> Iterable[Answer]:
    if shutil.which("node") is None:
        raise DriverMissing("there is no node: apt-get install nodejs npm")
    if not (FOLDER / "node/node_modules/pg").is_dir():
        raise DriverMissing("node-postgres is not installed: npm ci --prefix tests/drivers/node")
    return _ask(db, kinds, ["node", str(FOLDER / "node/roundtrip.js"), form])


def java(db: ProtectedDatabase, kinds: list[Kind], form: str) -> Iterable[Answer]:
    if shutil.which("javac") is None:
        raise DriverMissing("there is no Java compiler: apt-get install default-jdk-headless")
    if not JDBC.exists():
        raise DriverMissing(f"there is no {JDBC}: apt-get install libpostgresql-jdbc-java")
    options = ["-Xmx256m", "-Duser.timezone=UTC", "-cp", str(JDBC)]
    return _ask(db, kinds, ["java", *options, str(FOLDER / "java/RoundTrip.java"), form])


def php(db: ProtectedDatabase, kinds: list[Kind], form: str) -> Iterable[Answer]:
    if shutil.which("php") is None or "pdo_pgsql" not in _output(["php", "-m"]):
        raise DriverMissing("there is no PHP with pdo_pgsql: apt-get install php-cli php-pgsql")
    return _ask(db, kinds, ["php", str(FOLDER / "php/roundtrip.php"), form])


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _ask(db: ProtectedDatabase, kinds: list[Kind], command: list[str]) -> Iterable[Answer]:
    lines = "".join(f"{kind.column}\t{kind.type}\t{kind.first}\t{kind.last}\n" for kind in kinds)
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(db.running.port), "PGDATABASE": db.name, "PGUSER": "postgres"}
    done = subprocess.run(
        command, input=lines, env={**os.environ, **where, "TZ": "UTC"}, capture_output=True, text=True, timeout=90
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} failed: {done.stderr}")
    return [parsed(line) for line in done.stdout.splitlines()]
