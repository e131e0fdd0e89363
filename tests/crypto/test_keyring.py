"""One test for each way to be wrong: damaged, moved, expired, overused, shown."""

from __future__ import annotations

import os
import pickle
import stat
import traceback
from pathlib import Path

import pytest

from pgcrypt_proxy.crypto import nonces
from pgcrypt_proxy.crypto.envelope import FLAG_EQ, FLAG_EQCI, SealContext
from pgcrypt_proxy.crypto.keyring import KeyRecord, Keyring, wrap_context
from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.providers import make_provider
from pgcrypt_proxy.crypto.providers.env import EnvProvider
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.crypto.providers.local import LocalKek, new_key_text
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable, OpenError, SealError

KEK = LocalKek("file", SecretKey(bytes(range(32))))
KEYRING_ID = bytes(16)
CONTEXT = SealContext(7, "pii")
TERM = b"t" * 16


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(key_id: int, kind: str = "dek", **changes: object) -> KeyRecord:
    values = {"data_class": "pii" if kind == "dek" else "", "tenant": "", "generation": 1, "state": "active", **changes}
    keyring_id = values.pop("keyring_id", KEYRING_ID)
    context = wrap_context(keyring_id, kind, values["data_class"], "", values["generation"])  # type: ignore[arg-type]
    wrapped = KEK.wrap(bytes([key_id]) * 32, context)
    return KeyRecord(id=key_id, kind=kind, wrapped=values.pop("wrapped", wrapped), kek_id=KEK.kek_id, **values)  # type: ignore[arg-type]


def ring(*records: KeyRecord, keyring_id: bytes = KEYRING_ID, clock: Clock | None = None, grant: int = 1000) -> Keyring:
    made = Keyring.unlock(keyring_id, records or (record(1), record(2, "index")), KEK, clock=clock or Clock())
    for key_id in made.needs_grant(1):
        made.grant_seals(key_id, grant)
    return made


def test_round_trip_and_size() -> None:
    keys = ring()
    for plaintext in (b"", b"x", bytes(10_000)):
        assert keys.open(CONTEXT, keys.seal(CONTEXT, plaintext)) == plaintext
        assert len(keys.seal(CONTEXT, plaintext)) == len(plaintext) + 34
        assert len(keys.seal(CONTEXT, plaintext, [TERM], FLAG_EQ, 1)) == len(plaintext) + 50
        assert len(keys.seal(CONTEXT, plaintext, [TERM, TERM], FLAG_EQ | FLAG_EQCI, 1)) == len(plaintext) + 66


def test_every_flipped_bit_is_one_and_the_same_error() -> None:
    keys = ring()
    sealed = keys.seal(CONTEXT, b"ab", [TERM], FLAG_EQ, 1)
    texts = set()
    for position in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(OpenError) as caught:
            keys.open(CONTEXT, bytes(damaged))
        texts.add((caught.value.message, caught.value.code))
    assert len(texts) == 1


def test_every_truncation_and_extension_fails() -> None:
    keys = ring()
    sealed = keys.seal(CONTEXT, b"abc")
    for length in range(len(sealed)):
        with pytest.raises(OpenError):
            keys.open(CONTEXT, sealed[:length])
    for more in (b"\0", sealed):
        with pytest.raises(OpenError):
            keys.open(CONTEXT, sealed + more)


@pytest.mark.parametrize("other", [SealContext(8, "pii"), SealContext(7, "restricted"), SealContext(7, "pii", "t")])
def test_a_value_opens_nowhere_else(other: SealContext) -> None:
    keys = ring(record(1), record(3, data_class="restricted"), record(2, "index"))
    with pytest.raises(OpenError):
        keys.open(other, keys.seal(CONTEXT, b"abc"))


def test_a_value_of_another_keyring_does_not_open() -> None:
    other_id = b"o" * 16
    sealed = ring().seal(CONTEXT, b"abc")
    other = ring(record(1, keyring_id=other_id), keyring_id=other_id)
    with pytest.raises(OpenError):
        other.open(CONTEXT, sealed)


def test_an_unknown_key_does_not_open() -> None:
    sealed = ring(record(9)).seal(CONTEXT, b"abc")
    with pytest.raises(OpenError):
        ring().open(CONTEXT, sealed)


