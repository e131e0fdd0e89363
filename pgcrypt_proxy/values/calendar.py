"""Days and times as PostgreSQL counts them: from 2000-01-01, proleptic Gregorian, years before 1 included."""

from __future__ import annotations

DAY_US = 86_400_000_000
_EPOCH_FROM_CIVIL = 730_425  # days from 0000-03-01 to 2000-01-01
MIN_DATE = -2_451_545  # 4714-11-24 BC, Julian day 0
END_DATE = 2_145_031_949  # 5874898-01-01
MIN_TIMESTAMP = -211_813_488_000_000_000  # 4714-11-24 BC
END_TIMESTAMP = 9_223_371_331_200_000_000  # 294277-01-01
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_days(year: int, month: int) -> int:
    return 29 if month == 2 and is_leap(year) else _MONTH_DAYS[month - 1]


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days from 2000-01-01; `year` 0 is 1 BC."""
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH_FROM_CIVIL


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year (0 is 1 BC), month and day."""
    era, of_era = divmod(days + _EPOCH_FROM_CIVIL, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day
