"""The order in which a table's columns are shown, where one that took another's place stands last (ADR 0013)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pgcrypt_proxy.sql.catalog import Column, ShownAfter


def shown(names: Sequence[str], entries: Mapping[str, str]) -> list[str] | None:
    """`names`, in attribute order, as they are shown: each of `entries` behind its value, or first if that is "".

    None when that cannot be told: an entry speaks of a column that is not there, or they go round in a circle.
    """
    if not entries.keys() <= set(names):
        return None
    placed = [name for name in names if name not in entries]
    waiting = [name for name in names if name in entries]
    while waiting:
        ready = [name for name in waiting if entries[name] == "" or entries[name] in placed]
        if not ready:
            return None
        for name in ready:
            placed.insert(placed.index(entries[name]) + 1 if entries[name] else 0, name)
        waiting = [name for name in waiting if name not in ready]
    return placed


def arranged(columns: Iterable[Column], entries: ShownAfter) -> tuple[tuple[Column, ...], bool]:
    """`columns` as they are shown, and whether that order is not known; then they are in attribute order."""
    by_number = sorted(columns, key=lambda column: column.attribute_number)
    if not entries:
        return tuple(by_number), False
    by_name = {column.name: column for column in by_number}
    order = shown(list(by_name), dict(entries))
    return tuple(by_name[name] for name in order or by_name), order is None
