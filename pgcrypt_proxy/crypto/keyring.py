"""The unwrapped keys in memory: seal, open, and index terms.

A keyring is made from the rows of `pgcrypt.keyring` by the KEK's provider, and
is good for five minutes at most; whoever runs it makes a new one ahead of that.
Which key is active may change meanwhile: a proxy seals on a lease of
SEAL_LEASE_S, which `confirm_active` renews after a look into the database, so
that `rotate` knows when nobody can seal under the old key any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidTag

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto import deks as data_keys
from pgcrypt_proxy.crypto import envelope
from pgcrypt_proxy.crypto.deks import Dek, KeyRecord, wrap_context
from pgcrypt_proxy.crypto.envelope import SealContext
from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.nonces import fresh_nonce
from pgcrypt_proxy.crypto.providers import KekProvider
from pgcrypt_proxy.crypto.tenant_keys import TenantKeys, destroyed
from pgcrypt_proxy.crypto.terms import TermMaker
from pgcrypt_proxy.errors import KeyNotLoaded, KeyUnavailable, SealError, WrongTenant

__all__ = ["MAX_SEALS", "SEAL_LEASE_S", "KeyRecord", "Keyring", "SealContext", "wrap_context"]

#: NIST SP 800-38D, 8.3: at most 2^32 encryptions under one key with random 96-bit nonces.
MAX_SEALS = 2**32
DEFAULT_TTL_S = 300.0
#: Head of the envelope before its terms, Cipher, Mac of each term or None, and what else is authenticated.
NativeSeals = tuple[bytes, Any, Any, Any, bytes]
#: How long a proxy may seal under a key that it has last seen active. `rotate dek` waits for it.
SEAL_LEASE_S = 10.0


class Keyring:
    """Seals and opens values of one database. Raises KeyUnavailable for everything once its time is over.

    Has all keys but those of tenants, which come into `tenants` when they are asked for. Not for several threads at
    once.
    """

    def __init__(
        self,
        keyring_id: bytes,
        deks: Mapping[int, Dek],
        terms: Mapping[int, TermMaker],
        destroyed: frozenset[int],
        *,
        clock: Callable[[], float] = time.monotonic,
        ttl_s: float = DEFAULT_TTL_S,
    ) -> None:
        self.keyring_id = keyring_id
        self._deks = dict(deks)
        self._active = {(d.record.data_class, d.record.tenant): d for d in deks.values() if d.record.state == "active"}
        self._terms = dict(terms)
        self._destroyed = destroyed
        self._clock = clock
        self.expires_at = clock() + ttl_s
        self._aads: dict[SealContext, bytes] = {}
        self.tenants = TenantKeys(ttl_s=ttl_s, clock=clock)
        #: Whether keys that are newer than it may be asked for. They may have been made, and used by others, just now.
        self.loads_on_demand = False

    @classmethod
    def unlock(
        cls,
        keyring_id: bytes,
        records: Iterable[KeyRecord],
        provider: KekProvider,
        *,
        previous: Sequence[KekProvider] = (),
        clock: Callable[[], float] = time.monotonic,
        ttl_s: float = DEFAULT_TTL_S,
    ) -> Keyring:
        """Unwrap every key that is not destroyed, nor a tenant's; its time runs from before that.
        Raises KeyUnavailable.

        `previous` are providers that wrapped keys which were not wrapped anew since.
        """
        started = clock()
        if len(keyring_id) != 16:
            raise ValueError("a keyring id has 16 bytes")
        deks: dict[int, Dek] = {}
        terms: dict[int, TermMaker] = {}
        destroyed = set()
        for record in records:
            if record.tenant:
                continue
            if record.state == "destroyed" or record.wrapped is None:
                destroyed.add(record.id)
                continue
            material = data_keys.unwrapped(keyring_id, record, provider, previous)
            if record.kind == "dek":
                deks[record.id] = Dek.of(record, material)
            else:
                terms[record.generation] = TermMaker(SecretKey(material))
        made = cls(keyring_id, deks, terms, frozenset(destroyed), clock=clock, ttl_s=ttl_s)
        made.expires_at = started + ttl_s
        return made

    # -- time, lease and budget

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self._clock() >= self.expires_at

    @property
    def is_by_monotonic_clock(self) -> bool:
        """Whether `expires_at` is a time of CLOCK_MONOTONIC, which compiled code reads by itself."""
        return self._clock is time.monotonic

    def _check_time(self) -> float:
        """The time. Raises KeyUnavailable when the keyring's is over."""
        now = self._clock()
        if now >= self.expires_at:
            raise KeyUnavailable(
                "the encryption keys are not available",
                hint="The key provider cannot be reached; the statement can be tried again later.",
            )
        return now

    def grant_seals(self, key_id: int, count: int) -> None:
        """Allow `count` more seals under that DEK, after the database has counted them."""
        dek = self._deks[key_id]
        dek.granted += max(count, 0)

    def confirm_active(self, active_ids: Collection[int], until: float) -> bool:
        """Its active keys that are among `active_ids` may seal `until` then; whether that is all of them.

        One that is not goes on until its lease ends: time to make a new keyring.
        """
        for dek in self._active.values():
            if dek.record.id in active_ids:
                dek.seal_until = until
        return all(dek.record.id in active_ids for dek in self._active.values())

    def are_active(self, key_ids: Iterable[int]) -> bool:
        """Whether all of these DEKs may seal now, as far as leases tell."""
        now = self._clock()
        leases = {d.record.id: d.seal_until for d in self._active.values()}
        return now < self.expires_at and all(
            now < leases.get(key_id, float("-inf")) or self.tenants.is_active(key_id) for key_id in key_ids
        )

    def end_leases(self) -> None:
        """Seal nothing before `confirm_active`."""
        for dek in self._active.values():
            dek.seal_until = float("-inf")

    @property
    def active_keys(self) -> dict[str, int]:
        """The active DEK's id of each data class."""
        return {data_class: d.record.id for (data_class, tenant), d in self._active.items() if not tenant}

    @property
    def key_counts(self) -> dict[str, int]:
        """How many keys of each kind it holds."""
        return {"dek": len(self._deks), "index": len(self._terms)}

    @property
    def key_ids(self) -> frozenset[int]:
        """The ids of the DEKs that it holds."""
        return frozenset(self._deks)

    def needs_grant(self, threshold: int) -> list[int]:
        """The ids of active DEKs with fewer than `threshold` seals left."""
        return [d.record.id for d in self._active.values() if d.granted < threshold]

    def remaining_seals(self, data_class: str, tenant: str = "") -> int:
        """How many more values can be sealed for that data class; 0 when it has no active DEK."""
        dek = self._active.get((data_class, tenant))
        return dek.granted if dek is not None else 0

    def carry_grants(self, older: Keyring) -> None:
        """Take over what `older` had left, so that a refresh wastes no grant; `older` can seal no more."""
        self.tenants = older.tenants
        for key_id, dek in older._deks.items():
            if key_id in self._deks:
                self._deks[key_id].granted += dek.granted
                dek.granted = 0

    # -- values of tenants

    def open_of_tenant(self, context: SealContext, data: bytes, *, is_any: bool = False) -> tuple[bytes, str]:
        """The plaintext of an envelope of a column with tenants, and whose it is: its key's.

        Raises as `open`, KeyNotLoaded, and WrongTenant when that is another tenant than the context's unless `is_any`.
        """
        self._check_time()
        parsed = envelope.parse(data)
        dek = None if parsed.key_id in self._deks else self.tenants.opening(parsed.key_id)
        if dek is None or dek.record.kind != "dek" or dek.record.data_class != context.data_class:
            raise envelope.malformed()
        tenant = dek.record.tenant
        if not is_any and tenant != context.tenant:
            raise WrongTenant(
                "a stored value belongs to another tenant than the session's",
                hint="Select the rows of the session's tenant only, or set pgcrypt.tenant.",
            )
        aad = SealContext(context.column_id, context.data_class, tenant).aad(self.keyring_id)
        try:
            return dek.cipher.decrypt(parsed.nonce, parsed.sealed, parsed.header + aad), tenant
        except InvalidTag:
            raise envelope.malformed() from None

    def tenant_of(self, data: bytes) -> str | None:
        """Whose key an envelope names; None for no tenant's. Raises KeyNotLoaded."""
        parsed = envelope.parse(data)
        dek = None if parsed.key_id in self._deks else self.tenants.opening(parsed.key_id)
        return dek.record.tenant if dek is not None else None

    # -- values

    def _aad(self, context: SealContext) -> bytes:
        aad = self._aads.get(context)
        if aad is None:
            aad = self._aads[context] = context.aad(self.keyring_id)
        return aad

    def seal(
        self,
        context: SealContext,
        plaintext: bytes,
        terms: Sequence[bytes] = (),
        flags: int = 0,
        index_generation: int = 0,
    ) -> bytes:
        """The envelope of `plaintext`. `terms` in the order of their `flags` (FLAG_EQ, FLAG_EQCI).

        `index_generation` is of the index key that made them. Raises KeyUnavailable (no such key, no active DEK,
        time over) and SealError (usage limit).
        """
        now = self._check_time()
        if flags & ~envelope.TERM_FLAGS or len(terms) != flags.bit_count():
            raise SealError("flags and index terms do not agree")
        for term in terms:
            if len(term) != envelope.TERM_LENGTH:
                raise SealError("an index term has 16 bytes")
        if flags:
            self._index_key(index_generation)
        dek: Dek | None
        if context.tenant:
            dek = self.tenants.sealing(context.data_class, context.tenant)
        else:
            dek = self._active.get((context.data_class, ""))
        if dek is None:
            raise KeyUnavailable(
                f'there is no active data encryption key for data class "{context.data_class}"',
                hint="Run: pgcrypt-proxy init",
            )
        if dek.granted <= 0:
            raise SealError(
                "the usage limit of the data encryption key is reached",
                hint="A new grant or key is made in the background; try again.",
                sqlstate="58030",
            )
        if now >= dek.seal_until:
            raise KeyUnavailable(
                "it is not known whether the data encryption key is still the active one",
                hint="The proxy asks the database for that all the time; try again.",
            )
        dek.granted -= 1
        head = envelope.header(envelope.term_byte(flags, index_generation), dek.record.id, tuple(terms))
        nonce = fresh_nonce()
        aad = context.aad(self.keyring_id) if context.tenant else self._aad(context)  # there may be many tenants
        if dek.native is not None:
            sealed: bytes = dek.native.seal(head, nonce, plaintext, aad)
            return sealed
        return head + nonce + dek.cipher.encrypt(nonce, plaintext, head + aad)

    def open(self, context: SealContext, data: bytes) -> bytes:
        """The plaintext of an envelope.

        Raises OpenError, one text for whatever is wrong with it, KeyNotLoaded
        for a key that is to be asked for, and KeyUnavailable when it was
        destroyed or the keyring's time is over.
        """
        self._check_time()
        parsed = envelope.parse(data)
        dek = self._deks.get(parsed.key_id)
        if dek is None:
            if parsed.key_id in self._destroyed:
                raise destroyed(parsed.key_id)
            if self.loads_on_demand and not self.tenants.is_known(parsed.key_id):
                raise KeyNotLoaded(key_ids=(parsed.key_id,))
            raise envelope.malformed()
        if (dek.record.data_class, dek.record.tenant) != (context.data_class, context.tenant):
            raise envelope.malformed()
        try:
            return dek.cipher.decrypt(parsed.nonce, parsed.sealed, parsed.header + self._aad(context))
        except InvalidTag:
            raise envelope.malformed() from None

    def has_keys(self, key_ids: Iterable[int]) -> bool:
        """Whether all of these are here, or known to be destroyed; none of them is a tenant's."""
        return all(key_id in self._deks or key_id in self._destroyed for key_id in key_ids)

    def native_keys(self, context: SealContext) -> tuple[tuple[tuple[int, Any], ...], bytes] | None:
        """What compiled code opens envelopes of `context` with: ciphers by key id, and what else is authenticated.

        None when there is no compiled code, or the keyring's time is over: then `open` tells.
        """
        if fast.native is None or self.is_expired:
            return None
        named = (context.data_class, context.tenant)
        keys = ((d.record.id, d.native) for d in self._deks.values() if (d.record.data_class, d.record.tenant) == named)
        return tuple(keys), self._aad(context)

    def native_seals(
        self, context: SealContext, flags: int, index_domain: str, index_generation: int
    ) -> tuple[int, NativeSeals] | None:
        """The active key's id, and what compiled code seals values of `context` with.

        None where there is no compiled code, or a key is not at hand: then `seal` tells.
        """
        dek = self._active.get((context.data_class, context.tenant))
        maker = self._terms.get(index_generation)
        if fast.native is None or dek is None or (flags and maker is None):
            return None
        macs = [
            maker.native(mode, index_domain) if maker is not None and flags & flag else None
            for mode, flag in (("eq", envelope.FLAG_EQ), ("eqci", envelope.FLAG_EQCI))
        ]
        head = envelope.header(envelope.term_byte(flags, index_generation), dek.record.id)
        return dek.record.id, (head, dek.native, macs[0], macs[1], self._aad(context))

    def native_mac(self, index_domain: str, index_generation: int) -> Any:
        """What compiled code makes equality terms with: fast.native.Mac, or None where `equality_term` must tell."""
        maker = self._terms.get(index_generation)
        return None if maker is None or fast.native is None else maker.native("eq", index_domain)

    def reserve_seals(self, each: Mapping[int, int], most: int) -> int:
        """Take the seals of at most `most` rows, `each` of which needs so many of a key, and say of how many.

        0 where `seal` would refuse one. What is not used is to be given back by `grant_seals`.
        """
        now = self._clock()
        deks = [(self._deks.get(key_id), count) for key_id, count in each.items()]
        if now >= self.expires_at or any(dek is None or now >= dek.seal_until for dek, _ in deks):
            return 0
        rows: int = min([most, *(dek.granted // count for dek, count in deks if dek is not None)])
        for dek, count in deks:
            if dek is not None:
                dek.granted -= rows * count
        return rows

    # -- terms

    @property
    def index_generations(self) -> frozenset[int]:
        """The generations of the index keys that it holds."""
        return frozenset(self._terms)

    def _index_key(self, generation: int) -> TermMaker:
        maker = self._terms.get(generation)
        if maker is None:
            raise KeyUnavailable(
                f"the index key of generation {generation} is not available",
                hint="It was destroyed, or is new and on its way here: the statement can be tried again.",
            )
        return maker

    def equality_term(self, index_domain: str, equality_key: bytes, generation: int) -> bytes:
        """The 16-byte term of a value's equality class under the index key of that generation."""
        return self._term("eq", index_domain, equality_key, generation)

    def casefold_term(self, index_domain: str, casefold_key: bytes, generation: int) -> bytes:
        """The 16-byte term of a value's case-folded form under the index key of that generation."""
        return self._term("eqci", index_domain, casefold_key, generation)

    def _term(self, mode: str, index_domain: str, key_material: bytes, generation: int) -> bytes:
        self._check_time()
        return self._index_key(generation).term(mode, index_domain, key_material)

    # -- the end

    def zeroise(self) -> None:
        """Drop every key; the keyring can do nothing any more."""
        self.expires_at = float("-inf")
        for maker in self._terms.values():
            maker.zeroise()
        for dek in self._deks.values():
            dek.close()
        self._deks.clear()
        self._active.clear()
        self._terms.clear()
        self._aads.clear()

    def __repr__(self) -> str:
        return f"Keyring({len(self._deks)} data keys, {len(self._terms)} index keys)"
