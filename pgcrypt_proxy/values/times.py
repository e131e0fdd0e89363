"""time and timetz.

Binary forms: Int64 microseconds since midnight; for timetz then Int32 seconds
west of Greenwich.
"""

from __future__ import annotations

import re
import struct

from pgcrypt_proxy.values import clock, zones
from pgcrypt_proxy.values.calendar import DAY_US
from pgcrypt_proxy.values.problems import bad_datetime, check_size, datetime_out_of_range
from pgcrypt_proxy.values.settings import TextSettings

_TIME = struct.Struct("!q")
_TIMETZ = struct.Struct("!qi")
_FORM = re.compile(r"(?:(?P<date>\d{4}-\d{1,2}-\d{1,2})(?: +|[Tt])|[Tt])?" + clock.TIME + clock.ZONE)
TIME_NAME, TIMETZ_NAME = "time", "time with time zone"


def _read(text: bytes, type_name: str) -> tuple[int, str | None]:
    """Microseconds since midnight, and the zone that the text names."""
    word = text.decode("utf-8", "replace").strip(" \t\n\r\v\f")
    if word.lower() == "allballs":
        return 0, "+00"
    found = _FORM.fullmatch(word)
    zone = found.group("zone") if found else None
    # a zone that is no fixed offset needs a date, and what counts of a date is not worth guessing
    if found is None or found.group("date") or (zone and zone[0] not in "+-" and "/" in zone):
        hint = "Write times in ISO form, as in 23:59:59.999, with a zone as in 23:59:59+00."
        raise clock.bad(word, type_name, hint)
    return clock.of_day(found.groupdict(), type_name), zone


def time_in(text: bytes) -> bytes:
    """time's input, in binary; a zone does not count."""
    value, zone = _read(text, TIME_NAME)
    if zone is not None:
        clock.zone_offset(zone, 0)
    return _TIME.pack(value)


def timetz_in(text: bytes, settings: TextSettings) -> bytes:
    """timetz's input, in binary.

    Without a zone it is in the session's, if that has one offset at all times:
    PostgreSQL takes the offset of this very day elsewhere.
    """
    value, zone = _read(text, TIMETZ_NAME)
    if zone is not None:
        return _TIMETZ.pack(value, -clock.zone_offset(zone, 0))
    fixed = zones.fixed_offset(settings.time_zone)
    if fixed is None:
        hint = "The offset of the session's time zone depends on the date; write it, as in 23:59:59+00."
        raise bad_datetime(TIMETZ_NAME, hint)
    return _TIMETZ.pack(value, -fixed)


def time_value(data: bytes) -> int:
    """Microseconds since midnight. Raises InvalidValue for what time_recv refuses."""
    check_size(TIME_NAME, data, _TIME.size)
    value: int = _TIME.unpack(data)[0]
    if not 0 <= value <= DAY_US:
        raise datetime_out_of_range("time")
    return value


def timetz_value(data: bytes) -> tuple[int, int]:
    """Microseconds since midnight and seconds west of Greenwich. Raises InvalidValue for what timetz_recv refuses."""
    check_size(TIMETZ_NAME, data, _TIMETZ.size)
    west: int = _TIMETZ.unpack(data)[1]
    value = time_value(data[: _TIME.size])
    clock.check_offset(west)
    return value, west


def time_out(data: bytes) -> bytes:
    return clock.written(time_value(data)).encode()


def timetz_out(data: bytes) -> bytes:
    value, west = timetz_value(data)
    return (clock.written(value) + clock.offset_written(-west)).encode()


def fit(data: bytes, typmod: int) -> bytes:
    """A time or timetz with the modifier's number of decimals."""
    if typmod < 0:
        return data
    made: int = _TIME.unpack_from(data)[0]
    return _TIME.pack(clock.rounded(made, typmod)) + data[_TIME.size :]