def test_retired_keys_open_and_destroyed_ones_say_so() -> None:
    sealed = ring(record(9)).seal(CONTEXT, b"abc")
    assert ring(record(9, state="retired"), record(1)).open(CONTEXT, sealed) == b"abc"
    with pytest.raises(KeyUnavailable, match="destroyed"):
        ring(record(9, state="destroyed", wrapped=None), record(1)).open(CONTEXT, sealed)
    with pytest.raises(KeyUnavailable, match="no active"):
        ring(record(9, state="retired")).seal(CONTEXT, b"abc")


def test_a_keyring_expires() -> None:
    clock = Clock()
    keys = ring(clock=clock)
    sealed = keys.seal(CONTEXT, b"abc")
    clock.now += 299
    assert keys.open(CONTEXT, sealed) == b"abc"
    clock.now += 1
    assert keys.is_expired
    for use in (
        lambda: keys.open(CONTEXT, sealed),
        lambda: keys.seal(CONTEXT, b""),
        lambda: keys.equality_term("d", b"", 1),
    ):
        with pytest.raises(KeyUnavailable):
            use()


def test_sealing_stops_at_the_grant() -> None:
    keys = ring(grant=2)
    keys.seal(CONTEXT, b"")
    assert keys.remaining_seals("pii") == 1
    assert keys.needs_grant(2) == [1]
    keys.seal(CONTEXT, b"")
    with pytest.raises(SealError, match="usage limit"):
        keys.seal(CONTEXT, b"")
    newer = ring(grant=0)
    keys.grant_seals(1, 5)
    newer.carry_grants(keys)
    assert (newer.remaining_seals("pii"), keys.remaining_seals("pii")) == (5, 0)
    assert newer.remaining_seals("nosuch") == 0


@pytest.mark.parametrize(("terms", "flags"), [([], FLAG_EQ), ([TERM], 0), ([b"short"], FLAG_EQ), ([TERM], 4)])
def test_terms_and_flags_must_agree(terms: list[bytes], flags: int) -> None:
    with pytest.raises(SealError):
        ring().seal(CONTEXT, b"", terms, flags, 1)


def test_terms_are_apart_by_mode_domain_and_key() -> None:
    keys = ring()
    made = {
        keys.equality_term("a", b"x", 1),
        keys.equality_term("b", b"x", 1),
        keys.equality_term("a", b"y", 1),
        keys.casefold_term("a", b"x", 1),
        ring(record(1), record(5, "index")).equality_term("a", b"x", 1),
    }
    assert len(made) == 5
    assert keys.equality_term("a", b"x", 1) == ring().equality_term("a", b"x", 1)
    with pytest.raises(KeyUnavailable, match="index key"):
        ring(record(1)).equality_term("a", b"x", 1)


def test_terms_are_made_with_the_key_of_their_generation() -> None:
    keys = ring(record(1), record(2, "index", state="retired"), record(3, "index", generation=18))
    assert keys.index_generations == {1, 18}
    assert keys.equality_term("a", b"x", 1) == ring().equality_term("a", b"x", 1)
    assert keys.equality_term("a", b"x", 18) != keys.equality_term("a", b"x", 1)
    sealed = {generation: keys.seal(CONTEXT, b"ada", [TERM], FLAG_EQ, generation) for generation in (1, 18)}
    assert [data[1] for data in sealed.values()] == [0x11, 0x21]
    assert [keys.open(CONTEXT, data) for data in sealed.values()] == [b"ada", b"ada"]
    for use in (
        lambda: keys.equality_term("a", b"x", 2),
        lambda: keys.casefold_term("a", b"x", 0),
        lambda: keys.seal(CONTEXT, b"ada", [TERM], FLAG_EQ, 2),
        lambda: keys.seal(CONTEXT, b"ada", [TERM], FLAG_EQ),
    ):
        with pytest.raises(KeyUnavailable, match="index key of generation"):
            use()
    assert keys.seal(CONTEXT, b"ada", index_generation=2)[1] == 0


def test_zeroised_keys_do_nothing() -> None:
    keys = ring()
    keys.zeroise()
    with pytest.raises(KeyUnavailable):
        keys.seal(CONTEXT, b"")
    key = SecretKey(bytes(32))
    key.zeroise()
    with pytest.raises(ValueError, match="zeroised"):
        key.reveal_key()


