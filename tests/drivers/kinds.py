"""The types of the drivers' table, the values that drivers move, and the three tables that they move them between.

Values are such that every driver's native type holds them exactly: no microseconds, since JavaScript's Date has
none, no months in intervals, since Python's timedelta has none, and no masks in inet, which some take for networks.
"""

from __future__ import annotations

from dataclasses import dataclass

#: type: values in text form
_SCALARS: dict[str, tuple[str, ...]] = {
    "text": ("", "é€😀'\\\" NULL", "{a,b}"),
    "varchar(20)": ("abc", "x" * 20),
    "char(5)": ("ab", "äöü"),
    "name": ("ada", "x" * 63),
    "ext.citext": ("Ada", "ADA"),
    "smallint": ("-32768", "7"),
    "integer": ("2147483647", "-7"),
    "bigint": ("-9223372036854775808", "7"),
    "oid": ("0", "4294967295"),
    "real": ("1.5", "-0.1", "16777216"),
    "double precision": ("0.1", "-1e+300", "5e-324"),
    "numeric(10,2)": ("1.50", "-99999999.99", "0.00"),
    "boolean": ("true", "false"),
    "date": ("2024-02-29", "1999-12-31"),
    "time": ("12:34:56.789", "00:00:00"),
    "timetz": ("12:34:56.789+02", "00:00:00+00"),
    "timestamp": ("2024-02-29 12:34:56.789", "1999-12-31 23:59:59"),
    "timestamptz": ("2024-02-29 12:34:56.789+00", "1999-12-31 23:59:59+00"),
    "interval": ("3 days 04:05:06.789", "00:00:01", "-2 days"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "json": ('{"b": [1, null]}', "[1, 2]", '"text"'),
    "jsonb": ('{"b": [1, null], "é": ""}', "[1, 2]", '"text"'),
    "bytea": ("\\x", "\\x0001ff27", "\\x5c78"),
    "inet": ("10.1.2.3", "::1"),
    "cidr": ("10.0.0.0/8", "::/0"),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "bit(4)": ("1010", "0000"),
    "bit varying(8)": ("1010", ""),
    "public.mood": ("sad", "ok, fine"),
    "public.short": ("ab", "abc"),
    "ext.vector(3)": ("[1,2,3]", "[0.1,-2,0]"),
}
#: What the page calls the types whose names are the schema's own.
_TITLES = {
    "ext.citext": "citext",
    "ext.vector(3)": "vector(3)",
    "public.mood": "an enum",
    "public.short": "a domain over varchar(3)",
}
SCHEMA = """
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
{vector}
CREATE TYPE mood AS ENUM ('sad', 'ok, fine');
CREATE DOMAIN short AS varchar(3);
CREATE TABLE seed (id int PRIMARY KEY, {columns});
CREATE TABLE plain (LIKE seed INCLUDING ALL);
CREATE TABLE sealed (LIKE seed INCLUDING ALL);
"""
CREATE_VECTOR = "CREATE EXTENSION vector SCHEMA ext;"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type: a column of each of the tables, and its rows in `seed`, from id `first` on; the last is NULL."""

    type: str
    column: str
    first: int
    values: tuple[str, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.values)

    @property
    def is_array(self) -> bool:
        return self.type.endswith("[]")

    @property
    def title(self) -> str:
        element = self.type.removesuffix("[]")
        title = _TITLES.get(element, element)
        return f"{title.removeprefix('an ').removeprefix('a ')}[]" if self.is_array else title

    @property
    def needs_vector(self) -> bool:
        return self.type.startswith("ext.vector")


def _array(values: tuple[str, ...]) -> str:
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join([*quoted, "NULL"]) + "}"


def _kinds() -> list[Kind]:
    arrays = {f"{element}[]": (_array(values),) for element, values in _SCALARS.items()}
    return [
        Kind(type_, f"c{number:02}", number * 10, values)
        for number, (type_, values) in enumerate((_SCALARS | arrays).items(), 1)
    ]


KINDS = _kinds()


def schema(kinds: list[Kind]) -> str:
    """The DDL of the three tables, and the rows of `seed`."""
    columns = ", ".join(f"{kind.column} {kind.type}" for kind in kinds)
    vector = CREATE_VECTOR if any(kind.needs_vector for kind in kinds) else ""
    rows = []
    for kind in kinds:
        for number, value in enumerate((*kind.values, None)):
            literal = "NULL" if value is None else "'" + value.replace("'", "''") + "'"
            rows.append(f"INSERT INTO seed (id, {kind.column}) VALUES ({kind.first + number}, {literal});")
    return SCHEMA.format(vector=vector, columns=columns) + "\n".join(rows)


def rules(kinds: list[Kind]) -> str:
    """A rule for every column of `sealed`."""
    return "\n".join(f"{{table: sealed, column: {kind.column}, type: '{kind.type}'}}" for kind in kinds)
