"""One data encryption key: its row in `pgcrypt.keyring`, and the key unwrapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.providers import KekProvider, holder


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A row of `pgcrypt.keyring`. `seals`: how many envelopes may have been sealed with the key so far.

    `provider` and `kek_id` say what wrapped it; an empty `provider` means the present one.
    """

    id: int
    kind: Literal["dek", "index"]
    data_class: str
    tenant: str
    generation: int
    state: Literal["active", "retired", "destroyed"]
    wrapped: bytes | None = field(repr=False)
    kek_id: str
    seals: int = 0
    provider: str = ""


def wrap_context(keyring_id: bytes, kind: str, data_class: str, tenant: str, generation: int) -> dict[str, str]:
    """What a key is bound to when it is wrapped: it unwraps as nothing else."""
    return {
        "keyring": keyring_id.hex(),
        "kind": kind,
        "data_class": data_class,
        "tenant": tenant,
        "generation": str(generation),
    }


def unwrapped(
    keyring_id: bytes, record: KeyRecord, provider: KekProvider, previous: Sequence[KekProvider] = ()
) -> bytes | bytearray:
    """The key of a record that has one. Raises KeyUnavailable."""
    assert record.wrapped is not None
    context = wrap_context(keyring_id, record.kind, record.data_class, record.tenant, record.generation)
    unwrapping = holder((provider, *previous), record.provider or provider.name, record.kek_id)
    return unwrapping.unwrap(record.wrapped, context)


class _Budget:
    """What fast.native.Cipher has as well, to use by itself."""

    def __init__(self) -> None:
        self.granted = 0
        self.seal_until = 0.0


class Dek:
    """An unwrapped data key. `native` is fast.native.Cipher of the same key, where it was built: it seals, too."""

    def __init__(self, record: KeyRecord, cipher: AESGCM, native: Any) -> None:
        self.record = record
        self.cipher = cipher
        self.native = native
        self._budget: Any = _Budget() if native is None else native
        #: for tools without an end: they hold a lock that keeps the key active (keyring_store.hold_active_keys)
        self.seal_until = float("inf")

    @property
    def granted(self) -> int:
        """The seals that it may still make."""
        return int(self._budget.granted)

    @granted.setter
    def granted(self, count: int) -> None:
        self._budget.granted = count

    @property
    def seal_until(self) -> float:
        """When it may seal no more."""
        return float(self._budget.seal_until)

    @seal_until.setter
    def seal_until(self, time: float) -> None:
        self._budget.seal_until = time

    @classmethod
    def of(cls, record: KeyRecord, material: bytes | bytearray) -> Dek:
        native = None if fast.native is None else fast.native.Cipher(bytes(material))
        return cls(record, AESGCM(material), native)

    def close(self) -> None:
        """Forget the key, as far as Python lets us."""
        if self.native is not None:
            self.native.close()
