"""interval: binary form, the four output styles, modifiers, and when two are equal.

Binary form (interval_send): Int64 microseconds, Int32 days, Int32 months.
"""

from __future__ import annotations

import struct

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import interval_input
from pgcrypt_proxy.values.interval_input import DAY_US, HOUR_US, INT32, MINUTE_US, SECOND_US
from pgcrypt_proxy.values.modifiers import FULL_PRECISION, FULL_RANGE, INTERVAL_FIELDS, interval_parts
from pgcrypt_proxy.values.problems import BadFormat, FieldOverflow, bad_datetime, check_size
from pgcrypt_proxy.values.settings import TextSettings

_INTERVAL = struct.Struct("!qii")
_INFINITE = {
    1: _INTERVAL.pack(2**63 - 1, 2**31 - 1, 2**31 - 1),
    -1: _INTERVAL.pack(-(2**63), -(2**31), -(2**31)),
}


def _out_of_range() -> InvalidValue:
    return InvalidValue("interval out of range", sqlstate="22008")


def interval_in(text: bytes, typmod: int, settings: TextSettings) -> bytes:
    """interval's input, in binary. The modifier says what a number without unit is, and is applied."""
    fields, _ = interval_parts(typmod)
    try:
        found = interval_input.parse(text.decode("utf-8", "replace"), fields, settings.interval_style == "sql_standard")
    except BadFormat:
        raise bad_datetime("interval", "Write intervals in a form like '1 year 2 mons 3 days 04:05:06'.") from None
    except FieldOverflow:
        raise InvalidValue("interval field value out of range", sqlstate="22015") from None
    if isinstance(found, int):
        return _INFINITE[found]
    months = found.years * 12 + found.months
    if not -INT32 <= months < INT32:
        raise _out_of_range()
    made = _INTERVAL.pack(found.us, found.days, months)
    if made in _INFINITE.values():
        raise _out_of_range()
    return fit(made, typmod)


def parts(data: bytes) -> tuple[int, int, int]:
    """(microseconds, days, months). Raises InvalidValue (08P01, 22P03) for another length."""
    check_size("interval", data, _INTERVAL.size)
    us, days, months = _INTERVAL.unpack(data)
    return us, days, months


