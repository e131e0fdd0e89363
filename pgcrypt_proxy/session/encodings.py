"""PostgreSQL's client encodings as Python codecs (the manual's "Character Set Support").

A text is read for planning with the codec that the server itself will use.
"""

from __future__ import annotations

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


def codec_of(client_encoding: str) -> str | None:
    """The Python codec of a PostgreSQL encoding, None where Python has none (MULE_INTERNAL, EUC_TW)."""
    return _CODECS.get(client_encoding.upper())


def is_rewritable(codec: str | None) -> bool:
    """Whether texts in this encoding may be rewritten: the rewritten text is UTF-8 or ASCII."""
    return codec in ("utf-8", "ascii")
