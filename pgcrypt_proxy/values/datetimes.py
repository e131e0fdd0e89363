"""date and timestamptz: the common input forms, and all output styles.

A form that is not known here is refused (22007), never guessed. Binary forms:
days or microseconds from 2000-01-01 (UTC), extremes for the infinities.
"""

from __future__ import annotations

import re
import struct

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import calendar as cal
from pgcrypt_proxy.values import zones
from pgcrypt_proxy.values.problems import (
    bad_binary,
    bad_datetime,
    datetime_out_of_range,
    field_out_of_range,
)
from pgcrypt_proxy.values.settings import TextSettings

_DATE = struct.Struct("!i")
_TIMESTAMP = struct.Struct("!q")
_DATE_INFINITY = {"infinity": 2**31 - 1, "+infinity": 2**31 - 1, "-infinity": -(2**31)}
_TIMESTAMP_INFINITY = {"infinity": 2**63 - 1, "+infinity": 2**63 - 1, "-infinity": -(2**63)}
TIMESTAMPTZ = "timestamp with time zone"

_MONTH_NAMES = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"),
            ("february", "feb"),
            ("march", "mar"),
            ("april", "apr"),
            ("may",),
            ("june", "jun"),
            ("july", "jul"),
            ("august", "aug"),
            ("september", "sep", "sept"),
            ("october", "oct"),
            ("november", "nov"),
            ("december", "dec"),
        ),
        1,
    )
    for name in names
}
_DATE_FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<y>\d{4,7})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
        r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})",
        r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
        r"(?P<a>\d{1,2})(?P<s>[/.-])(?P<b>\d{1,2})(?P=s)(?P<y>\d{4})",
        r"(?P<name>[A-Za-z]{3,9}) +(?P<d>\d{1,2}),? +(?P<y>\d{4})",
        r"(?P<d>\d{1,2})[ -](?P<name>[A-Za-z]{3,9})[ -](?P<y>\d{4})",
        r"(?P<y>\d{4})-(?P<name>[A-Za-z]{3,9})-(?P<d>\d{1,2})",
    )
)
_TIMESTAMP_FORM = re.compile(
    r"(?P<date>.*?\d)"
    r"(?:(?: +|T|t)(?P<h>\d{1,2}):(?P<mi>\d{2})(?::(?P<sec>\d{2})(?:\.(?P<f>\d*))?)?"
    r"(?: *(?P<zone>[Zz]|[+-]\d{1,2}(?::?\d{2}(?::?\d{2})?)?"
    r"|[A-Za-z][A-Za-z_]*(?:/[A-Za-z0-9_+-]+)+|(?:UTC|GMT|utc|gmt)))?)?"
)


def _strip_bc(text: str) -> tuple[str, bool]:
    found = re.fullmatch(r"(.*?) *(BC|AD)", text, re.IGNORECASE)
    return (found.group(1), found.group(2).upper() == "BC") if found else (text, False)


