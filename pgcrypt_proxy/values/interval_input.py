"""interval's input: verbose, traditional, SQL standard and ISO 8601 (DecodeInterval in datetime.c).

A text is read as (months, days, microseconds). Fields are read from the right,
so that a unit is known before its number.
"""

from __future__ import annotations

import math
import re

from pgcrypt_proxy.values.date_fields import Kind, split
from pgcrypt_proxy.values.modifiers import INTERVAL_FIELDS, INTERVAL_RANGES
from pgcrypt_proxy.values.problems import BadFormat, FieldOverflow

SECOND_US, MINUTE_US, HOUR_US, DAY_US = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
INT32, INT64 = 2**31, 2**63

_UNITS = {
    "microsecond": "us usec usecond useconds usecs microsecon",
    "millisecond": "ms msec msecond mseconds msecs millisecon",
    "second": "s sec second seconds secs",
    "minute": "m min mins minute minutes",
    "hour": "h hour hours hr hrs",
    "day": "d day days",
    "week": "w week weeks",
    "month": "mon mons month months",
    "year": "y year years yr yrs",
    "decade": "dec decade decades decs",
    "century": "c cent centuries century",
    "millennium": "mil mils millennia millennium",
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_TOKEN_LENGTH = 10  # PostgreSQL compares no more of a word
_IGNORED = frozenset({"at", "on"})
_MICROSECONDS = {"microsecond": 1, "millisecond": 1000, "second": SECOND_US, "minute": MINUTE_US, "hour": HOUR_US}
_YEARS = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}
_CLOCK = frozenset({"hour", "minute", "second", "millisecond", "microsecond"})
_SUBSECONDS = frozenset({"second", "millisecond", "microsecond"})
_MINUTE_TO_SECOND = INTERVAL_FIELDS["minute"] | INTERVAL_FIELDS["second"]
#: The unit of a number without one, by the fields that the type has: the finest of them.
_LAST_UNIT = {mask: name.split(" to ")[-1] for name, mask in INTERVAL_RANGES.items()}
_INFINITIES = {"infinity": 1, "+infinity": 1, "-infinity": -1}


class Parts:
    """The sum so far. Each adder raises FieldOverflow where PostgreSQL's integers end."""

    __slots__ = ("days", "months", "us", "years")

    def __init__(self) -> None:
        self.years = self.months = self.days = self.us = 0

    def add_us(self, value: int, fraction: float, scale: int) -> None:
        self.us = _fits(self.us + _fits(value * scale, INT64), INT64)
        self.add_fraction_us(fraction, scale)

    def add_fraction_us(self, fraction: float, scale: int) -> None:
        scaled = fraction * scale
        whole = int(scaled)
        rest = scaled - whole
        whole += 1 if rest > 0.5 else -1 if rest < -0.5 else 0
        self.us = _fits(self.us + whole, INT64)

    def add_days(self, value: int, scale: int) -> None:
        self.days = _fits(self.days + _fits(_fits(value, INT32) * scale, INT32), INT32)

    def add_fraction_days(self, fraction: float, scale: int) -> None:
        scaled = fraction * scale
        whole = int(scaled)
        self.days = _fits(self.days + whole, INT32)
        self.add_fraction_us(scaled - whole, DAY_US)

    def add_months(self, value: int, fraction: float) -> None:
        self.months = _fits(self.months + _fits(value, INT32), INT32)
        self.add_fraction_days(fraction, 30)

    def add_years(self, value: int, fraction: float, scale: int) -> None:
        self.years = _fits(self.years + _fits(_fits(value, INT32) * scale, INT32), INT32)
        self.months = _fits(self.months + round(fraction * scale * 12), INT32)

    def negate(self) -> None:
        self.us, self.days = _fits(-self.us, INT64), _fits(-self.days, INT32)
        self.months, self.years = _fits(-self.months, INT32), _fits(-self.years, INT32)


def _fits(value: int, limit: int) -> int:
    if not -limit <= value < limit:
        raise FieldOverflow
    return value


def parse(text: str, fields: int, is_sql_standard: bool) -> Parts | int:
    """The parts of an interval, 1 or -1 for the infinities. `fields` are those that the type's modifier names.

    Raises BadFormat and FieldOverflow.
    """
    try:
        return _words(text, fields, is_sql_standard)
    except BadFormat:
        return _iso(text)


