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


@dataclass(slots=True)
class Dek:
    """An unwrapped data key: `granted` are the seals that it may still make."""

    record: KeyRecord
    cipher: AESGCM = field(repr=False)
    native: Any = field(repr=False)  # fast.native.Cipher of the same key, where it was built
    granted: int = 0
    #: for tools without an end: they hold a lock that keeps the key active (keyring_store.hold_active_keys)
    seal_until: float = float("inf")

    @classmethod
    def of(cls, record: KeyRecord, material: bytes | bytearray) -> Dek:
        native = None if fast.native is None else fast.native.Cipher(bytes(material))
        return cls(record, AESGCM(material), native)

    def close(self) -> None:
        """Forget the key, as far as Python lets us."""
        if self.native is not None:
            self.native.close()
