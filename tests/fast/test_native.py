"""The compiled code against its reference in Python: the same bytes, or the same error after the same bytes."""

from __future__ import annotations

import hmac
import os
import struct
import threading
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto.envelope import FLAG_EQ, FLAG_EQCI
from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.terms import TermMaker
from pgcrypt_proxy.errors import KeyUnavailable, PgcryptError
from pgcrypt_proxy.session.encodings import ClientEncoding
from pgcrypt_proxy.session.meter import Meter
from pgcrypt_proxy.session.opening import RowOpener
from pgcrypt_proxy.session.transform import Values
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import type_by_name
from pgcrypt_proxy.wire import rows
from pgcrypt_proxy.wire.framing import run_of
from tests.crypto.test_keyring import KEK, KEYRING_ID, record, ring
from tests.helpers.session_doubles import EMAIL, Clock, RecordingObserver

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

KEY = bytes(range(32))
TERM = b"t" * 16
#: Types, and plaintexts that are theirs; any bytes at all are tried besides.
PLAINTEXTS: dict[str, st.SearchStrategy[bytes]] = {
    "text": st.text(max_size=30).map(str.encode),
    "varchar(5)": st.text(max_size=5).map(str.encode),
    "bytea": st.binary(max_size=30),
    "int2": st.integers(-(2**15), 2**15 - 1).map(lambda n: struct.pack("!h", n)),
    "int4": st.integers(-(2**31), 2**31 - 1).map(lambda n: struct.pack("!i", n)),
    "int8": st.integers(-(2**63), 2**63 - 1).map(lambda n: struct.pack("!q", n)),
    "bool": st.sampled_from([b"\0", b"\1", b"\2"]),
    "uuid": st.binary(min_size=16, max_size=16),
    "date": st.integers(-731_000, 3_000_000).map(lambda n: struct.pack("!i", n))
    | st.sampled_from([b"\x7f\xff\xff\xff", b"\x80\0\0\0"]),
    "timestamptz": st.integers(-(10**17), 10**17).map(lambda n: struct.pack("!q", n)),
    "jsonb": st.sampled_from([b"\1{}", b'\1{"a": 1}', b"\1"]),
    "numeric": st.sampled_from([struct.pack("!4hH", 1, 131, 0, 0, 7), struct.pack("!4h", 0, 0, 0, 0)]),
}
COLUMNS = {
    name: replace(EMAIL, id=number, name=f"c{number}", type=type_by_name(name))
    for number, name in enumerate(PLAINTEXTS, 1)
}
RING = ring(
    record(1),
    record(2, "index"),
    record(3, data_class="pci"),
    record(4, state="retired"),
    record(5, state="destroyed"),
    grant=10**9,
)
SETTINGS = (TextSettings(), TextSettings("SQL, DMY", "Europe/Berlin"), TextSettings(bytea_output="escape"))


@st.composite
def values_of(draw: Any, name: str, is_text: bool) -> bytes | None:
    """What a server may send for a sealed column: mostly an envelope, now and then none."""
    plaintext = draw(PLAINTEXTS[name] if draw(st.integers(0, 9)) else st.binary(max_size=20))
    flags = draw(st.sampled_from([0, FLAG_EQ, FLAG_EQCI, FLAG_EQ | FLAG_EQCI]))
    column = COLUMNS[name]
    context = SealContext(column.id, draw(st.sampled_from(["pii"] * 20 + ["pci"])))
    sealed = bytearray(RING.seal(context, plaintext, [TERM] * flags.bit_count(), flags, 1))
    fate = draw(st.integers(0, 30))
    if fate == 0:
        sealed[draw(st.integers(0, len(sealed) - 1))] ^= 1 << draw(st.integers(0, 7))
    elif fate == 1:
        del sealed[draw(st.integers(0, len(sealed) - 1)) :]
    elif fate == 2:
        sealed[2:6] = struct.pack("!I", draw(st.sampled_from([3, 4, 5, 99])))
    elif fate == 3:
        return None
    if not is_text:
        return bytes(sealed)
    shown = b"\\x" + sealed.hex().encode()
    if fate == 4:
        shown = draw(st.sampled_from([shown[:-1], shown.upper(), shown[1:], b"", b"\\x", shown + b" ", b"\\x 00"]))
    return shown


