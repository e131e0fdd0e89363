"""docs/drivers.md: what each driver makes of each type, generated from a run, and read again by the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.drivers.forms import FORMS, NAMES, Told
from tests.drivers.kinds import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "drivers.md"

INTRODUCTION = """\
# Drivers and types

This page is written by the tests in [tests/drivers](../tests/drivers), which ask every driver for every type, and fail
when it is no longer true. Each driver, in each of its forms and for each type, inserts values as parameters through the
proxy into a protected column and into a plain one, NULL among them, and reads both back. What has to hold:

- both columns give equal values of the same native type, which is the one in the table;
- the driver tells of both that they have the same declared type, with its modifier, and so of the parameters where it
  asks for their types;
- in the database the plain column has the very value that was read, and the protected one nothing but envelopes.

*Text* and *binary* are the formats of parameters and results; a driver may choose text for single types in the binary
form (node-postgres: for all parameters). *Literals* means that the driver itself writes parameters into the statement.
**–** means that the driver has no such form of the type, or fails on it with a plain column, too.

"""


def page(told: Mapping[str, Mapping[str, Told]]) -> str:
    """The page of a run: by the form's name, what it made of each type."""
    heads = " | ".join(f"{driver} {form}" for driver, forms in FORMS.items() for form in forms)
    lines = [f"| type | {heads} |", "|---" * (len(NAMES) + 1) + "|"]
    for kind in KINDS:
        cells = " | ".join(told[name][kind.type].cell for name in NAMES)
        lines.append(f"| {kind.title} | {cells} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def cells() -> dict[str, dict[str, str]]:
    """What the page says: by the form's name, the cell of each type. Raises ValueError when it lacks any."""
    text = PAGE.read_text()
    if not text.startswith(INTRODUCTION):
        raise ValueError("the page begins otherwise")
    rows = [line.strip("| \n").split(" | ") for line in text.removeprefix(INTRODUCTION).splitlines()[2:]]
    if [row[0] for row in rows] != [kind.title for kind in KINDS]:
        raise ValueError("the page has other types")
    return {
        name: {kind.type: row[number] for kind, row in zip(KINDS, rows, strict=True)}
        for number, name in enumerate(NAMES, 1)
    }
