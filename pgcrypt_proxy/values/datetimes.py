"""date, timestamp and timestamptz: the common input forms, and all output styles.

A form that is not known here is refused (22007), never guessed. Binary forms:
days or microseconds from 2000-01-01 (UTC), extremes for the infinities.
"""

from __future__ import annotations

import re
import struct

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import calendar as cal
from pgcrypt_proxy.values import clock, zones
from pgcrypt_proxy.values.problems import (
    bad_datetime,
    check_size,
    datetime_out_of_range,
    field_out_of_range,
)
from pgcrypt_proxy.values.settings import TextSettings

_DATE = struct.Struct("!i")
_TIMESTAMP = struct.Struct("!q")
_DATE_INFINITY = {"infinity": 2**31 - 1, "+infinity": 2**31 - 1, "-infinity": -(2**31)}
_TIMESTAMP_INFINITY = {"infinity": 2**63 - 1, "+infinity": 2**63 - 1, "-infinity": -(2**63)}
TIMESTAMPTZ, TIMESTAMP = "timestamp with time zone", "timestamp"

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
        r"(?P<a>\d{1,2})(?P<s>[/.-])(?P<b>\d{1,2})(?P=s)(?P<y>\d{4,7})",
        r"(?P<name>[A-Za-z]{3,9}) +(?P<d>\d{1,2}),? +(?P<y>\d{4,7})",
        r"(?P<d>\d{1,2})[ -](?P<name>[A-Za-z]{3,9})[ -](?P<y>\d{4,7})",
        r"(?P<y>\d{4})-(?P<name>[A-Za-z]{3,9})-(?P<d>\d{1,2})",
    )
)
_TIMESTAMP_FORM = re.compile(
    r"(?P<date>.*?\d(?:[- ][A-Za-z]{3,9}[- ]\d+)?)(?:(?: +|[Tt] *)" + clock.TIME + clock.ZONE + ")?"
)


def _strip_bc(text: str) -> tuple[str, bool]:
    found = re.fullmatch(r"(.*?) *(BC|AD)", text, re.IGNORECASE)
    return (found.group(1), found.group(2).upper() == "BC") if found else (text, False)


