"""The corpus as text: shapes of statements with named holes, and what is expected of each (shapes/*.sql).

A file begins with its title (`-- # Title`); groups of shapes have a heading
(`-- ## Heading`) and maybe prose (`-- ...`). A shape is a statement over one or
more lines and the `-->` lines below it. A line's closing `;` ends a step: the
steps of a shape are sent one after the other on one connection.

A hole `{name:literal}` becomes the literal, or a parameter whose type the
name gives; `{name}` is the same one again. Expectations:

    --> same                    what a plain database answers
    --> error 23505             and it answers with this error
    --> refused: words          the proxy refuses, and says these words
    --> parameters refused: w   for some variants only: literal, text, binary, parameters, simple, extended, prepared

The last line that fits a variant is in force. `-- PostgreSQL 17` above a shape
says from which version on it can be asked at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.helpers.twins import Form, Value

FOLDER = Path(__file__).parent / "shapes"

#: hole name without its closing digits: (type OID, what an array's or odd literal's type is called)
HOLE_TYPES = {
    "email": 25, "contact": 25, "nick": 25, "text": 25, "name": 25, "note": 25, "label": 25,
    "ssn": 1043, "born": 1082, "total": 1700, "price": 1700, "id": 20, "n": 23, "flag": 16,
    "emails": 1009, "texts": 1009, "borns": 1182, "totals": 1231, "ids": 1016,
}  # fmt: skip

_HOLE = re.compile(r"\{([a-z]+\d*)(?::((?:'(?:[^']|'')*'|[^'{}])*))?\}")
_VERSION = re.compile(r"-- PostgreSQL (\d+)$")
_EXPECTED = re.compile(
    r"--> (?:((?:(?:literal|text|binary|parameters|simple|extended|prepared) )+))?"
    r"(?:(same)|error ([0-9A-Z]{5})|refused: (.+))$"
)


class Filling(Enum):
    """What a hole becomes."""

    LITERAL = "literal"
    TEXT = "text"
    BINARY = "binary"


class Kind(Enum):
    """What the answer is, compared with a plain database's."""

    SAME = "same"
    ERROR = "error"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to send a shape."""

    filling: Filling
    form: Form

    @property
    def words(self) -> frozenset[str]:
        """Every word in an expectation's selector that fits."""
        parameters = {"parameters"} if self.filling is not Filling.LITERAL else set()
        return frozenset({self.filling.value, self.form.value} | parameters)

    def __str__(self) -> str:
        return f"{self.filling.value}-{self.form.value}"


@dataclass(frozen=True, slots=True)
class Expected:
    """An expectation; `words` are a SQLSTATE, or words of the refusal's message."""

    kind: Kind
    words: str = ""
    selector: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = "--> " + "".join(f"{word} " for word in self.selector)
        match self.kind:
            case Kind.SAME:
                return f"{head}same"
            case Kind.ERROR:
                return f"{head}error {self.words}"
            case Kind.REFUSED:
                return f"{head}refused: {self.words}"


@dataclass(slots=True)
class Shape:
    """A statement with holes, or several as steps. `line` is where its first line is, from 1."""

    path: Path
    line: int
    title: str
    heading: str
    text: str
    expected: list[Expected] = field(default_factory=list)
    min_version: int = 0

    @property
    def steps(self) -> list[str]:
        """What is sent at a time, holes and all."""
        return [step.strip() for step in re.split(r";\n", self.text) if step.strip()]

    @property
    def holes(self) -> bool:
        return _HOLE.search(self.text) is not None

    def variants(self) -> Iterator[Variant]:
        """Every way to send it. Steps depend on each other, so they are not executed twice."""
        forms = [Form.SIMPLE, Form.EXTENDED] + [Form.PREPARED] * (len(self.steps) == 1)
        for filling in Filling if self.holes else (Filling.LITERAL,):
            for form in forms:
                if filling is Filling.LITERAL or form is not Form.SIMPLE:
                    yield Variant(filling, form)

    def expected_of(self, variant: Variant) -> Expected | None:
        """The last line that fits; None when there is none."""
        fitting = [e for e in self.expected if variant.words.issuperset(e.selector)]
        return fitting[-1] if fitting else None

    def __str__(self) -> str:
        return f"{self.path.stem}:{self.line}"