def test_keys_show_themselves_nowhere() -> None:
    material = b"\xde\xad\xbe\xef" * 8
    key = SecretKey(material)
    assert "dead" not in repr(key).lower() + str(key)
    assert "Keyring(" in repr(ring())
    assert "\\x01\\x01" not in repr(record(1))
    with pytest.raises(TypeError):
        pickle.dumps(key)
    try:
        KEK.unwrap(b"x" * 61, {})
    except KeyUnavailable as error:
        assert "0001020304" not in "".join(traceback.format_exception(error))
    with pytest.raises(ValueError, match="32 bytes"):
        SecretKey(b"short")


class TestNonces:
    def test_none_comes_twice(self) -> None:
        assert len({nonces.fresh_nonce() for _ in range(100_000)}) == 100_000

    def test_not_after_a_fork_either(self) -> None:
        nonces.fresh_nonce()  # a block is there
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"".join(nonces.fresh_nonce() for _ in range(50)))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            theirs = file.read()
        os.waitpid(child, 0)
        ours = [nonces.fresh_nonce() for _ in range(300)]
        assert not {theirs[i : i + 12] for i in range(0, 600, 12)} & set(ours)


class TestProviders:
    def test_file(self, tmp_path: Path) -> None:
        path = tmp_path / "k.kek"
        made = FileProvider.create(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        context = {"a": "b"}
        wrapped = made.wrap(bytes(32), context)
        again = make_provider("file", {"path": str(path)})
        assert again.unwrap(wrapped, context) == bytes(32)
        assert again.kek_id == made.kek_id
        with pytest.raises(ConfigError, match="not overwritten"):
            FileProvider.create(path)

    @pytest.mark.parametrize("changed", [{"a": "c"}, {}, {"a": "b", "x": ""}])
    def test_the_context_is_bound(self, changed: dict[str, str]) -> None:
        with pytest.raises(KeyUnavailable):
            KEK.unwrap(KEK.wrap(bytes(32), {"a": "b"}), changed)

    def test_another_kek_does_not_unwrap(self) -> None:
        with pytest.raises(KeyUnavailable):
            LocalKek("file", SecretKey(bytes(32))).unwrap(KEK.wrap(bytes(32), {}), {})

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
    def test_files_that_others_may_touch_are_refused(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "k.kek"
        FileProvider.create(path)
        path.chmod(mode)
        with pytest.raises(ConfigError, match="by others"):
            FileProvider(path)

    def test_links_folders_and_missing_files_are_refused(self, tmp_path: Path) -> None:
        FileProvider.create(tmp_path / "k.kek")
        (tmp_path / "link").symlink_to(tmp_path / "k.kek")
        for name, message in (("link", "symbolic link"), ("missing", "cannot be read"), (".", "no regular file")):
            with pytest.raises(ConfigError, match=message):
                FileProvider(tmp_path / name)
        with pytest.raises(ConfigError, match="cannot be made"):
            FileProvider.create(tmp_path / "no" / "folder")

    @pytest.mark.parametrize(
        "text", ["", "x", "pgcrypt-kek-v1:", "pgcrypt-kek-v1:AAAA", "pgcrypt-kek-v1:!!!!", "A" * 60]
    )
    def test_malformed_files_are_refused_unquoted(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "k.kek"
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match="holds no key") as caught:
            FileProvider(path)
        assert not text or text not in caught.value.message

    def test_env(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_KEK", new_key_text())
        assert make_provider("env", {"variable": "A_KEK"}).kek_id == EnvProvider("A_KEK").kek_id
        monkeypatch.delenv("A_KEK")
        with pytest.raises(ConfigError, match="is not set"):
            EnvProvider("A_KEK")

    def test_unknown_providers_and_options(self) -> None:
        with pytest.raises(ConfigError, match="no key provider"):
            make_provider("nosuch", {})
        with pytest.raises(ConfigError, match='no option "pth"'):
            make_provider("file", {"pth": "x"})
        with pytest.raises(ConfigError, match='needs the option "path"'):
            make_provider("file", {})
