"""lower() and upper() as PostgreSQL computes them in a UTF-8 database.

It maps character by character (libc's towlower, and the builtin provider's
C.UTF-8), so no text changes its number of characters and a final sigma is none
of its concern: unlike `str.lower` and `str.upper`. Other providers and locales
may compute others: `protect` asks the database.
"""

from __future__ import annotations


def lower(text: str) -> str:
    """`pg_catalog.lower(text)`."""
    # A character that str.lower makes into two is U+0130 only; the server keeps the first.
    return text.lower() if text.isascii() else "".join(character.lower()[0] for character in text)


def upper(text: str) -> str:
    """`pg_catalog.upper(text)`."""
    return text.upper() if text.isascii() else "".join(map(_upper, text))


def _upper(character: str) -> str:
    """The simple mapping of one character. Where the full one gives several, the titlecase one is the simple one."""
    for mapped in (character.upper(), character.title()):
        if len(mapped) == 1:
            return mapped
    return character
