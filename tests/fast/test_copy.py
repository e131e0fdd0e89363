"""COPY's rows in compiled code against the reference in Python: the same rows, or the same error after them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from pgcrypt_proxy import fast
from pgcrypt_proxy.crypto import envelope
from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.session.copy import CopyIn, CopyOut
from pgcrypt_proxy.session.encodings import ClientEncoding
from pgcrypt_proxy.session.link import Link, Work
from pgcrypt_proxy.session.tenants import SessionTenant
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.plan import CopyPlan
from pgcrypt_proxy.values.settings import TextSettings
from pgcrypt_proxy.values.types import type_by_name
from pgcrypt_proxy.wire.copy_binary import HEADER, TRAILER, BinaryReplacer
from pgcrypt_proxy.wire.copy_fields import Coder
from pgcrypt_proxy.wire.copy_format import CopyFormat, CopyKind
from pgcrypt_proxy.wire.copy_lines import LineReplacer
from tests.crypto.test_keyring import record, ring
from tests.helpers.session_doubles import EMAIL, Clock, RecordingObserver, ScriptedPlanner

if fast.native is None:
    pytest.skip("not applicable: there is no compiled code", allow_module_level=True)

TEXT, CSV, BINARY = CopyFormat(), CopyFormat(CopyKind.CSV, b",", b""), CopyFormat(CopyKind.BINARY)
LINE_FORMATS = [
    TEXT,
    replace(TEXT, delimiter=b"|", null=b"", default=b"\\D"),
    replace(TEXT, delimiter=b"A", null=b"\\\\N"),
    CSV,
    replace(CSV, delimiter=b"|", quote=b"'", escape=b"'", null=b"NULL", default=b"\\D"),
    replace(CSV, quote=b'"', escape=b"\\"),
    replace(CSV, delimiter=b"a"),
    replace(CSV, force_null=frozenset({0}), force_not_null=frozenset({1}), force_quote=frozenset({2})),
]
SEARCHES = [frozenset[str](), *map(frozenset, (["equality"], ["equality", "equality_casefold"], ["equality_upper"]))]
#: What each type is written like: as its output does, in other ways, and as nothing of the type.
TEXTS: dict[str, st.SearchStrategy[str]] = {
    "text": st.text(max_size=20) | st.sampled_from(["", "Straße", "ÀB", "\\x41", "\\.", "a\tb", 'q"q', "İ", "x" * 300]),
    "varchar(5)": st.sampled_from(["", "abc", "12345", "äöüäö", "123456", "12345  ", "äöüäöü", "123\0"]),
    "bytea": st.binary(max_size=12).map(lambda b: "\\x" + b.hex())
    | st.sampled_from(["\\x", "\\x0", "\\x00 11", "\\X00", "\\xAb", "abc", "\\001", "\\", "\\x0g"]),
    "int2": st.integers(-40_000, 40_000).map(str) | st.sampled_from(["+7", "007", " 7", "", "-", "1_0", "0x10", "7a"]),
    "int4": st.integers(-(2**32), 2**32).map(str) | st.sampled_from(["-0", "100", "2147483648", "-2147483648", "1e3"]),
    "int8": st.integers(-(2**64), 2**64).map(str) | st.sampled_from(["1" + "0" * 18, "0" * 20, "9223372036854775808"]),
    "bool": st.sampled_from(["t", "f", "true", "false", "1", "0", "yes", "TRUE", " t", "", "tr", "2"]),
    "uuid": st.uuids().map(str)
    | st.sampled_from(
        ["", "{00000000-0000-0000-0000-000000000000}", "0" * 32, "A" * 8 + "-bbbb-cccc-dddd-" + "e" * 12]
    ),
    "date": st.dates().map(str)
    | st.sampled_from(["2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "0000-01-01", "2024-13-01", "infinity"])
    | st.sampled_from(["2024-00-10", "2024-01-00", "01/02/2024", "2024-1-1", "10000-01-01", "2024-01-01 BC", "4714-1"]),
    "timestamptz": st.sampled_from(["2024-01-02 03:04:05+00", "now", "x"]),
    "numeric": st.sampled_from(["1.50", "-0", "NaN", "x"]),
    "jsonb": st.sampled_from(['{"a": 1}', "[1,", "1"]),
    "char(4)": st.sampled_from(["ab", "abcd", "abcde", ""]),
}
FOLDED = {"text", "varchar(5)"}
SETTINGS = (TextSettings(), TextSettings("SQL, DMY", "Europe/Berlin"))
RECORDS = (record(1), record(2, "index"), record(3, data_class="pci"))


@contextmanager
def in_python() -> Iterator[None]:
    native, fast.native = fast.native, None
    try:
        yield
    finally:
        fast.native = native


def column_of(name: str, search: frozenset[str] = frozenset(), data_class: str = "pii") -> ProtectedColumn:
    kept = search if name in FOLDED else search & {"equality"}
    generation = 1 if kept else 0
    number = list(TEXTS).index(name) + 1
    return replace(
        EMAIL, id=number, name=f"c{number}", type=type_by_name(name), search=kept, index_generation=generation,
        data_class=data_class,
    )  # fmt: skip


columns = st.lists(
    st.none()
    | st.builds(column_of, st.sampled_from(list(TEXTS)), st.sampled_from(SEARCHES), st.sampled_from(["pii", "pci"])),
    min_size=1,
    max_size=4,
).map(tuple)  # fmt: skip


def plan_of(made: tuple[ProtectedColumn | None, ...], format_: CopyFormat, is_from: bool, skips: bool) -> CopyPlan:
    names = tuple(f"c{number}" for number in range(len(made)))
    return CopyPlan(is_from, "t", format_, made, names, skips, (23,) * len(made))


def link_of(keys: Keyring, settings: TextSettings, encoding: str = "UTF8") -> Link:
    planner, observer = ScriptedPlanner().as_planner, RecordingObserver()
    made = Link(planner, keys, observer, max_message_bytes=2**30, max_row_bytes=2000, clock=Clock())
    made.values.settings, made.values.encoding = settings, ClientEncoding(encoding)
    return made


def told(link: Link) -> list[tuple[Any, ...]]:
    link.meter.report()
    assert isinstance(link.observer, RecordingObserver)
    return sorted(link.observer.told)


def error_of(error: PgcryptError | None) -> tuple[Any, ...] | None:
    if error is None:
        return None
    return type(error), error.code, error.message, error.detail, error.hint, error.context


def message(payload: bytes) -> bytes:
    return b"d" + struct.pack("!i", len(payload) + 4) + payload


def payloads(messages: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(messages):
        end = at + 1 + struct.unpack_from("!i", messages, at + 1)[0]
        if messages[at] == ord("d"):
            yield messages[at + 5 : end]
        at = end


# -- in


def opened(plan: CopyPlan, keys: Keyring, data: bytes) -> bytes:
    """Sealed rows with each envelope as what it says before the nonce, and its plaintext."""

    def action(column: ProtectedColumn | None) -> Any:
        def open_(value: bytes) -> bytes:
            assert column is not None
            if value == b"\\x-":  # what the server skips
                return value
            data = value if plan.format.kind is CopyKind.BINARY else bytes.fromhex(value[2:].decode())
            plaintext = keys.open(SealContext(column.id, column.data_class), data)
            return f"{envelope.parse(data).header.hex()}-{plaintext.hex()}".encode()

        return None if column is None else open_

    actions = tuple(map(action, plan.columns))
    replacer = (
        BinaryReplacer(actions)
        if plan.format.kind is CopyKind.BINARY
        else LineReplacer(plan.format, plan.names, actions)
    )
    made = replacer.feed(data)
    return made if isinstance(replacer, BinaryReplacer) else made + replacer.finish()


def sealed(plan: CopyPlan, pieces: list[bytes], settings: TextSettings, encoding: str) -> tuple[Any, ...]:
    """The rows that were sealed, the error they end with, and what the observer was told."""
    keys = ring(*RECORDS, grant=10**6)
    link, work = link_of(keys, settings, encoding), Work()
    copy = CopyIn(plan, link, work)
    for piece in pieces:
        if not copy.has_failed:
            copy.on_data(message(piece), SessionTenant(link))
    if not copy.has_failed:
        copy.on_done(SessionTenant(link))
    rows = b"".join(payloads(b"".join(link.to_backend)))
    heard = told(link)
    used = sum(10**6 - keys.remaining_seals(name) for name in ("pii", "pci"))
    values = sum(what[3] for what in heard if what[:2] == ("operations", "seal"))
    # a row that fails may have used the key for nothing, once in each way
    assert values <= used <= values + 2 * len(plan.columns)
    return (
        opened(plan, keys, rows),
        error_of(work.copy_error),
        heard,
        values if work.copy_error is None else used >= values,
    )


@st.composite
def lines(draw: Any, format_: CopyFormat, made: tuple[ProtectedColumn | None, ...]) -> bytes:
    coder = Coder(format_, is_single=len(made) == 1)
    eol = draw(st.sampled_from([b"\n"] * 4 + [b"\r\n", b"\r"]))
    out = b""
    for _ in range(draw(st.integers(0, 7))):
        fields = []
        for index, column in enumerate(made):
            if not draw(st.integers(0, 9)):
                fields.append(draw(st.sampled_from([format_.null, format_.default or b"", b"\\N", b"\\.", b'""'])))
                continue
            name = "text" if column is None else next(n for n in TEXTS if type_by_name(n) == column.type)
            value = (
                draw(TEXTS[name]).encode("utf-8", "surrogatepass").replace(b"\0", b"" if draw(st.booleans()) else b"\0")
            )
            field = coder.encode(value, index)
            if format_.kind is CopyKind.TEXT and not draw(st.integers(0, 5)):
                field = b"".join(draw(st.sampled_from([b"\\%03o", b"\\x%02x"])) % byte for byte in value)
            fields.append(field)
        row = bytearray(format_.delimiter.join(fields) + eol)
        if not draw(st.integers(0, 30)):
            row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(b'\\\n\r\t",.x\0\xc3'))
        out += row
    return out + draw(st.sampled_from([b"", b"", b"", b"\\.\n", b"\\.", b"tail"]))


def cut(draw: Any, data: bytes) -> list[bytes]:
    places = draw(st.lists(st.integers(0, len(data)), max_size=3))
    return [data[start:end] for start, end in pairwise(sorted({0, len(data), *places}))]


@st.composite
def copies_in(draw: Any) -> tuple[CopyPlan, list[bytes]]:
    made, format_ = draw(columns), draw(st.sampled_from(LINE_FORMATS))
    data = draw(lines(format_, made))
    return plan_of(made, format_, True, draw(st.booleans())), cut(draw, data)


@given(copies_in(), st.sampled_from(SETTINGS), st.sampled_from(["UTF8"] * 5 + ["LATIN1", "SQL_ASCII"]))
def test_lines_are_sealed_as_the_reference_seals_them(
    case: tuple[CopyPlan, list[bytes]], settings: TextSettings, encoding: str
) -> None:
    compiled = sealed(*case, settings, encoding)
    with in_python():
        assert compiled == sealed(*case, settings, encoding)


BINARIES: dict[str, st.SearchStrategy[bytes]] = {
    "text": TEXTS["text"].map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=4),
    "varchar(5)": TEXTS["varchar(5)"].map(str.encode),
    "bytea": st.binary(max_size=20),
    "bool": st.sampled_from([b"\0", b"\1", b"\2", b"", b"\1\1"]),
    "uuid": st.binary(min_size=16, max_size=16) | st.binary(max_size=3),
    "date": st.integers(-(2**31), 2**31 - 1).map(lambda n: struct.pack("!i", n)),
    "jsonb": st.sampled_from([b'\1{"a": 1}', b"\1[", b"\2{}", b""]),
    "char(4)": st.sampled_from([b"ab", b"abcd", b"abcde", b"\xff"]),
}


@st.composite
def tuples_in(draw: Any) -> tuple[CopyPlan, list[bytes]]:
    made = draw(columns)
    out = bytearray(HEADER)
    for _ in range(draw(st.integers(0, 6))):
        row = struct.pack("!h", len(made) + (not draw(st.integers(0, 40))))
        for column in made:
            name = "bytea" if column is None else next(n for n in TEXTS if type_by_name(n) == column.type)
            value = draw(st.none() | BINARIES.get(name, st.integers(0, 2**16).map(lambda n: struct.pack("!q", n)[-8:])))
            if value is not None and name in ("int2", "int4") and draw(st.integers(0, 9)):
                value = value[-int(name[-1]) :]
            row += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        out += row
    if not draw(st.integers(0, 20)):
        out[draw(st.integers(0, len(out) - 1))] ^= 1 << draw(st.integers(0, 7))
    data = bytes(out) + draw(st.sampled_from([TRAILER, TRAILER, b"", TRAILER + b"x", b"\0"]))
    return plan_of(made, BINARY, True, draw(st.booleans())), cut(draw, data)


@given(tuples_in(), st.sampled_from(["UTF8"] * 5 + ["LATIN1"]))
def test_tuples_are_sealed_as_the_reference_seals_them(case: tuple[CopyPlan, list[bytes]], encoding: str) -> None:
    compiled = sealed(*case, SETTINGS[0], encoding)
    with in_python():
        assert compiled == sealed(*case, SETTINGS[0], encoding)


# -- out


def shown(plan: CopyPlan, keys: Keyring, run: list[bytes], settings: TextSettings, encoding: str) -> tuple[Any, ...]:
    """The messages that the client gets, the error they end with, and what the observer was told."""
    link = link_of(keys, settings, encoding)
    copy = CopyOut(plan, link)
    out: list[bytes] = []
    error: tuple[Any, ...] | None = None
    try:
        for part in run:
            made: list[bytes] = []
            try:
                copy.open(part, made)
            finally:
                out += payloads(b"".join(made))
        copy.check_done()
    except PgcryptError as raised:
        error = error_of(raised)
    except (IndexError, ValueError) as raised:  # authentic, but no value of the type: nothing makes such
        error = (type(raised),)
    # of a run that fails nobody gets anything
    return out if error is None else [], error, [what for what in told(link) if error is None or what[0] == "failed"]


@st.composite
def copies_out(draw: Any) -> tuple[CopyPlan, Keyring, list[bytes]]:
    made, format_ = draw(columns), draw(st.sampled_from([*LINE_FORMATS, BINARY]))
    is_binary = format_.kind is CopyKind.BINARY
    keys = ring(*RECORDS, grant=10**6)
    coder = Coder(format_, is_single=len(made) == 1)
    run = [HEADER] if is_binary else []
    for _ in range(draw(st.integers(0, 6))):
        fields: list[bytes | None] = []
        for index, column in enumerate(made):
            if not draw(st.integers(0, 6)):
                fields.append(None if is_binary else format_.null)
                continue
            if column is None:
                value = draw(st.text(max_size=6)).encode()
            else:
                name = next(n for n in TEXTS if type_by_name(n) == column.type)
                plaintext = draw(
                    BINARIES.get(name, st.binary(max_size=9)) if draw(st.integers(0, 9)) else st.binary(max_size=20)
                )
                terms = draw(st.sampled_from([(), (b"t" * 16,)]))
                value = keys.seal(SealContext(column.id, column.data_class), plaintext, terms, len(terms), len(terms))
                if not draw(st.integers(0, 20)):
                    value = value[:-1] + bytes([value[-1] ^ 1])
                if not is_binary:
                    value = b"\\x" + value.hex().encode()
                    if not draw(st.integers(0, 30)):
                        value = draw(
                            st.sampled_from([b"", b"\\", b"\\x", value[1:], value[:-1], value.upper(), b"x" + value])
                        )
            fields.append(value if is_binary else coder.encode(value, index))
        if is_binary:
            row = struct.pack("!h", len(made)) + b"".join(
                struct.pack("!i", -1) if f is None else struct.pack("!i", len(f)) + f for f in fields
            )
        else:
            row = format_.delimiter.join(f for f in fields if f is not None) + b"\n"
        run += [row] if draw(st.integers(0, 20)) else [row[:3], row[3:]]
    if is_binary:
        run.append(TRAILER)
    joined = [message(part) for part in run]
    split = draw(st.integers(0, len(joined)))
    return plan_of(made, format_, False, False), keys, [b"".join(joined[:split]), b"".join(joined[split:])]


@given(
    copies_out(),
    st.sampled_from([*SETTINGS, TextSettings(bytea_output="escape")]),
    st.sampled_from(["UTF8"] * 4 + ["LATIN1"]),
)
def test_rows_are_shown_as_the_reference_shows_them(
    case: tuple[CopyPlan, Keyring, list[bytes]], settings: TextSettings, encoding: str
) -> None:
    compiled = shown(*case, settings, encoding)
    with in_python():
        assert compiled == shown(*case, settings, encoding)


# -- what is compiled, really


def never(value: bytes) -> tuple[bytes, bytes | None, bytes | None]:
    raise ValueError(value)


def native_seals(keys: Keyring, column: ProtectedColumn, form: Any, convert: Any = never, most: int = -1) -> Any:
    flags = ("equality" in column.search) + 2 * column.is_folded
    found = keys.native_seals(SealContext(column.id, column.data_class), flags, "email", column.index_generation)
    assert found is not None
    (head, *macs, bound) = found[1]
    read = {"text": 0, "int4": 2, "bool": 4, "uuid": 5, "bytea": 6, "date": 7}[column.type.name]
    sealing = (read, head, *macs, column.is_folded_upper, bound, most, convert)
    return fast.native.Seals((None, sealing), form, 1000)


TEXT_FORM, CSV_FORM = (False, False, b"\t", b'"', b"\\N", None), (True, False, b",", b'"', b"", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", "Grüße \U0001f600"),
        ("bytea", "\\\\xdeadBEEF"),
        ("int4", "-12300"),
        ("bool", "true"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000"),
        ("date", "2024-02-29"),
        ("text", "\\N"),
    ],
)  # fmt: skip
def test_plain_values_need_no_python(name: str, value: str) -> None:
    data = f"1\t{value}\n".encode() * 3
    made, reached, rows, _, used = native_seals(ring(), column_of(name, frozenset({"equality"})), TEXT_FORM).seal(
        data, 0, b"\n", 9
    )
    assert (reached, rows, used[1]) == (len(data), 3, 0 if value == "\\N" else 3)
    assert value == "\\N" or value.encode() not in made


def test_ascii_letters_are_folded_without_python() -> None:
    keys, data = ring(), b"1\tUSER@Example.com[`{\n"
    for search in (["equality", "equality_casefold"], ["equality_upper"]):
        column = column_of("text", frozenset(search))
        made = native_seals(keys, column, TEXT_FORM).seal(data, 0, b"\n", 1)[0]
        term = envelope.parse(bytes.fromhex(made[5:-1].decode())).terms[-1]
        key = b"uUSER@EXAMPLE.COM[`{" if column.is_folded_upper else b"cuser@example.com[`{"
        assert term == keys.casefold_term("email", key, 1)


def test_a_conversion_that_fails_leaves_the_whole_row() -> None:
    keys, column = ring(), column_of("int4")
    good = b"1\t7\n"
    for convert in (never, lambda _: None, lambda _: (b"", b"", None), lambda _: (1, None, None), lambda _: ()):
        made, reached, rows, _, used = native_seals(keys, column, TEXT_FORM, convert).seal(
            good + b"1\tx\n", 0, b"\n", 9
        )
        assert (reached, rows, used) == (len(good), 1, (0, 1))
        assert made.count(b"\n") == 1


def test_no_more_rows_than_were_reserved() -> None:
    keys, data = ring(grant=5), b"1\ta\n" * 20
    seals = native_seals(keys, column_of("text"), TEXT_FORM)
    assert seals.seal(data, 0, b"\n", 3)[2:] == (3, (0, 3), (0, 3))
    assert seals.seal(data, 0, b"\n", 0) == (b"", 0, 0, (0, 0), (0, 0))


def copied(keys: Keyring, rows: int) -> tuple[Work, int]:
    link, work = link_of(keys, SETTINGS[0]), Work()
    copy = CopyIn(plan_of((None, column_of("text")), TEXT, True, False), link, work)
    copy.on_data(message(b"1\ta\n" * rows), SessionTenant(link))
    return work, b"".join(payloads(b"".join(link.to_backend))).count(b"\n")


def test_the_usage_limit_ends_a_copy_at_the_row_that_would_pass_it() -> None:
    keys = ring(grant=5)
    work, rows = copied(keys, 20)
    assert (rows, keys.remaining_seals("pii")) == (5, 0)
    assert work.copy_error is not None
    assert work.copy_error.code == "58030"


@pytest.mark.parametrize("what", ["expired", "no lease"])
def test_nothing_is_sealed_after_the_keys_time(what: str) -> None:
    clock = Clock()
    keys = ring(clock=clock)
    if what == "expired":
        clock.now = 1e9
    else:
        keys.end_leases()
    work, rows = copied(keys, 20)
    assert rows == 0
    assert work.copy_error is not None
    assert work.copy_error.code == "58030"


def test_a_closed_key_seals_nothing() -> None:
    for what in ("cipher", "mac"):
        keys, data = ring(), b"1\ta\n"
        made = native_seals(keys, column_of("text", frozenset({"equality"})), TEXT_FORM)
        assert made.seal(data, 0, b"\n", 9)[2] == 1
        if what == "cipher":
            keys.zeroise()
        else:
            keys._terms[1].zeroise()
        assert made.seal(data, 0, b"\n", 9)[:3] == (b"", 0, 0)


def test_a_conversion_cannot_use_the_same_rows_again() -> None:
    keys, data = ring(), b"1\tx\n"
    again: list[Any] = []

    def convert(value: bytes) -> tuple[bytes, None, None]:
        again.append(made.seal(data, 0, b"\n", 9))
        keys.zeroise()
        return value, None, None

    made = native_seals(keys, column_of("int4"), TEXT_FORM, convert)
    assert made.seal(data, 0, b"\n", 9)[:3] == (b"", 0, 0)  # its key was closed under it
    assert again == [(b"", 0, 0, (0, 0), (0, 0))]


def test_nonces_are_never_the_same() -> None:
    keys, data = ring(grant=10**6), b"1\t\n" * 5000
    made = native_seals(keys, column_of("text"), TEXT_FORM).seal(data, 0, b"\n", 10**6)[0]
    nonces = {bytes.fromhex(row[5 + 12 : 5 + 36].decode()) for row in made.split(b"\n")[:-1]}
    assert len(nonces) == 5000


def test_new_keys_are_taken_up_in_the_middle_of_a_copy() -> None:
    old, new = ring(), ring(record(1, state="retired"), record(2, "index"), record(9, generation=2))
    link, work = link_of(old, SETTINGS[0]), Work()
    copy = CopyIn(plan_of((None, column_of("text")), TEXT, True, False), link, work)
    for keys, key_id in ((old, 1), (new, 9)):
        link.values.keyring = keys
        link.to_backend.clear()
        copy.on_data(message(b"1\ta\n1\tb\n"), SessionTenant(link))
        for row in b"".join(payloads(b"".join(link.to_backend))).split(b"\n")[:-1]:
            assert envelope.parse(bytes.fromhex(row[5:].decode())).key_id == key_id
        old.zeroise()


forms = st.tuples(
    st.booleans(), st.booleans(), st.sampled_from([b"\t", b",", b"x", b"\xff"]), st.sampled_from([b'"', b"'"]),
    st.sampled_from([b"", b"\\N", b"N"]), st.none() | st.just(b"D"),
)  # fmt: skip
odd_bytes = st.lists(
    st.sampled_from([b"\\", b"\n", b"\r", b"\t", b",", b'"', b"x", b"7", b"\xc3\xa4", b"\0"]), max_size=60
)


@given(
    st.none() | forms,
    odd_bytes.map(b"".join) | st.binary(max_size=80),
    st.integers(0, 30),
    st.sampled_from([b"\n", b"\r\n"]),
)
@example(TEXT_FORM, b"1\t\\", 0, b"\n")
@example(TEXT_FORM, b"1\ta\r", 0, b"\r\n")
@example(CSV_FORM, b'1,"', 0, b"\n")
def test_any_bytes_are_sealed_or_left_alone(form: Any, data: bytes, at: int, eol: bytes) -> None:
    made = native_seals(ring(), column_of("text", frozenset({"equality"})), form)
    shown_rows = fast.native.Rows((None, (0, form is not None, (), b"", None)), ord("d"), form)
    if at > len(data):
        with pytest.raises(ValueError, match="outside"):
            made.seal(data, at, eol, 9)
        return
    out, reached, rows, _, used = made.seal(data, at, eol, 9)
    assert at <= reached <= len(data)
    assert used[1] >= rows - data.count(b"N") - data.count(b"D") if form is None else used[1] <= 9
    assert bool(rows) is (reached > at) is bool(out)
    run = message(data)
    out, reached, _ = shown_rows.open(run, 0)
    assert out == run[:reached]  # there is no key, so at most rows without a value pass


@pytest.mark.parametrize(
    "columns_and_form",
    [
        ((), TEXT_FORM),
        ((7,), TEXT_FORM),
        (((0,),), TEXT_FORM),
        ((None,), 7),
        ((None,), (False, False, b"", b'"', b"", None)),
        ((None,), (False, False, b"\n", b'"', b"", None)),
        ((None,), (False, False, b"\0", b'"', b"", None)),
        ((None,), (False, False, b"\\", b'"', b"", None)),
        ((None,), (True, False, b",", b",", b"", None)),
        ((None,), (True, False, b",", b'"', b"n" * 65, None)),
        ((None,), (True, False, b",", b'"', b"", b"d" * 65)),
    ],
)
def test_forms_and_columns_that_make_no_sense(columns_and_form: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        fast.native.Seals(*columns_and_form, 1000)


def test_sealings_that_make_no_sense() -> None:
    cipher, mac = fast.native.Cipher(bytes(32)), fast.native.Mac(bytes(32))
    good = [0, b"\1\1\0\0\0\1", cipher, mac, None, False, b"", -1, never]
    assert fast.native.Seals((tuple(good),), TEXT_FORM, 10)
    for index, wrong in ((0, 9), (0, -1), (1, b"\1\1"), (2, None), (3, None), (3, 7), (4, mac), (8, None)):
        with pytest.raises((TypeError, ValueError)):
            fast.native.Seals(((*good[:index], wrong, *good[index + 1 :]),), TEXT_FORM, 10)
    with pytest.raises(ValueError, match="32 bytes"):
        fast.native.Mac(b"short")
    for wrong_rows in ((ord("x"),), (ord("D"), TEXT_FORM)):
        with pytest.raises(ValueError, match="no such rows"):
            fast.native.Rows((None,), *wrong_rows)
