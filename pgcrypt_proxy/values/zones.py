"""Time zones: what a local time is in UTC and the other way round, as PostgreSQL decides it."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.calendar import DAY_US, civil_from_days

_POSIX = re.compile(r"(?:<([A-Za-z0-9+-]+)>|([A-Za-z]{3,}))([+-]?)(\d{1,2})(?::(\d{2})(?::(\d{2}))?)?")
_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
#: The calendar repeats after 400 years; Python's ends with 9999.
_CYCLE_US = 146_097 * DAY_US


@lru_cache(maxsize=256)
def zone(name: str) -> dt.tzinfo:
    """The zone of that name: IANA, or a POSIX one of fixed offset (`<+02>-02`). Raises InvalidValue (22023)."""
    if name.upper() in ("UTC", "GMT", "Z", "ZULU"):
        return dt.timezone(dt.timedelta(0), "GMT" if name.upper() == "GMT" else "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    found = _POSIX.fullmatch(name)
    if found is None:
        raise InvalidValue(
            "time zone not recognized", hint="Use a name of the IANA time zone database.", sqlstate="22023"
        )
    bracketed, plain, sign, hours, minutes, seconds = found.groups()
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes or 0), seconds=int(seconds or 0))
    # POSIX counts west of Greenwich as positive.
    return dt.timezone(offset if sign == "-" else -offset, bracketed or plain)


def fixed_offset(name: str) -> int | None:
    """The offset in seconds of a zone that has only one, None for others."""
    offset = zone(name).utcoffset(None)
    return None if offset is None else int(offset.total_seconds())


def _datetime(microseconds: int) -> dt.datetime:
    """A datetime for the zone's rules: years beyond Python's take their place in the 400-year cycle."""
    year = civil_from_days(microseconds // DAY_US)[0]
    if year > 9990:
        cycles = (year - 9590) // 400
        microseconds -= cycles * _CYCLE_US
    elif year < 2:
        return dt.datetime(1, 1, 2, tzinfo=dt.UTC)  # local mean time, as ever before
    return _EPOCH + dt.timedelta(microseconds=microseconds)


def from_utc(microseconds: int, name: str) -> tuple[int, str]:
    """(offset in seconds east of Greenwich, abbreviation) in force at that instant."""
    local = _datetime(microseconds).astimezone(zone(name))
    offset = local.utcoffset() or dt.timedelta(0)
    return int(offset.total_seconds()), local.tzname() or ""


def local_offset(microseconds: int, name: str) -> int:
    """The offset in seconds of a local time.

    A time that does not exist is read with the offset before the change, one
    that comes twice with the offset after it (DetermineTimeZoneOffset).
    """
    naive = _datetime(microseconds).replace(tzinfo=zone(name))
    first = naive.utcoffset() or dt.timedelta(0)
    second = naive.replace(fold=1).utcoffset() or dt.timedelta(0)
    return int((second if first > second else first).total_seconds())