def _date(text: str, is_bc: bool, settings: TextSettings, type_name: str) -> int:
    """Days from 2000-01-01."""
    found = next((match for form in _DATE_FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        raise bad_datetime(type_name)
    parts = found.groupdict()
    year = int(parts["y"])
    if parts.get("name"):
        month = _MONTH_NAMES.get(parts["name"].lower(), 0)
        if not month:
            raise bad_datetime(type_name)
        day = int(parts["d"])
    elif parts.get("a"):
        month, day = int(parts["a"]), int(parts["b"])
        if settings.date_order == "YMD":
            raise bad_datetime(type_name)
        if settings.date_order == "DMY":
            month, day = day, month
    else:
        month, day = int(parts["m"]), int(parts["d"])
    if year == 0 or not 1 <= month <= 12:
        raise field_out_of_range(type_name)
    if is_bc:
        year = 1 - year
    if not 1 <= day <= cal.month_days(year, month):
        raise field_out_of_range(type_name)
    return cal.days_from_civil(year, month, day)


def date_in(text: bytes, settings: TextSettings) -> bytes:
    """date's input, in binary."""
    word = text.decode("utf-8", "replace").strip()
    special = _DATE_INFINITY.get(word.lower())
    if special is not None:
        return _DATE.pack(special)
    if word.lower() == "epoch":
        return _DATE.pack(cal.days_from_civil(1970, 1, 1))
    days = _date(*_strip_bc(word), settings, "date")
    if not cal.MIN_DATE <= days < cal.END_DATE:
        raise InvalidValue("date out of range", sqlstate="22008")
    return _DATE.pack(days)


def timestamptz_in(text: bytes, settings: TextSettings) -> bytes:
    """timestamptz's input, in binary; a time without zone is one of the session's zone."""
    word = text.decode("utf-8", "replace").strip()
    special = _TIMESTAMP_INFINITY.get(word.lower())
    if special is not None:
        return _TIMESTAMP.pack(special)
    if word.lower() == "epoch":
        return _TIMESTAMP.pack(cal.days_from_civil(1970, 1, 1) * cal.DAY_US)
    word, is_bc = _strip_bc(word)
    found = _TIMESTAMP_FORM.fullmatch(word)
    if found is None:
        raise bad_datetime(TIMESTAMPTZ)
    parts = found.groupdict()
    local = _date(parts["date"].strip(), is_bc, settings, TIMESTAMPTZ) * cal.DAY_US
    if parts["h"] is not None:
        local += _time_of_day(parts)
    offset = _zone_offset(parts["zone"], local, settings)
    value = local - offset * 1_000_000
    if not cal.MIN_TIMESTAMP <= value < cal.END_TIMESTAMP:
        raise datetime_out_of_range("timestamp")
    return _TIMESTAMP.pack(value)


def _time_of_day(parts: dict[str, str | None]) -> int:
    """Microseconds since midnight; 24:00:00 and a leap second 60 are the next day's or minute's."""
    hour, minute, second = int(parts["h"] or 0), int(parts["mi"] or 0), int(parts["sec"] or 0)
    micro = _microseconds(parts["f"] or "")
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and (minute or second or micro)):
        raise field_out_of_range(TIMESTAMPTZ)
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro


def _microseconds(digits: str) -> int:
    """A fraction of a second, rounded to the nearest microsecond, a half to even as PostgreSQL's rint does."""
    if len(digits) <= 6:
        return int(digits.ljust(6, "0"))
    return round(float(f"0.{digits}") * 1_000_000)


def _zone_offset(name: str | None, local: int, settings: TextSettings) -> int:
    if name is None:
        return zones.local_offset(local, settings.time_zone)
    if name[0] in "+-":
        digits = name[1:].replace(":", "")
        if len(digits) == 3:
            digits = "0" + digits
        hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
        if hours > 15 or minutes > 59 or seconds > 59:
            raise InvalidValue("time zone displacement out of range", sqlstate="22009")
        offset = (hours * 60 + minutes) * 60 + seconds
        return -offset if name[0] == "-" else offset
    return zones.local_offset(local, "UTC" if name in ("Z", "z") else name)


def date_value(data: bytes) -> int:
    """Days from 2000-01-01. Raises InvalidValue for what date_recv refuses."""
    if len(data) != _DATE.size:
        raise bad_binary("date")
    days: int = _DATE.unpack(data)[0]
    if days not in _DATE_INFINITY.values() and not cal.MIN_DATE <= days < cal.END_DATE:
        raise InvalidValue("date out of range", sqlstate="22008")
    return days


def timestamp_value(data: bytes) -> int:
    """Microseconds from 2000-01-01 UTC. Raises InvalidValue for what timestamptz_recv refuses."""
    if len(data) != _TIMESTAMP.size:
        raise bad_binary(TIMESTAMPTZ)
    value: int = _TIMESTAMP.unpack(data)[0]
    if value not in _TIMESTAMP_INFINITY.values() and not cal.MIN_TIMESTAMP <= value < cal.END_TIMESTAMP:
        raise datetime_out_of_range("timestamp")
    return value


def _civil(days: int) -> tuple[int, int, int, str]:
    year, month, day = cal.civil_from_days(days)
    return (1 - year, month, day, " BC") if year <= 0 else (year, month, day, "")


def date_out(data: bytes, settings: TextSettings) -> bytes:
    """date's output in the session's DateStyle (EncodeDateOnly)."""
    days = date_value(data)
    if days in (2**31 - 1, -(2**31)):
        return b"infinity" if days > 0 else b"-infinity"
    year, month, day, era = _civil(days)
    style, is_dmy = settings.output_style, settings.date_order == "DMY"
    first, second = (day, month) if is_dmy else (month, day)
    if style == "ISO":
        text = f"{year:04d}-{month:02d}-{day:02d}"
    elif style == "SQL":
        text = f"{first:02d}/{second:02d}/{year:04d}"
    elif style == "German":
        text = f"{day:02d}.{month:02d}.{year:04d}"
    else:
        text = f"{first:02d}-{second:02d}-{year:04d}"
    return (text + era).encode()


def timestamptz_out(data: bytes, settings: TextSettings) -> bytes:
    """timestamptz's output in the session's zone and DateStyle (EncodeDateTime)."""
    value = timestamp_value(data)
    if value in (2**63 - 1, -(2**63)):
        return b"infinity" if value > 0 else b"-infinity"
    offset, abbreviation = zones.from_utc(value, settings.time_zone)
    days, of_day = divmod(value + offset * 1_000_000, cal.DAY_US)
    year, month, day, era = _civil(days)
    time = _time(of_day)
    style, is_dmy = settings.output_style, settings.date_order == "DMY"
    if style == "ISO":
        text = f"{year:04d}-{month:02d}-{day:02d} {time}{_offset(offset)}"
    elif style == "SQL":
        first, second = (day, month) if is_dmy else (month, day)
        text = f"{first:02d}/{second:02d}/{year:04d} {time} {abbreviation}"
    elif style == "German":
        text = f"{day:02d}.{month:02d}.{year:04d} {time} {abbreviation}"
    else:
        weekday = cal.WEEKDAYS[(days + 6) % 7]
        name = cal.MONTHS[month - 1]
        middle = f"{day:02d} {name}" if is_dmy else f"{name} {day:02d}"
        text = f"{weekday} {middle} {time} {year:04d} {abbreviation}"
    return (text + era).encode()


def _time(of_day: int) -> str:
    seconds, micro = divmod(of_day, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{micro:06d}".rstrip("0") if micro else "")


def _offset(seconds: int) -> str:
    sign = "-" if seconds < 0 else "+"
    seconds = abs(seconds)
    text = f"{sign}{seconds // 3600:02d}"
    if seconds % 3600:
        text += f":{seconds // 60 % 60:02d}"
    if seconds % 60:
        text += f":{seconds % 60:02d}"
    return text
