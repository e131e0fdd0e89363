"""docs/sql.md: the shapes and their outcomes for people, generated, so that it claims nothing that no test shows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tests.conformance.shapes import Expected, Filling, Kind, Shape, Variant, filled, prose, read
from tests.helpers.twin_schema import COLUMNS, SCHEMA
from tests.helpers.twins import Form

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"

INTRODUCTION = """\
# SQL: what is answered and what is refused

This page is generated from the conformance corpus in [tests/conformance/shapes](../tests/conformance/shapes). Every
statement on it is run by the tests against two databases with the same rows: one is sealed and reached through the
proxy, its twin has ordinary columns and no proxy. {shapes} statements, each with its values as literals, as text
parameters and as binary parameters, by the simple protocol, the extended protocol and as prepared statements: {cases}
cases.

**Supported** means that rows, column names, types and command tags (or the error) are those of the ordinary database,
that afterwards every stored value is an envelope which opens to the twin's value, and that none contains plaintext.
**Refused** means that the proxy gave the error that is shown, that nothing has changed, and that the connection works
on. There is no third outcome: a different answer, ciphertext in a result, or plaintext on the server fails the tests.

What is refused is refused because the server would have to see plaintext to do it, or because the proxy does not
understand the statement well enough to be sure. Something that is not on this page is refused or supported by the same
rules; `pgcrypt-proxy explain "SELECT ..."` says which.

`$1`, `$2` mark where a literal, a text parameter or a binary parameter may stand, and was tried.

## The tables

Protected columns: `users.email`, `users.nick` and `orders.contact` (text, searchable, of one index domain; `email` also
without regard to case), `users.ssn` (varchar, not searchable), `users.born` (date, searchable) and `orders.total`
(numeric, searchable). All others are plain, those of `contacts` and `other.users` with a column called `email` too.

"""


def page(shapes: list[Shape] | None = None) -> str:
    """The whole page. `shapes` are all of the corpus."""
    shapes = read() if shapes is None else shapes
    cases = sum(len(list(shape.variants())) for shape in shapes)
    parts = [INTRODUCTION.format(shapes=len(shapes), cases=cases), _tables(), _overview(shapes)]
    for path, of_file in groupby(shapes, lambda shape: shape.path):
        parts.append(_of_file(path, list(of_file)))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _tables() -> str:
    return f"```sql\n{SCHEMA.strip()}\n```\n\n```yaml\ncolumns:\n{_indented(COLUMNS)}\n```\n"


def _indented(columns: str) -> str:
    return "\n".join(f"  - {line}" for line in columns.strip().splitlines())


def _overview(shapes: list[Shape]) -> str:
    lines = ["## Overview", "", "| | supported | in part | refused |", "|---|---|---|---|"]
    for title, of_title in groupby(shapes, lambda shape: shape.title):
        members = list(of_title)
        counts = [sum(_standing(shape) == what for shape in members) for what in ("supported", "in part", "refused")]
        lines.append(f"| [{title}](#{_anchor(title)}) | {counts[0]} | {counts[1]} | {counts[2]} |")
    return "\n".join(lines) + "\n"


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")


def _standing(shape: Shape) -> str:
    kinds = {expected.kind is Kind.REFUSED for expected in _outcomes(shape)}
    if len(kinds) == 2:
        return "in part"
    return "refused" if True in kinds else "supported"


def _outcomes(shape: Shape) -> list[Expected]:
    found = [shape.expected_of(variant) for variant in shape.variants()]
    return [expected for expected in found if expected is not None]


def _of_file(path: Path, shapes: list[Shape]) -> str:
    about = prose(path)
    lines = [f"## {shapes[0].title}", "", *_paragraph(about.get("", []))]
    for heading, of_heading in groupby(shapes, lambda shape: shape.heading):
        members = list(of_heading)
        lines += [f"### {heading}", "", *_paragraph(about.get(heading, []))]
        for standing, words in (("supported", "Supported"), ("in part", "Supported in part"), ("refused", "Refused")):
            chosen = [shape for shape in members if _standing(shape) == standing]
            if chosen:
                lines += [f"{words}:", "", "```sql", *_listed(chosen), "```", ""]
    return "\n".join(lines)


def _paragraph(lines: list[str]) -> list[str]:
    return [*lines, ""] if lines else []


def _listed(shapes: Iterable[Shape]) -> Iterable[str]:
    for shape in shapes:
        text = _readable(shape)
        yield text if text.endswith(";") else f"{text};"
        if shape.min_version:
            yield f"-- PostgreSQL {shape.min_version} and newer"
        yield from (f"-- {line}" for line in _outcome_lines(shape))


def _readable(shape: Shape) -> str:
    if not shape.holes:
        return shape.text
    return ";\n".join(filled(step, Variant(Filling.TEXT, Form.EXTENDED))[0] for step in shape.steps)


def _outcome_lines(shape: Shape) -> Iterable[str]:
    """What is to be said besides that it is supported."""
    for expected in shape.expected:
        where = f"{' '.join(expected.selector)}: " if expected.selector else ""
        if expected.kind is Kind.REFUSED:
            yield f"{where}{expected.words}"
        elif expected.kind is Kind.ERROR:
            yield f"{where}the server's own error, {expected.words}"
        elif len(shape.expected) > 1:
            yield f"{where}supported"