def _words(text: str, fields: int, is_sql_standard: bool) -> Parts | int:
    found = split(text)
    starts = [field[0] for _, field in found]
    # SQL's '-1 1:00:00' negates all; an explicit sign further on says that it is not SQL's
    is_negative = is_sql_standard and starts[:1] == ["-"] and not {"-", "+"} & set(starts[1:])
    parts, seen = Parts(), set[str]()
    unit: str | None = None
    is_unit_open = is_ago = False
    for number in range(len(found) - 1, -1, -1):
        kind, field = found[number]
        if kind in (Kind.WORD, Kind.SIGNED_WORD):
            word = field[:_TOKEN_LENGTH]
            if is_unit_open:
                raise BadFormat
            if word in _UNIT_OF:
                unit, is_unit_open = _UNIT_OF[word], True
            elif word == "ago" and number == len(found) - 1:
                is_ago, unit = True, ""
            elif word in _INFINITIES and number == len(found) - 1 == 0:
                return _INFINITIES[word]
            elif word not in _IGNORED:
                raise BadFormat
            continue
        is_unit_open = False
        touched = None
        if kind is Kind.TIME or (kind is Kind.ZONE and ":" in field):
            touched = _clock(parts, field, fields, is_negative)
        if touched is not None:
            unit = "day"
        else:
            unit = unit if unit is not None else _LAST_UNIT.get(fields, "second")
            unit, touched = _number(parts, field, unit, is_negative)
        if touched & seen:
            raise BadFormat
        seen |= touched
    if not seen or is_unit_open:
        raise BadFormat
    if is_ago:
        parts.negate()
    return parts


_TIME = re.compile(r"([0-9]+):([0-9]*)(?:(\.[0-9]*)|:([0-9]*)(\.[0-9]*)?)?")


def _clock(parts: Parts, field: str, fields: int, is_negative: bool) -> set[str] | None:
    """hh:mm, hh:mm:ss.f or mm:ss.f, with a sign or not; None when a signed one is none."""
    is_signed = field[0] in "+-"
    found = _TIME.fullmatch(field.lstrip("+-"))
    if found is None:
        if is_signed:
            return None
        raise BadFormat
    first, second, short_fraction, third, fraction = found.groups()
    hour, minute, of_minute = int(first), int(second or 0), int(third or 0)
    if short_fraction is not None or (third is None and fields == _MINUTE_TO_SECOND):
        hour, minute, of_minute = 0, hour, minute
    us = round(float("0" + (short_fraction or fraction or "")) * SECOND_US)
    if minute > 59 or of_minute > 60 or hour >= INT64:
        if is_signed:
            return None
        raise FieldOverflow
    total = _fits(hour * HOUR_US + minute * MINUTE_US + of_minute * SECOND_US + us, INT64)
    parts.us = -total if field[0] == "-" or is_negative else total
    return set(_CLOCK)


def _number(parts: Parts, field: str, unit: str, is_negative: bool) -> tuple[str, set[str]]:
    """A number of `unit`; the unit of the field before it, and what it set."""
    found = re.fullmatch(r"([+-]?[0-9]*)(?:-([0-9]+)|(\.[0-9]*))?", field)
    if found is None:
        raise BadFormat
    whole, months, tail = found.groups()
    value, fraction = _fits(int(whole or 0), INT64) if whole not in ("+", "-") else 0, 0.0
    sign = -1 if field[0] == "-" else 1
    if months is not None:
        if int(months) > 11:
            raise FieldOverflow
        unit, value = "month", _fits(value * 12 + sign * int(months), INT64)
    elif tail is not None:
        fraction = sign * float("0" + tail)
    if is_negative:
        value, fraction = -abs(value), -abs(fraction)
    if unit in _MICROSECONDS:
        parts.add_us(value, fraction, _MICROSECONDS[unit])
        if unit == "second" and fraction:
            return unit, set(_SUBSECONDS)
        return ("day" if unit == "hour" else unit), {unit}
    if unit == "day":
        parts.add_days(value, 1)
        parts.add_fraction_us(fraction, DAY_US)
    elif unit == "week":
        parts.add_days(value, 7)
        parts.add_fraction_days(fraction, 7)
    elif unit == "month":
        parts.add_months(value, fraction)
    elif unit in _YEARS:
        parts.add_years(value, fraction, _YEARS[unit])
    else:
        raise BadFormat
    return unit, {unit}


