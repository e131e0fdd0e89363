"""Times of day and offsets from UTC: how they are read, rounded and written. Knows no dates."""

from __future__ import annotations

import re

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values import zones
from pgcrypt_proxy.values.calendar import DAY_US
from pgcrypt_proxy.values.problems import bad_datetime, clock_word, field_out_of_range

#: Patterns of a time of day and of a zone behind it; `of_day` and `zone_offset` read what they find.
TIME = (
    r"(?:(?P<h>\d{1,2}):(?P<mi>\d{1,2})(?::(?P<sec>\d{1,2})(?:\.(?P<f>\d*))?)?"
    r"|(?P<hms>\d{6})(?:\.(?P<hmsf>\d*))?|(?P<hm>\d{4}))(?: *(?P<half>[AaPp][Mm]))?"
)
ZONE = (
    r"(?: *(?P<zone>[Zz]|[+-] *\d{1,2}(?::?\d{2}(?::?\d{2})?)?"
    r"|[A-Za-z][A-Za-z_]*(?:/[A-Za-z0-9_+-]+)+|(?:UTC|GMT|utc|gmt)))?"
)
_CLOCK_WORDS = frozenset({"now", "today", "tomorrow", "yesterday"})
_ZONE_LIMIT = 16 * 3600


def bad(text: str, type_name: str, hint: str | None = None) -> InvalidValue:
    """The error for a date or time in no form that is known."""
    if not _CLOCK_WORDS.isdisjoint(re.findall("[a-z]+", text.lower())):
        return clock_word()
    if re.search(r"\d *[A-Za-z]{3,5}$", text):
        hint = "Write the time zone as an offset, as in 2024-12-31 23:59:59+00."
    return bad_datetime(type_name, hint)


def of_day(parts: dict[str, str | None], type_name: str) -> int:
    """Microseconds since midnight of a match of TIME, 0 for no match; 24:00:00 and second 60 are the next minute's."""
    fraction = parts["f"] or parts["hmsf"] or ""
    if (digits := parts["hms"] or parts["hm"]) is not None:
        hour, minute, second = int(digits[:2]), int(digits[2:4]), int(digits[4:] or 0)
    elif parts["h"] is not None:
        hour, minute, second = int(parts["h"]), int(parts["mi"] or 0), int(parts["sec"] or 0)
    else:
        return 0
    half = (parts["half"] or "").lower()
    if half and hour > 12:
        raise field_out_of_range(type_name)
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    micro = microseconds(fraction)
    total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro
    if minute > 59 or second > 60 or total > DAY_US:
        raise field_out_of_range(type_name)
    return total


def microseconds(digits: str) -> int:
    """A fraction of a second, rounded to the nearest microsecond, a half to even as PostgreSQL's rint does."""
    if len(digits) <= 6:
        return int(digits.ljust(6, "0"))
    return round(float(f"0.{digits}") * 1_000_000)


def zone_offset(name: str, local: int) -> int:
    """The seconds east of Greenwich that a zone is at that local time (microseconds from 2000-01-01)."""
    if name[0] in "+-":
        return fixed_offset(name)
    return zones.local_offset(local, "UTC" if name in ("Z", "z") else name)


def fixed_offset(name: str) -> int:
    """The seconds of `+02`, `-0530`, `+01:02:03`. Raises InvalidValue (22009)."""
    digits = name[1:].strip().replace(":", "")
    if len(digits) in (1, 3, 5):
        digits = "0" + digits
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
    if hours > 15 or minutes > 59 or seconds > 59:
        raise InvalidValue("time zone displacement out of range", sqlstate="22009")
    offset = (hours * 60 + minutes) * 60 + seconds
    return -offset if name[0] == "-" else offset


def check_offset(seconds: int) -> None:
    if not -_ZONE_LIMIT < seconds < _ZONE_LIMIT:
        raise InvalidValue("time zone displacement out of range", sqlstate="22009")


def rounded(value: int, decimals: int) -> int:
    """Microseconds with so many decimals of a second, a half rounded away from zero."""
    scale = 10 ** (6 - decimals)
    made: int = (abs(value) + scale // 2) // scale * scale
    return made if value >= 0 else -made


def written(of_day_us: int) -> str:
    """hh:mm:ss with as many decimals as there are."""
    seconds, micro = divmod(of_day_us, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{micro:06d}".rstrip("0") if micro else "")


def offset_written(seconds: int) -> str:
    """An offset as PostgreSQL writes it: +02, -03:30, +00:53:28."""
    sign = "-" if seconds < 0 else "+"
    seconds = abs(seconds)
    text = f"{sign}{seconds // 3600:02d}"
    if seconds % 3600:
        text += f":{seconds // 60 % 60:02d}"
    if seconds % 60:
        text += f":{seconds % 60:02d}"
    return text
