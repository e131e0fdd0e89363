"""What waits until keys are there."""

from __future__ import annotations

from collections.abc import Iterable


class RowsWait(Exception):
    """Rows cannot be opened before these keys are there; `rest` begins with the first of them."""

    def __init__(self, rest: bytes, key_ids: Iterable[int]) -> None:
        super().__init__()
        self.rest = rest
        self.key_ids = frozenset(key_ids)
