"""A bounded store for what was planned: by number, and by the memory that it may take."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")

#: What an entry takes besides its text: measured, rounded up.
ENTRY_BYTES = 2_048
#: A character of the text takes up to 4 bytes, in the key and again in the plan.
CHARACTER_BYTES = 8


class PlanCache(Generic[V]):
    """The least recently used entry goes first. `hits` and `misses` count `get`."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> V | None:
        found = self._entries.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: V, characters: int) -> None:
        """Keep `value`, whose key and plan hold texts of so many characters."""
        size = ENTRY_BYTES + CHARACTER_BYTES * characters
        if size > self._max_bytes:
            return
        replaced = self._entries.pop(key, None)
        self.bytes += size - (replaced[1] if replaced is not None else 0)
        self._entries[key] = value, size
        while self.bytes > self._max_bytes or len(self._entries) > self._max_entries:
            _, (_, freed) = self._entries.popitem(last=False)
            self.bytes -= freed