_ISO_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class _Iso:
    """A cursor over an ISO 8601 duration."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 1

    def number(self) -> tuple[int, float, int]:
        """Whole part, fraction, and how many digits stand before the point."""
        found = _ISO_NUMBER.match(self.text, self.at)
        if found is None:
            raise BadFormat
        self.at = found.end()
        value = float(found[0])
        if abs(value) > 1e15:
            raise FieldOverflow
        whole = math.trunc(value)
        digits = re.match(r"-?([0-9]*)", found[0])
        return whole, value - whole, len(digits[1]) if digits else 0

    def take(self) -> str:
        """The next character, empty at the end."""
        found = self.text[self.at : self.at + 1]
        self.at += 1
        return found


def _iso(text: str) -> Parts:
    if len(text) < 2 or text[0] != "P":
        raise BadFormat
    cursor, parts = _Iso(text), Parts()
    is_date, has_field = True, False
    while cursor.at < len(text):
        if text[cursor.at] == "T":
            is_date, has_field = False, False
            cursor.at += 1
            continue
        value, fraction, digits = cursor.number()
        unit = cursor.take()
        if not is_date:
            if _iso_time(cursor, parts, unit, (value, fraction, digits), has_field):
                return parts
        elif unit in ("Y", "M", "W", "D"):
            _iso_date_unit(parts, unit, value, fraction)
        elif unit in ("", "T", "-"):
            if digits == 8 and not has_field and unit != "-":
                _iso_basic_date(parts, value, fraction)
            elif has_field:
                raise BadFormat
            else:
                unit = _iso_extended_date(cursor, parts, unit, value, fraction)
            if not unit:
                return parts
            is_date, has_field = False, False
            continue
        else:
            raise BadFormat
        has_field = True
    return parts


def _iso_date_unit(parts: Parts, unit: str, value: int, fraction: float) -> None:
    if unit == "Y":
        parts.add_years(value, fraction, 1)
    elif unit == "M":
        parts.add_months(value, fraction)
    elif unit == "W":
        parts.add_days(value, 7)
        parts.add_fraction_days(fraction, 7)
    else:
        parts.add_days(value, 1)
        parts.add_fraction_us(fraction, DAY_US)


def _iso_basic_date(parts: Parts, value: int, fraction: float) -> None:
    """PYYYYMMDD"""
    sign = -1 if value < 0 else 1
    parts.add_years(sign * (abs(value) // 10_000), 0, 1)
    parts.add_months(sign * (abs(value) // 100 % 100), 0)
    parts.add_days(sign * (abs(value) % 100), 1)
    parts.add_fraction_us(fraction, DAY_US)


def _iso_extended_date(cursor: _Iso, parts: Parts, unit: str, value: int, fraction: float) -> str:
    """PYYYY-MM-DD, or its beginning. What stands behind it: nothing, or T."""
    parts.add_years(value, fraction, 1)
    if unit != "-":
        return unit
    value, fraction, _ = cursor.number()
    parts.add_months(value, fraction)
    unit = cursor.take()
    if unit != "-":
        if unit not in ("", "T"):
            raise BadFormat
        return unit
    value, fraction, _ = cursor.number()
    parts.add_days(value, 1)
    parts.add_fraction_us(fraction, DAY_US)
    unit = cursor.take()
    if unit not in ("", "T"):
        raise BadFormat
    return unit


def _iso_time(cursor: _Iso, parts: Parts, unit: str, number: tuple[int, float, int], has_field: bool) -> bool:
    """A field of the time part; whether it was the last."""
    value, fraction, digits = number
    if unit in ("H", "M", "S"):
        parts.add_us(value, fraction, {"H": HOUR_US, "M": MINUTE_US, "S": SECOND_US}[unit])
        return False
    if unit not in ("", ":"):
        raise BadFormat
    if unit == "" and digits == 6 and not has_field:
        sign = -1 if value < 0 else 1
        parts.add_us(sign * (abs(value) // 10_000), 0, HOUR_US)
        parts.add_us(sign * (abs(value) // 100 % 100), 0, MINUTE_US)
        parts.add_us(sign * (abs(value) % 100), 0, SECOND_US)
        parts.add_fraction_us(fraction, 1)
        return True
    if has_field:
        raise BadFormat
    parts.add_us(value, fraction, HOUR_US)
    for scale in (MINUTE_US, SECOND_US):
        if unit == "":
            return True
        if unit != ":":
            raise BadFormat
        value, fraction, _ = cursor.number()
        parts.add_us(value, fraction, scale)
        unit = cursor.take()
    if unit:
        raise BadFormat
    return True
