"""Every codec named exists in Python, and those that values are converted with are PostgreSQL's to the character."""

from __future__ import annotations

import codecs

import pytest

from pgcrypt_proxy.errors import InvalidValue, Refusal
from pgcrypt_proxy.session.encodings import _CODECS, ClientEncoding, codec_of
from tests.helpers.servers import PostgresServer


@pytest.mark.parametrize("name", sorted(_CODECS))
def test_codec_exists(name: str):
    assert codecs.lookup(_CODECS[name])


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("UTF8", "utf-8"), ("LATIN1", "iso8859_1"), ("LATIN9", "iso8859_15"), ("SQL_ASCII", "ascii"), ("EUC_TW", None)],
)
def test_codec_of(encoding: str, codec: str | None):
    assert codec_of(encoding) == codec


def test_encodings_whose_texts_are_rewritten():
    names = ("UTF8", "SQL_ASCII", "LATIN1", "WIN1252", "KOI8R", "EUC_CN")
    assert all(ClientEncoding(name).is_rewritable for name in names)
    names = ("SJIS", "GBK", "BIG5", "UHC", "GB18030", "JOHAB", "EUC_JP", "EUC_KR", "EUC_TW", "MULE_INTERNAL")
    assert not any(ClientEncoding(name).is_rewritable for name in names)


def test_values_go_both_ways():
    encoding = ClientEncoding("LATIN9")
    assert encoding.to_utf8(b"\xa4") == "\u20ac".encode()
    assert encoding.from_utf8("\u20ac".encode()) == b"\xa4"
    assert encoding.encoded("\u20ac") == b"\xa4"
    with pytest.raises(Refusal):
        encoding.encoded("\u4e2d")


@pytest.mark.parametrize(
    ("name", "data", "sqlstate"),
    [("WIN1252", b"\x81", "22P05"), ("EUC_CN", b"\xb0", "22021"), ("EUC_CN", b"\xa9\xf5\xfe\xfe", "22P05")],
)
def test_bytes_that_are_no_text(name: str, data: bytes, sqlstate: str):
    with pytest.raises(InvalidValue) as caught:
        ClientEncoding(name).to_utf8(data)
    assert caught.value.code == sqlstate


CONVERT = """
CREATE FUNCTION pg_temp.read(data bytea, encoding text) RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN convert_from(data, encoding); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
CREATE FUNCTION pg_temp.written(data text, encoding text) RETURNS bytea LANGUAGE plpgsql AS
$$ BEGIN RETURN convert_to(data, encoding); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$
"""


@pytest.mark.parametrize("name", sorted(n for n in _CODECS if ClientEncoding(n).is_exact and _CODECS[n] != "utf-8"))
def test_every_character_is_the_servers(postgres: PostgresServer, database: str, name: str):
    encoding = ClientEncoding(name)
    codec = encoding.codec
    assert codec is not None
    sequences = [bytes([one]) for one in range(1, 256)]
    if name == "EUC_CN":
        sequences += [bytes([one, two]) for one in range(0xA0, 256) for two in range(0xA0, 256)]
    characters = [chr(code) for code in (*range(1, 0x700), *range(0x1E00, 0x2300), *range(0x4E00, 0x4F00))]
    with postgres.connect(database) as connection:
        connection.execute(CONVERT)
        read = connection.execute("SELECT d, pg_temp.read(d, %s) FROM unnest(%s::bytea[]) d", [name, sequences])
        for sequence, text in read.fetchall():
            try:
                assert encoding.to_utf8(bytes(sequence)).decode() == text
            except InvalidValue:
                assert text is None
        written = connection.execute("SELECT t, pg_temp.written(t, %s) FROM unnest(%s::text[]) t", [name, characters])
        for text, sequence in written.fetchall():
            try:
                assert encoding.from_utf8(text.encode()) == sequence
            except InvalidValue:
                assert sequence is None