def _date(text: str, is_bc: bool, settings: TextSettings, type_name: str) -> int:
    """Days from 2000-01-01."""
    found = next((match for form in _DATE_FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        raise clock.bad(text, type_name)
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


def _parts(text: str, settings: TextSettings, type_name: str) -> tuple[int, int, str | None]:
    """Days from 2000-01-01, microseconds since midnight, and the zone that the text names."""
    word, is_bc = _strip_bc(_reordered(text))
    found = _TIMESTAMP_FORM.fullmatch(word)
    if found is None:
        raise clock.bad(text, type_name)
    parts = found.groupdict()
    days = _date(parts["date"].strip(), is_bc, settings, type_name)
    return days, clock.of_day(parts, type_name), parts["zone"]


def _local(text: str, settings: TextSettings, type_name: str) -> tuple[int, str | None]:
    """Microseconds from 2000-01-01 in local time, and the zone that the text names."""
    days, of_day, zone = _parts(text, settings, type_name)
    return days * cal.DAY_US + of_day, zone


#: "Wed Jan 01 12:00:00 2024", the form of DateStyle Postgres: the year comes last.
_YEAR_LAST = re.compile(r"(\d{1,2} +[A-Za-z]{3,9}|[A-Za-z]{3,9} +\d{1,2}) +([0-9:.]+) +(\d{4,6})(?!\d|:)(.*)")
_WEEKDAY = re.compile(
    r"(?:sun|mon|tue|wed|thu|fri|sat|sunday|monday|tues|tuesday|wednesday|weds|thur|thurs|thursday|friday|saturday)"
    r",? +",
    re.IGNORECASE,
)


def _reordered(text: str) -> str:
    """`text` without its day of the week, with the year beside month and day."""
    found = _WEEKDAY.match(text)
    rest = text[found.end() :] if found else text
    moved = _YEAR_LAST.fullmatch(rest)
    if moved is None:
        return rest
    date, time, year, tail = moved.groups()
    return f"{date} {year} {time}{tail}"


def _special(text: bytes, infinities: dict[str, int], epoch: int) -> tuple[str, int | None]:
    """The text without white space around it, and the value if it is a word for one."""
    word = text.decode("utf-8", "replace").strip(" \t\n\r\v\f")
    lower = word.lower()
    return word, epoch if lower == "epoch" else infinities.get(lower)


_EPOCH = cal.days_from_civil(1970, 1, 1)


def date_in(text: bytes, settings: TextSettings) -> bytes:
    """date's input, in binary; a time of day that stands behind it must be one, and does not count."""
    word, special = _special(text, _DATE_INFINITY, _EPOCH)
    if special is not None:
        return _DATE.pack(special)
    days = _parts(word, settings, "date")[0]
    if not cal.MIN_DATE <= days < cal.END_DATE:
        raise InvalidValue("date out of range", sqlstate="22008")
    return _DATE.pack(days)


def timestamp_in(text: bytes, settings: TextSettings) -> bytes:
    """timestamp's input, in binary; a zone does not count."""
    word, special = _special(text, _TIMESTAMP_INFINITY, _EPOCH * cal.DAY_US)
    if special is not None:
        return _TIMESTAMP.pack(special)
    local, zone = _local(word, settings, TIMESTAMP)
    if zone is not None:
        clock.zone_offset(zone, local)
    return _TIMESTAMP.pack(_in_range(local))


def timestamptz_in(text: bytes, settings: TextSettings) -> bytes:
    """timestamptz's input, in binary; a time without zone is one of the session's zone."""
    word, special = _special(text, _TIMESTAMP_INFINITY, _EPOCH * cal.DAY_US)
    if special is not None:
        return _TIMESTAMP.pack(special)
    local, zone = _local(word, settings, TIMESTAMPTZ)
    offset = zones.local_offset(local, settings.time_zone) if zone is None else clock.zone_offset(zone, local)
    return _TIMESTAMP.pack(_in_range(local - offset * 1_000_000))


def _in_range(value: int) -> int:
    if not cal.MIN_TIMESTAMP <= value < cal.END_TIMESTAMP:
        raise datetime_out_of_range("timestamp")
    return value


def fit(data: bytes, typmod: int) -> bytes:
    """A timestamp with the modifier's number of decimals, a half rounded away from zero."""
    value = timestamp_value(data)
    if typmod < 0 or value in _TIMESTAMP_INFINITY.values():
        return data
    return _TIMESTAMP.pack(_in_range(clock.rounded(value, typmod)))


def date_value(data: bytes) -> int:
    """Days from 2000-01-01. Raises InvalidValue for what date_recv refuses."""
    check_size("date", data, _DATE.size)
    days: int = _DATE.unpack(data)[0]
    if days not in _DATE_INFINITY.values() and not cal.MIN_DATE <= days < cal.END_DATE:
        raise InvalidValue("date out of range", sqlstate="22008")
    return days


def timestamp_value(data: bytes) -> int:
    """Microseconds from 2000-01-01 UTC. Raises InvalidValue for what timestamptz_recv refuses."""
    check_size(TIMESTAMPTZ, data, _TIMESTAMP.size)
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


def timestamp_out(data: bytes, settings: TextSettings) -> bytes:
    """timestamp's output in the session's DateStyle."""
    return _timestamp_out(data, settings, "")


def timestamptz_out(data: bytes, settings: TextSettings) -> bytes:
    """timestamptz's output in the session's zone and DateStyle."""
    return _timestamp_out(data, settings, settings.time_zone)


def _timestamp_out(data: bytes, settings: TextSettings, zone: str) -> bytes:
    """EncodeDateTime; `zone` is empty for a timestamp without one."""
    value = timestamp_value(data)
    if value in (2**63 - 1, -(2**63)):
        return b"infinity" if value > 0 else b"-infinity"
    offset, abbreviation = zones.from_utc(value, zone) if zone else (0, "")
    days, of_day = divmod(value + offset * 1_000_000, cal.DAY_US)
    year, month, day, era = _civil(days)
    time = clock.written(of_day)
    style, is_dmy = settings.output_style, settings.date_order == "DMY"
    suffix = f" {abbreviation}" if zone else ""
    if style == "ISO":
        text = f"{year:04d}-{month:02d}-{day:02d} {time}{clock.offset_written(offset) if zone else ''}"
    elif style == "SQL":
        first, second = (day, month) if is_dmy else (month, day)
        text = f"{first:02d}/{second:02d}/{year:04d} {time}{suffix}"
    elif style == "German":
        text = f"{day:02d}.{month:02d}.{year:04d} {time}{suffix}"
    else:
        weekday = cal.WEEKDAYS[(days + 6) % 7]
        name = cal.MONTHS[month - 1]
        middle = f"{day:02d} {name}" if is_dmy else f"{name} {day:02d}"
        text = f"{weekday} {middle} {time} {year:04d}{suffix}"
    return (text + era).encode()