def filled(step: str, variant: Variant) -> tuple[str, list[Value]]:
    """A step's text and parameters.

    Declared types: extended binary and prepared text, as drivers do that know
    the type; the others leave it to the server.
    """
    values: list[Value] = []
    numbers: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        name, literal = match[1], match[2]
        if literal is None:
            return numbers[name]
        numbers[name] = literal
        if variant.filling is not Filling.LITERAL:
            values.append(_value(name, literal, variant))
            numbers[name] = f"${len(values)}"
        return numbers[name]

    return _HOLE.sub(fill, step), values


def _value(name: str, literal: str, variant: Variant) -> Value:
    type_oid = HOLE_TYPES[name.rstrip("0123456789")]
    text = None if literal.upper() == "NULL" else literal
    if text is not None and text.startswith("'"):
        text = text[1:-1].replace("''", "'")
    is_binary = variant.filling is Filling.BINARY
    is_declared = is_binary == (variant.form is Form.EXTENDED)
    data = None if text is None else text.encode()
    return Value(data, type_oid if is_declared else 0, is_binary, sent_as=type_oid)


def read(folder: Path = FOLDER) -> list[Shape]:
    """Every shape of every file, in order."""
    return [shape for path in sorted(folder.glob("*.sql")) for shape in read_file(path)]


def read_file(path: Path) -> list[Shape]:
    """The shapes of a file. Raises ValueError where it is not well-formed."""
    title = heading = ""
    version = 0
    shapes: list[Shape] = []
    lines: list[str] = []
    begun = 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}"
        if line.startswith("-->"):
            found = _EXPECTED.match(line)
            if found is None:
                raise ValueError(f"{where}: not understood: {line}")
            selector, same, sqlstate, words = found.groups()
            kind = Kind.SAME if same else Kind.ERROR if sqlstate else Kind.REFUSED
            if lines:
                shapes.append(Shape(path, begun, title, heading, "\n".join(lines), min_version=version))
                lines, version = [], 0
            shapes[-1].expected.append(Expected(kind, sqlstate or words or "", tuple((selector or "").split())))
        elif not line.strip():
            if lines:  # a shape without expectations yet
                shapes.append(Shape(path, begun, title, heading, "\n".join(lines), min_version=version))
                lines, version = [], 0
        elif not lines and line.startswith("-- "):
            if line.startswith("-- # "):
                title = line[5:]
            elif line.startswith("-- ## "):
                heading = line[6:]
            elif found := _VERSION.match(line):
                version = int(found[1])
        else:
            begun = begun if lines else number
            lines.append(line)
    if lines:
        shapes.append(Shape(path, begun, title, heading, "\n".join(lines), min_version=version))
    if not title or not all(shape.heading for shape in shapes):
        raise ValueError(f"{path.name}: a title or heading is missing")
    return shapes


def selected(shapes: Iterable[Shape]) -> Iterator[tuple[Shape, Variant]]:
    """One variant of each shape; all of those that need some version of PostgreSQL.

    Of the shapes of a file that can be sent in the same ways, the first is sent in the first way, the next in the
    second, and so on, so that each way of each file is among them.
    """
    turns: dict[tuple[Path, tuple[Variant, ...]], int] = {}
    for shape in shapes:
        variants = tuple(shape.variants())
        if shape.min_version:
            yield from ((shape, variant) for variant in variants)
            continue
        turn = turns[shape.path, variants] = turns.get((shape.path, variants), -1) + 1
        yield shape, variants[turn % len(variants)]


def rewrite(path: Path, shapes: list[Shape]) -> None:
    """Write the expectations of `shapes`, which are this file's, into it; nothing else of it changes."""
    by_line = {shape.line: shape for shape in shapes}
    out: list[str] = []
    pending: list[str] = []
    for number, line in enumerate([*path.read_text().splitlines(), ""], 1):
        if line.startswith("-->"):
            continue
        if number in by_line:
            pending = [str(e) for e in by_line[number].expected]
        if not line.strip() and pending:
            out += pending
            pending = []
        out.append(line)
    path.write_text("\n".join(out).rstrip("\n") + "\n")


def prose(path: Path) -> dict[str, list[str]]:
    """The comment lines below each heading of a file; those below its title are at ""."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    in_statement = False
    for line in path.read_text().splitlines():
        if line.startswith("-- ## "):
            heading = line[6:]
            found[heading] = []
        elif line.startswith(("-- # ", "-->")) or _VERSION.match(line) or not line.strip():
            in_statement = False
        elif line.startswith("-- ") and not in_statement:
            found[heading].append(line[3:])
        else:
            in_statement = True
    return found
