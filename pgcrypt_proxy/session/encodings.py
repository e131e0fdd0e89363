"""PostgreSQL's client encodings as Python codecs (the manual's "Character Set Support").

A text is read for planning with the codec that the server itself will use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from pgcrypt_proxy.errors import InvalidValue, Refusal

_CODECS = {
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "SQL_ASCII": "ascii",
    "BIG5": "cp950",
    "EUC_CN": "gb2312",
    "EUC_JP": "euc_jp",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_KR": "euc_kr",
    "GB18030": "gb18030",
    "GBK": "cp936",
    "ISO_8859_5": "iso8859_5",
    "ISO_8859_6": "iso8859_6",
    "ISO_8859_7": "iso8859_7",
    "ISO_8859_8": "iso8859_8",
    "JOHAB": "johab",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "SHIFT_JIS_2004": "shift_jis_2004",
    "SJIS": "cp932",
    "UHC": "cp949",
    **{f"LATIN{n}": f"iso8859_{part}" for n, part in enumerate((1, 2, 3, 4, 9, 10, 13, 14, 15, 16), 1)},
    **{f"WIN{n}": f"cp{n}" for n in (866, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)},
}


#: Codecs that give every character exactly as PostgreSQL's own conversion does, and in which no byte of a longer
#: character is ASCII: what is written into a text stands where it was meant to.
_EXACT = frozenset(
    {"utf-8", "gb2312", *(codec for codec in _CODECS.values() if codec.startswith(("iso8859_", "koi8_")))}
    | {f"cp{n}" for n in (866, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)}
)
_EUC_FORM = re.compile(rb"(?:[\x01-\x7f]|[\xa1-\xfe]{2})*+")


@lru_cache(maxsize=64)
def codec_of(client_encoding: str) -> str | None:
    """The Python codec of a PostgreSQL encoding, None where Python has none (MULE_INTERNAL, EUC_TW)."""
    return _CODECS.get(client_encoding.upper())


@dataclass(frozen=True, slots=True)
class ClientEncoding:
    """What the client's texts and text values are written in; stored plaintext is always UTF-8."""

    name: str

    @property
    def codec(self) -> str | None:
        return codec_of(self.name)

    @property
    def is_utf8(self) -> bool:
        return self.codec == "utf-8"

    @property
    def is_exact(self) -> bool:
        """Whether values can be converted both ways."""
        return self.codec in _EXACT

    @property
    def is_rewritable(self) -> bool:
        """Whether texts may be rewritten. With SQL_ASCII the server converts nothing: only ASCII texts are read."""
        return self.is_exact or self.codec == "ascii"

    def to_utf8(self, data: bytes) -> bytes:
        """A client's text value as the server would store it. Raises InvalidValue as its conversion does."""
        codec = self.codec
        if codec in ("utf-8", "ascii", None) or data.isascii():
            return data
        try:
            return data.decode(codec).encode()
        except UnicodeDecodeError:
            if codec == "gb2312" and not _EUC_FORM.fullmatch(data):
                raise InvalidValue(f'invalid byte sequence for encoding "{self.name}"', sqlstate="22021") from None
            raise self._no_equivalent(self.name, "UTF8") from None

    def from_utf8(self, data: bytes) -> bytes:
        """A stored text as the client gets it. Raises InvalidValue as the server's conversion does."""
        codec = self.codec
        if codec in ("utf-8", "ascii") or data.isascii():
            return data
        try:
            if codec is not None and self.is_exact:
                return data.decode().encode(codec)
        except UnicodeError:
            raise self._no_equivalent("UTF8", self.name) from None
        raise InvalidValue(
            "a protected value cannot be converted to the client's encoding",
            hint="SET client_encoding TO 'UTF8'.",
            sqlstate="22P05",
        )

    def encoded(self, text: str) -> bytes:
        """A rewritten text. Raises Refusal."""
        try:
            return text.encode(self.codec or "undefined")
        except (UnicodeError, LookupError):
            raise Refusal(
                "the rewritten statement cannot be written in this client encoding",
                hint="SET client_encoding TO 'UTF8'.",
            ) from None

    @staticmethod
    def _no_equivalent(source: str, target: str) -> InvalidValue:
        """PostgreSQL shows the character's bytes as well."""
        return InvalidValue(
            f'a character in encoding "{source}" has no equivalent in encoding "{target}"', sqlstate="22P05"
        )


UTF8 = ClientEncoding("UTF8")
