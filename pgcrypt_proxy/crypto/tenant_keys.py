"""The keys of tenants in memory: few of many, loaded when they are asked for, each for its own time.

One for all keyrings that follow each other. Whoever loads keys (`ops.tenant_keys`)
puts them here; whoever needs one that is not here is told by KeyNotLoaded what to load.
Not for several threads at once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pgcrypt_proxy.crypto.deks import Dek
from pgcrypt_proxy.errors import KeyNotLoaded, KeyUnavailable, PgcryptError

#: Unwrapped keys of tenants at once; what was not used for longest goes first.
MAX_KEYS = 4096
#: What is known of keys that cannot be had, as many as that.
MAX_NOTES = 16_384
#: For how long it is believed that there is no such key.
ABSENT_S = 5.0


T = TypeVar("T")


@dataclass(slots=True)
class _Kept:
    dek: Dek
    expires_at: float
    is_used: bool = True


class TenantKeys:
    """By key id, and the active ones by (data class, tenant)."""

    def __init__(
        self, *, ttl_s: float = 300.0, clock: Callable[[], float] = time.monotonic, max_keys: int = MAX_KEYS
    ) -> None:
        self.ttl_s = ttl_s
        self._clock = clock
        self.max_keys = max_keys
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._active: dict[tuple[str, str], int] = {}
        self._destroyed: OrderedDict[int, str] = OrderedDict()
        self._absent: OrderedDict[int, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    # -- use

    def opening(self, key_id: int) -> Dek | None:
        """The key of that id; None when there is no such key of a tenant.

        Raises KeyNotLoaded, and KeyUnavailable when it was destroyed.
        """
        kept = self._current(key_id)
        if kept is not None:
            return kept.dek
        if key_id in self._destroyed:
            raise destroyed(key_id)
        noted = self._absent.get(key_id)
        if noted is not None and self._clock() < noted:
            return None
        raise KeyNotLoaded(key_ids=(key_id,))

    def sealing(self, data_class: str, tenant: str, count: int = 1) -> Dek:
        """The active key, with `count` seals left and its lease not over. Raises KeyNotLoaded."""
        key_id = self._active.get((data_class, tenant))
        kept = self._current(key_id) if key_id is not None else None
        if kept is None or kept.dek.granted < count or self._clock() >= kept.dek.seal_until:
            raise KeyNotLoaded(seals={(data_class, tenant): count})
        return kept.dek

    def active_id(self, data_class: str, tenant: str) -> int | None:
        """The active key's id, if it is here."""
        return self._active.get((data_class, tenant))

    def is_active(self, key_id: int) -> bool:
        """Whether that key may seal now, as far as its lease tells."""
        kept = self._current(key_id)
        if kept is None or self._clock() >= kept.dek.seal_until:
            return False
        return self._active.get((kept.dek.record.data_class, kept.dek.record.tenant)) == key_id

    def missing(self, seals: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        """Those of `seals` that cannot be made with what is here."""
        found = {}
        for (data_class, tenant), count in seals.items():
            try:
                self.sealing(data_class, tenant, count)
            except KeyNotLoaded:
                found[data_class, tenant] = count
        return found

    def is_known(self, key_id: int) -> bool:
        """Whether the key is here, or it is known that it cannot be."""
        try:
            self.opening(key_id)
        except KeyNotLoaded:
            return False
        except KeyUnavailable:
            return True
        return True

    def _current(self, key_id: int) -> _Kept | None:
        kept = self._kept.get(key_id)
        if kept is None:
            return None
        if self._clock() >= kept.expires_at:
            self.drop((key_id,))
            return None
        self._kept.move_to_end(key_id)
        kept.is_used = True
        return kept

    # -- loading

    def put(self, dek: Dek, asked_at: float) -> None:
        """A key that was unwrapped; its time runs from `asked_at`. What an older copy was granted stays granted."""
        record = dek.record
        older = self._kept.pop(record.id, None)
        if older is not None:
            dek.granted += older.dek.granted
            dek.seal_until = max(dek.seal_until, older.dek.seal_until)
            older.dek.close()
        self._kept[record.id] = _Kept(dek, asked_at + self.ttl_s)
        self._absent.pop(record.id, None)
        named = record.data_class, record.tenant
        if record.state == "active":
            self._active[named] = record.id
        elif self._active.get(named) == record.id:
            del self._active[named]
        while len(self._kept) > self.max_keys:
            self.drop((next(iter(self._kept)),))

    def note_destroyed(self, key_id: int, tenant: str) -> None:
        self.drop((key_id,))
        _note(self._destroyed, key_id, tenant)

    def note_absent(self, key_id: int) -> None:
        _note(self._absent, key_id, self._clock() + ABSENT_S)

    def drop(self, key_ids: Iterable[int]) -> None:
        """Forget these keys."""
        for key_id in tuple(key_ids):
            kept = self._kept.pop(key_id, None)
            if kept is None:
                continue
            named = kept.dek.record.data_class, kept.dek.record.tenant
            if self._active.get(named) == key_id:
                del self._active[named]
            kept.dek.close()

    def clear(self) -> None:
        self.drop(self._kept)
        self._absent.clear()

    # -- upkeep

    @property
    def key_ids(self) -> tuple[int, ...]:
        return tuple(self._kept)

    def confirm(self, states: Mapping[int, str], asked: Collection[int], until: float) -> None:
        """What the database says of the keys in `asked`: active ones may seal `until` then, destroyed ones go."""
        for key_id in asked:
            kept = self._kept.get(key_id)
            state = states.get(key_id)
            if kept is None:
                continue
            if state == "active" == kept.dek.record.state:
                kept.dek.seal_until = until
            elif state == "destroyed":
                self.note_destroyed(key_id, kept.dek.record.tenant)
            elif state is None or kept.dek.record.state != state:
                self.drop((key_id,))  # rotated: it is loaded anew when it is needed

    def due(self, spare_s: float) -> tuple[int, ...]:
        """The keys that were used in their time, of which less than `spare_s` is left. Each is said once."""
        now, found = self._clock(), []
        for key_id, kept in self._kept.items():
            if kept.is_used and kept.expires_at - now < spare_s:
                kept.is_used = False
                found.append(key_id)
        return tuple(found)


def destroyed(key_id: int) -> PgcryptError:
    """What is said of a value whose key is gone for good."""
    return KeyUnavailable(
        f"the key of a stored value, key {key_id}, was destroyed", hint="The value cannot be opened any more."
    )


def _note(notes: OrderedDict[int, T], key_id: int, value: T) -> None:
    notes[key_id] = value
    notes.move_to_end(key_id)
    while len(notes) > MAX_NOTES:
        notes.popitem(last=False)