@st.composite
def results(draw: Any) -> tuple[list[str | None], tuple[int, ...], bytes]:
    """The columns of a result (None: not sealed), their formats, and rows, of which some are malformed."""
    names = draw(st.lists(st.none() | st.sampled_from(list(PLAINTEXTS)), min_size=1, max_size=5))
    codes = tuple(draw(st.lists(st.integers(0, 1), min_size=len(names), max_size=len(names))))
    run = b""
    for _ in range(draw(st.integers(0, 6))):
        cells = [
            draw(st.none() | st.binary(max_size=10)) if name is None else draw(values_of(name, code == 0))
            for name, code in zip(names, codes, strict=True)
        ]
        row = bytearray(rows.data_row(cells))
        if not draw(st.integers(0, 40)):
            row[draw(st.integers(5, len(row) - 1))] ^= 1 << draw(st.integers(0, 7))
        if not draw(st.integers(0, 40)):
            row = bytearray(struct.pack("!Bi", ord("D"), len(row) - 1 - 1) + row[5:-1])
        run += row
    return names, codes, run


def opened(
    names: list[str | None], codes: tuple[int, ...], run: bytes, settings: TextSettings, encoding: str
) -> tuple[bytes, tuple[Any, ...], list[tuple[Any, ...]]]:
    """The rows as the client sees them, the error they end with, and what the observer was told."""
    observer = RecordingObserver()
    meter = Meter(observer, Clock())
    values = Values(RING, observer, meter)
    values.settings, values.encoding = settings, ClientEncoding(encoding)
    outputs = tuple(None if name is None else COLUMNS[name] for name in names)
    out: list[bytes] = []
    error: tuple[Any, ...] = ()
    try:
        RowOpener(values, meter, outputs, codes).open(run, out)
    except PgcryptError as raised:
        error = (type(raised), raised.code, raised.message, raised.detail, raised.hint)
    except (IndexError, ValueError) as raised:  # authentic, but no value of the type: nothing makes such
        error = (type(raised),)
    meter.report()
    return b"".join(out), error, sorted(observer.told)


@given(results(), st.sampled_from(SETTINGS), st.sampled_from(["UTF8", "UTF8", "LATIN1", "SQL_ASCII", "MULE_INTERNAL"]))
def test_rows_open_as_the_reference_opens_them(result: Any, settings: TextSettings, encoding: str) -> None:
    compiled = opened(*result, settings, encoding)
    native, fast.native = fast.native, None
    try:
        assert compiled == opened(*result, settings, encoding)
    finally:
        fast.native = native


@given(
    st.lists(st.none() | st.tuples(st.integers(0, 8), st.just(True)), max_size=3),
    st.binary(max_size=200),
    st.integers(0, 40),
)
def test_any_bytes_are_left_alone(columns: list[Any], junk: bytes, at: int) -> None:
    cipher = fast.native.Cipher(KEY)
    made = fast.native.Rows(tuple(c and (*c, ((1, cipher),), b"", None) for c in columns))
    for run in (junk, struct.pack("!BiH", ord("D"), len(junk) + 6, len(columns)) + junk):
        if at > len(run):
            with pytest.raises(ValueError):
                made.open(run, at)
            continue
        out, reached, counts = made.open(run, at)
        assert sum(counts) == 0  # nothing was sealed, so nothing opens
        assert at <= reached <= len(run)
        assert len(out) == reached - at


messages = st.lists(st.tuples(st.sampled_from(b"DCd"), st.binary(max_size=20)), max_size=8).map(
    lambda many: b"".join(struct.pack("!Bi", kind, len(body) + 4) + body for kind, body in many)
)


@given(messages | st.binary(max_size=60), st.integers(0, 10), st.sampled_from([b"D", b"Dd"]), st.integers(4, 30))
def test_runs_end_where_the_reference_ends_them(data: bytes, at: int, kinds: bytes, limit: int) -> None:
    at = min(at, len(data))
    found = [run_of(data, at, kinds, limit), run_of(bytearray(data), at, kinds, limit)]
    native, fast.native = fast.native, None
    try:
        assert found == [run_of(data, at, kinds, limit)] * 2
    finally:
        fast.native = native


@given(st.binary(max_size=100), st.integers(0, 2), st.binary(max_size=300))
def test_what_is_sealed_is_aes_256_gcm(plaintext: bytes, terms: int, bound: bytes) -> None:
    head, nonce = b"h" * (6 + 16 * terms), os.urandom(12)
    made = fast.native.Cipher(KEY).seal(head, nonce, plaintext, bound)
    assert made == head + nonce + AESGCM(KEY).encrypt(nonce, plaintext, head + bound)


@given(
    st.binary(min_size=32, max_size=32), st.sampled_from(["eq", "eqci"]), st.text(max_size=9), st.binary(max_size=200)
)
def test_terms_are_made_as_the_reference_makes_them(root: bytes, mode: str, domain: str, material: bytes) -> None:
    made = TermMaker(SecretKey(root)).term(mode, domain, material)
    native, fast.native = fast.native, None
    try:
        assert made == TermMaker(SecretKey(root)).term(mode, domain, material)
    finally:
        fast.native = native


