"""Every codec named exists in Python and every name is PostgreSQL's."""

from __future__ import annotations

import codecs

import pytest

from pgcrypt_proxy.session.encodings import _CODECS, codec_of, is_rewritable


@pytest.mark.parametrize("name", sorted(_CODECS))
def test_codec_exists(name: str):
    assert codecs.lookup(_CODECS[name])


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("UTF8", "utf-8"), ("LATIN1", "iso8859_1"), ("LATIN9", "iso8859_15"), ("SQL_ASCII", "ascii"), ("EUC_TW", None)],
)
def test_codec_of(encoding: str, codec: str | None):
    assert codec_of(encoding) == codec


def test_only_utf8_and_ascii_texts_are_rewritten():
    assert [is_rewritable(codec) for codec in ("utf-8", "ascii", "cp932", None)] == [True, True, False, False]
