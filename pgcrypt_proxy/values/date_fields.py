"""The fields that PostgreSQL cuts the text of a date, time or interval into (ParseDateTime in datetime.c)."""

from __future__ import annotations

import re
from enum import Enum

from pgcrypt_proxy.values.problems import BadFormat

MAX_FIELDS = 25
MAX_LENGTH = 256
_WHITE = " \t\n\r\v\f"


class Kind(Enum):
    """What a field may be, by its form alone."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    ZONE = "zone"  # a sign and digits: a zone, a signed number, or years and months
    WORD = "word"
    SIGNED_WORD = "signed word"


_FORMS = (
    (Kind.TIME, re.compile(r"[0-9]+:[0-9:.]*")),
    (Kind.DATE, re.compile(r"[0-9]+([-/.])[0-9]+\1(?:[0-9]|\1)*")),
    (Kind.DATE, re.compile(r"[0-9]+[-/][0-9]+")),
    (Kind.NUMBER, re.compile(r"[0-9]+\.[0-9]+")),
    (Kind.DATE, re.compile(r"[0-9]+([-/.])(?:[0-9A-Za-z]|\1)*")),
    (Kind.NUMBER, re.compile(r"[0-9]+|\.[0-9]*")),
    (Kind.WORD, re.compile(r"[A-Za-z]+")),
)
_SIGNED = re.compile(r"([+-])[ \t\n\r\v\f]*(?:([0-9][0-9:.-]*)|([A-Za-z]+))")


#: The words of datetktbl: a digit behind one of them begins a field of its own.
_CORE_WORDS = frozenset(
    """
    ad allballs am apr april at aug august bc d dec december dow doy epoch feb february fri friday h infinity isodow
    isoyear j jan january jd jul julian july jun june m mar march may mm mon monday nov november now oct october on pm
    s sat saturday sep sept september sun sunday t thu thur thurs thursday today tomorrow tue tues tuesday wed
    wednesday weds y yesterday
    """.split()  # noqa: SIM905 - a list of quoted words is harder to read
)


def _is_date_word(word: str, follower: str) -> bool:
    """Whether a word goes on as a date or a zone's name, after what follows it."""
    if follower in ("-", "/", "."):
        return True
    return (follower == "+" or follower.isdigit()) and word not in _CORE_WORDS


def split(text: str) -> list[tuple[Kind, str]]:
    """The fields, in lower case. Raises BadFormat."""
    fields: list[tuple[Kind, str]] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character in _WHITE:
            at += 1
            continue
        if len(fields) >= MAX_FIELDS or not "\x20" <= character <= "\x7e":
            raise BadFormat
        if character in "+-":
            signed = _SIGNED.match(text, at)
            if signed is None:
                raise BadFormat
            sign, number, word = signed.groups()
            kind = Kind.ZONE if number else Kind.SIGNED_WORD
            fields.append((kind, sign + (number or word).lower()))
            at = signed.end()
            continue
        found = next(((kind, made) for kind, form in _FORMS if (made := form.match(text, at))), None)
        if found is None:  # other punctuation only separates
            at += 1
            continue
        kind, match = found
        at = match.end()
        if kind is Kind.WORD and _is_date_word(match[0].lower(), text[at : at + 1]):
            rest = re.compile(r"[0-9A-Za-z+\-/_.:]+").match(text, at)
            assert rest is not None
            fields.append((Kind.DATE, (match[0] + rest[0]).lower()))
            at = rest.end()
            continue
        fields.append((kind, match[0].lower()))
    if sum(len(field) + 1 for _, field in fields) > MAX_LENGTH:
        raise BadFormat
    return fields