def test_a_closed_term_key_makes_no_terms() -> None:
    mac = fast.native.Mac(KEY)
    assert mac.term(b"x") == hmac.digest(KEY, b"x", "sha256")[:16]
    mac.close()
    mac.close()
    with pytest.raises(ValueError, match="zeroised"):
        mac.term(b"x")


def sealed_row(keys: Keyring, plaintext: bytes) -> bytes:
    return rows.data_row([keys.seal(SealContext(1, "pii"), plaintext)])


def native_rows(keys: Keyring) -> Any:
    found = keys.native_keys(SealContext(1, "pii"))
    assert found is not None
    return fast.native.Rows(((0, False, *found, None),))


@pytest.mark.parametrize("size", [0, 1, 2000, 49_000, 60_000, 300_000])
def test_long_values_and_long_runs(size: int) -> None:
    keys = ring(grant=10**6)
    plaintext = bytes(size)
    run = sealed_row(keys, plaintext) * 30
    made, at, out = native_rows(keys), 0, b""
    while at < len(run):
        opened, reached, counts = made.open(run, at)
        assert reached > at
        assert counts[0] >= 1
        out, at = out + opened, reached
    assert out == rows.data_row([plaintext]) * 30


def test_a_closed_key_opens_and_seals_nothing() -> None:
    keys = ring()
    run = sealed_row(keys, b"x")
    made = native_rows(keys)
    assert made.open(run, 0)[1] == len(run)
    keys.zeroise()
    assert made.open(run, 0) == (b"", 0, (0,))
    cipher = fast.native.Cipher(KEY)
    cipher.close()
    cipher.close()
    with pytest.raises(ValueError, match="zeroised"):
        cipher.seal(b"", bytes(12), b"", b"")


def test_an_expired_keyring_opens_nothing_more() -> None:
    clock = Clock()
    keys = Keyring.unlock(KEYRING_ID, [record(1)], KEK, clock=clock)
    keys.grant_seals(1, 1)
    run = sealed_row(keys, b"x")
    meter = Meter(RecordingObserver(), clock)
    opener = RowOpener(Values(keys, RecordingObserver(), meter), meter, (replace(EMAIL, id=1),), (1,))
    out: list[bytes] = []
    opener.open(run, out)
    assert out == [rows.data_row([b"x"])]
    clock.now = 1e9
    with pytest.raises(KeyUnavailable):
        opener.open(run, out)


def test_new_keys_are_taken_up() -> None:
    old, new = ring(), ring(record(1), record(2, "index"), record(9, generation=2))
    meter = Meter(RecordingObserver(), Clock())
    values = Values(old, RecordingObserver(), meter)
    opener = RowOpener(values, meter, (replace(EMAIL, id=1),), (1,))
    out: list[bytes] = []
    opener.open(sealed_row(old, b"x"), out)
    values.keyring = new
    old.zeroise()
    opener.open(sealed_row(new, b"y"), out)
    assert out == [rows.data_row([b"x"]), rows.data_row([b"y"])]


def test_threads_do_not_share_a_key_at_one_time() -> None:
    keys = ring(grant=10**6)
    run = sealed_row(keys, bytes(1000)) * 2000
    expected = rows.data_row([bytes(1000)])
    made, wrong = native_rows(keys), []

    def work() -> None:
        for _ in range(20):
            out, reached, (count,) = made.open(run, 0)
            if out != expected * count or (reached == 0) is not (count == 0):
                wrong.append(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_error_in_a_conversion_is_left_to_the_reference() -> None:
    keys = ring()

    def convert(plaintext: bytes) -> bytes:
        if plaintext == b"bad":
            raise ValueError
        return plaintext * 2 if plaintext != b"long" else bytes(1000)

    found = keys.native_keys(SealContext(1, "pii"))
    assert found is not None
    made = fast.native.Rows(((9, True, *found, convert),))

    def text_row(plaintext: bytes) -> bytes:
        return rows.data_row([b"\\x" + keys.seal(SealContext(1, "pii"), plaintext).hex().encode()])

    for last in (b"bad", b"long"):
        first = text_row(b"good")
        assert made.open(first + text_row(last), 0) == (rows.data_row([b"goodgood"]), len(first), (1,))


@pytest.mark.parametrize(
    "column",
    [
        (10, True, (), b"", None),
        (-1, True, (), b"", None),
        (1, False, (), b"", None),
        (9, True, (), b"", None),
        (0, True, (), b"", bytes),
        (0, True, ((1, None),), b"", None),
        (0, True, (7,), b"", None),
        (0, True),
        7,
    ],
)
def test_columns_that_make_no_sense(column: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        fast.native.Rows((None, column))


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        fast.native.Cipher(bytes(length))


def test_other_classes_keys_are_not_at_hand() -> None:
    found = RING.native_keys(SealContext(1, "pii"))
    assert found is not None
    assert [key_id for key_id, _ in found[0]] == [1, 4]
