"""Every driver in every form that it has, and one whole run of it: what it says, and what the database then holds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from tests.drivers import programs, python_drivers
from tests.drivers.answers import Answer
from tests.drivers.kinds import KINDS, Kind, rules, schema
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

Ask = Callable[[ProtectedDatabase, list[Kind]], Iterable[Answer]]

#: title of the driver: title of the form: how it is asked
FORMS: dict[str, dict[str, Ask]] = {
    "psycopg 3": {
        "text": partial(python_drivers.psycopg3, binary=False),
        "binary": partial(python_drivers.psycopg3, binary=True),
    },
    "psycopg2": {"literals": python_drivers.psycopg2_},
    "asyncpg": {"binary": python_drivers.asyncpg_},
    "pg8000": {"text": python_drivers.pg8000_},
    "node-postgres": {"text": partial(programs.node, form="text"), "binary": partial(programs.node, form="binary")},
    "JDBC": {
        "text": partial(programs.java, form="text"),
        "binary": partial(programs.java, form="binary"),
        "literals": partial(programs.java, form="simple"),
    },
    "PHP PDO": {"text": partial(programs.php, form="prepared"), "literals": partial(programs.php, form="emulated")},
}
NAMES = [f"{driver}, {form}" for driver, forms in FORMS.items() for form in forms]


@dataclass(frozen=True, slots=True)
class Told:
    """What one form made of one type.

    `stored` has for each row: the text in `seed`, in `plain`, what `sealed` shows through the proxy, and what the
    database has for it.
    """

    plain: Answer
    sealed: Answer
    stored: tuple[tuple[str | None, str | None, str | None, bytes | None], ...]

    @property
    def cell(self) -> str:
        """What the page says of it: the language's type, or that the driver cannot do it."""
        return self.plain.native or "–"

    def problem(self) -> str | None:
        """What is wrong, if anything is. What a driver cannot do with a plain column either is not."""
        if self.plain.error and self.sealed.error:
            return None
        if self.plain.error or self.sealed.error:
            return f"plain: {self.plain.error or 'ok'}; sealed: {self.sealed.error or 'ok'}"
        for what in ("native", "values", "declared", "parameter"):
            plain, sealed = getattr(self.plain, what), getattr(self.sealed, what)
            if plain != sealed:
                return f"{what}: {plain} in the plain column, {sealed} in the protected one"
        for seed, in_plain, shown, held in self.stored:
            if without_spaces(seed) != without_spaces(in_plain) or in_plain != shown:
                return f"{seed!r} is {in_plain!r} in the plain column, {shown!r} in the protected one"
            if (held is None) != (seed is None) or (held is not None and not is_envelope(held)):
                return "the database holds no envelope"
        return None if self.stored else "nothing is stored"


@contextlib.contextmanager
def database(server: PostgresServer, folder: Path) -> Iterator[tuple[ProtectedDatabase, list[Kind]]]:
    """A database with the three tables, `sealed` protected, behind a proxy; and the types that this server has."""
    with server.connect() as connection:
        query = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')"
        (has_vector,) = connection.execute(query).fetchone() or (False,)
    kinds = [kind for kind in KINDS if has_vector or not kind.needs_vector]
    with protected(server, folder, schema(kinds), rules(kinds)) as made:
        yield made, kinds


def without_spaces(text: str | None) -> str | None:
    """Languages write JSON with different spaces."""
    return None if text is None else text.replace(" ", "")


def is_envelope(held: bytes) -> bool:
    """Whether the bytes look like an envelope without index terms."""
    return held[:2] == b"\x01\x00" and len(held) >= 34


def run(name: str, db: ProtectedDatabase, kinds: list[Kind]) -> dict[str, Told]:
    """By the type, what the form `name` made of it. Raises DriverMissing."""
    driver, form = name.split(", ")
    with db.direct() as direct:
        direct.execute("TRUNCATE plain, sealed")
    said: dict[tuple[str, str], Answer] = {}
    for answer in FORMS[driver][form](db, kinds):
        said[answer.column, answer.table] = answer
    return {
        kind.type: Told(said[kind.column, "plain"], said[kind.column, "sealed"], _stored(db, kind)) for kind in kinds
    }


def _stored(db: ProtectedDatabase, kind: Kind) -> tuple[tuple[str | None, str | None, str | None, bytes | None], ...]:
    where = f" WHERE id BETWEEN {kind.first} AND {kind.last} ORDER BY id"
    with db.direct() as direct, db.connect() as through:
        seed = _texts(direct, f"SELECT {kind.column} FROM seed{where}")
        plain = _texts(direct, f"SELECT {kind.column} FROM plain{where}")
        shown = _texts(through, f"SELECT {kind.column} FROM sealed{where}")
        held = [row[0] for row in direct.execute(f"SELECT {kind.column}::bytea FROM sealed{where}".encode())]
    if not len(seed) == len(plain) == len(shown) == len(held):
        return ()
    return tuple(zip(seed, plain, shown, held, strict=True))


def _texts(connection: psycopg.Connection, query: str) -> list[str | None]:
    result = connection.execute(query.encode()).pgresult
    assert result is not None
    values = [result.get_value(row, 0) for row in range(result.ntuples)]
    return [None if value is None else value.decode() for value in values]
