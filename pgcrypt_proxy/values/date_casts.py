"""Casts among the types of dates and times that PostgreSQL makes on assignment."""

from __future__ import annotations

import struct

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import calendar as cal
from pgcrypt_proxy.values import datetimes, zones
from pgcrypt_proxy.values.problems import datetime_out_of_range
from pgcrypt_proxy.values.settings import TextSettings

DATES = frozenset({"date", "timestamp", "timestamptz"})
_DATE, _US = struct.Struct("!i"), struct.Struct("!q")
_TIMETZ = struct.Struct("!qi")
_LAST, _FIRST = 2**63 - 1, -(2**63)


_TO_TIME = frozenset(
    {
        ("timestamp", "time"),
        ("timestamptz", "time"),
        ("timestamptz", "timetz"),
        ("timetz", "time"),
        ("time", "interval"),
        ("interval", "time"),
    }
)


def is_known(source: str, target: str) -> bool:
    """Whether `cast` makes that one."""
    return {source, target} <= DATES or (source, target) in _TO_TIME


def cast(source: str, target: str, data: bytes, settings: TextSettings) -> bytes | None:
    """`data` as `target`, None where there is no cast on assignment that does not depend on the day."""
    if source in DATES and target in DATES:
        return _dated(source, target, data, settings)
    if source in ("timestamp", "timestamptz") and target == "time":
        return _US.pack(_local(source, data, settings) % cal.DAY_US)
    if source == "timestamptz" and target == "timetz":
        offset = zones.from_utc(_finite(data), settings.time_zone)[0]
        return _TIMETZ.pack((_finite(data) + offset * 1_000_000) % cal.DAY_US, -offset)
    if (source, target) == ("timetz", "time"):
        return data[: _US.size]
    if (source, target) == ("time", "interval"):
        return data + bytes(8)
    if (source, target) == ("interval", "time"):
        return _US.pack(_US.unpack_from(data)[0] % cal.DAY_US)
    return None


def _finite(data: bytes) -> int:
    value = datetimes.timestamp_value(data)
    if value in (_FIRST, _LAST):
        raise InvalidValue("an infinite timestamp has no time of day", sqlstate="22008")
    return value


def _local(source: str, data: bytes, settings: TextSettings) -> int:
    value = _finite(data)
    return value + zones.from_utc(value, settings.time_zone)[0] * 1_000_000 if source == "timestamptz" else value


def _dated(source: str, target: str, data: bytes, settings: TextSettings) -> bytes:
    if source == "date":
        days = datetimes.date_value(data)
        if days in (2**31 - 1, -(2**31)):
            return _US.pack(_LAST if days > 0 else _FIRST)
        local = days * cal.DAY_US
    else:
        value = datetimes.timestamp_value(data)
        if value in (_FIRST, _LAST):
            return data if target != "date" else _DATE.pack(2**31 - 1 if value > 0 else -(2**31))
        local = _local(source, data, settings)
    if target == "date":
        return _DATE.pack(local // cal.DAY_US)
    made = local - zones.local_offset(local, settings.time_zone) * 1_000_000 if target == "timestamptz" else local
    if not cal.MIN_TIMESTAMP <= made < cal.END_TIMESTAMP:
        raise datetime_out_of_range("timestamp")
    return _US.pack(made)
