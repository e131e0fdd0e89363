"""Leaving tests out with --thin, in every process of pytest-xdist, so that pytest's closing line counts them."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest


def leave_out(config: pytest.Config, items: list[pytest.Item], left_out: Iterable[pytest.Item]) -> None:
    """Take these out of `items`, as deselected."""
    gone = set(left_out)
    items[:] = [item for item in items if item not in gone]
    config.hook.pytest_deselected(items=list(gone))
    if hasattr(config, "workeroutput"):
        config.workeroutput.setdefault("left_out", []).extend(item.nodeid for item in gone)


def count_for(node: Any) -> None:
    """What the first worker left out, in the process that counts. All workers leave out the same."""
    left_out = getattr(node, "workeroutput", {}).get("left_out")
    if left_out and node.gateway.id == "gw0":
        node.config.hook.pytest_deselected(items=[SimpleNamespace(nodeid=nodeid) for nodeid in left_out])
