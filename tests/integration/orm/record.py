"""Runs an ORM's shapes one by one, each in a transaction of its own, and says what became of them as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable

Shape = Callable[[], object]


def cause(error: BaseException | None) -> tuple[str, str]:
    """SQLSTATE and first line of the driver's error that lies below an ORM's; Python's own for what is none."""
    first = error
    while error is not None:
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate:
            return str(sqlstate), str(error).splitlines()[0]
        error = error.__cause__ or getattr(error, "orig", None)
    return type(first).__name__, str(first)[:500]


def record(shapes: dict[str, Shape], run: Callable[[Shape], object]) -> None:
    """Print {name: "supported" or "SQLSTATE message"} for all shapes."""
    outcomes = {}
    for name, shape in shapes.items():
        try:
            run(shape)
        except Exception as error:
            outcomes[name] = " ".join(cause(error))
        else:
            outcomes[name] = "supported"
    print(json.dumps(outcomes))
