"""SASLprep of passwords (RFC 4013), as PostgreSQL does it: a password that it forbids is taken as it is."""

from __future__ import annotations

import stringprep
import unicodedata

_FORBIDDEN = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,  # not assigned in Unicode 3.2
)


def saslprep(password: str) -> str:
    """The prepared password, or the same when RFC 4013 has no form for it."""
    if password.isascii() and password.isprintable():
        return password
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not prepared or any(is_forbidden(c) for c in prepared for is_forbidden in _FORBIDDEN):
        return password
    right_to_left = [stringprep.in_table_d1(c) for c in prepared]
    if any(right_to_left):
        has_left_to_right = any(stringprep.in_table_d2(c) for c in prepared)
        if has_left_to_right or not (right_to_left[0] and right_to_left[-1]):
            return password
    return prepared