def fit(data: bytes, typmod: int) -> bytes:
    """The interval under a modifier: finer fields are cut, seconds are rounded (AdjustIntervalForTypmod)."""
    if typmod < 0 or data in _INFINITE.values():
        return data
    us, days, months = parts(data)
    fields, precision = interval_parts(typmod)
    if fields != FULL_RANGE:
        if fields == INTERVAL_FIELDS["year"]:
            months = _cut(months, 12)
        finest = next(name for name in reversed(INTERVAL_FIELDS) if fields & INTERVAL_FIELDS[name])
        if finest in ("year", "month"):
            us = days = 0
        elif finest != "second":
            us = _cut(us, {"day": 0, "hour": HOUR_US, "minute": MINUTE_US}[finest])
    if precision != FULL_PRECISION:
        scale = 10 ** (6 - precision)
        us = _cut(us + (scale // 2 if us >= 0 else -(scale // 2)), scale)
        if not -(2**63) <= us < 2**63:
            raise _out_of_range()
    return _INTERVAL.pack(us, days, months)


def _cut(value: int, unit: int) -> int:
    """`value` without what is less than `unit`, towards zero; nothing is left for unit 0."""
    if unit == 0:
        return 0
    return abs(value) // unit * unit * (1 if value >= 0 else -1)


def interval_key(data: bytes) -> bytes:
    """Equal for equal spans: a month is 30 days, a day 24 hours."""
    us, days, months = parts(data)
    return str((months * 30 + days) * DAY_US + us).encode()


def interval_out(data: bytes, settings: TextSettings) -> bytes:
    """interval's output in the session's IntervalStyle (EncodeInterval)."""
    for sign, made in _INFINITE.items():
        if data == made:
            return b"infinity" if sign > 0 else b"-infinity"
    us, days, months = parts(data)
    sign = -1 if us < 0 else 1
    seconds, fraction = divmod(abs(us), SECOND_US)
    year_sign = -1 if months < 0 else 1
    fields = (
        year_sign * (abs(months) // 12),
        year_sign * (abs(months) % 12),
        days,
        sign * (seconds // 3600),
        sign * (seconds // 60 % 60),
        sign * (seconds % 60),
        sign * fraction,
    )
    style = _STYLES.get(settings.interval_style, _postgres)
    return style(*fields).encode()


def _seconds(sec: int, fsec: int, width: int) -> str:
    text = f"{abs(sec):0{width}d}"
    return text + (f".{abs(fsec):06d}".rstrip("0") if fsec else "")


def _postgres(year: int, mon: int, day: int, hour: int, minute: int, sec: int, fsec: int) -> str:
    written: list[str] = []
    is_before = False
    for value, unit in ((year, "year"), (mon, "mon"), (day, "day")):
        if value:
            plus = "+" if is_before and value > 0 else ""
            written.append(f"{plus}{value} {unit}{'' if value == 1 else 's'}")
            is_before = value < 0
    if not written or hour or minute or sec or fsec:
        is_minus = min(hour, minute, sec, fsec) < 0
        sign = "-" if is_minus else "+" if is_before else ""
        written.append(f"{sign}{abs(hour):02d}:{abs(minute):02d}:{_seconds(sec, fsec, 2)}")
    return " ".join(written)


def _verbose(year: int, mon: int, day: int, hour: int, minute: int, sec: int, fsec: int) -> str:
    written = ["@"]
    is_before: bool | None = None
    for value, unit in ((year, "year"), (mon, "mon"), (day, "day"), (hour, "hour"), (minute, "min")):
        if value:
            is_before = value < 0 if is_before is None else is_before
            shown = -value if is_before else value
            written.append(f"{shown} {unit}{'' if shown == 1 else 's'}")
    if sec or fsec:
        is_minus = sec < 0 or (sec == 0 and fsec < 0)
        is_before = is_minus if is_before is None else is_before
        sign = "-" if is_minus != is_before else ""
        written.append(f"{sign}{_seconds(sec, fsec, 1)} sec{'s' if abs(sec) != 1 or fsec else ''}")
    if is_before is None:
        written.append("0")
    return " ".join(written) + (" ago" if is_before else "")


def _sql(year: int, mon: int, day: int, hour: int, minute: int, sec: int, fsec: int) -> str:
    fields = (year, mon, day, hour, minute, sec, fsec)
    has_negative, has_positive = min(fields) < 0, max(fields) > 0
    if not has_negative and not has_positive:
        return "0"
    has_months, has_rest = any(fields[:2]), any(fields[2:])
    clock = f"{abs(hour)}:{abs(minute):02d}:{_seconds(sec, fsec, 2)}"
    if (has_negative and has_positive) or (has_months and has_rest):
        signs = ["-" if min(group) < 0 else "+" for group in (fields[:2], fields[2:3], fields[3:])]
        return f"{signs[0]}{abs(year)}-{abs(mon)} {signs[1]}{abs(day)} {signs[2]}{clock}"
    sign = "-" if has_negative else ""
    if has_months:
        return f"{sign}{abs(year)}-{abs(mon)}"
    return f"{sign}{abs(day)} {clock}" if day else sign + clock


def _iso(year: int, mon: int, day: int, hour: int, minute: int, sec: int, fsec: int) -> str:
    date = "".join(f"{value}{unit}" for value, unit in ((year, "Y"), (mon, "M"), (day, "D")) if value)
    time = "".join(f"{value}{unit}" for value, unit in ((hour, "H"), (minute, "M")) if value)
    if sec or fsec:
        time += f"{'-' if min(sec, fsec) < 0 else ''}{_seconds(sec, fsec, 1)}S"
    if not date and not time:
        return "PT0S"
    return "P" + date + ("T" + time if time else "")


_STYLES = {"postgres": _postgres, "postgres_verbose": _verbose, "sql_standard": _sql, "iso_8601": _iso}
