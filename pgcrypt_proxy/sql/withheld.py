"""Columns that were imported while their rules say still that the application encrypts them itself (ADR 0017).

An application that does so would store its ciphertext as if that were plaintext, and find nothing by it. So no value
of such a column passes, in either direction, until the rule says that the application has been changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.context import Context
from pgcrypt_proxy.sql.plan import LiteralSlot


def check(context: Context, shown: Iterable[ProtectedColumn | None]) -> None:
    """Raises Refusal when a statement of that analysis seals, searches or shows values of such a column.

    `shown` are the columns that its result, or the data of a COPY, come from.
    """
    for edit in context.edits:
        for piece in edit.pieces:
            if isinstance(piece, LiteralSlot) and piece.column.is_withheld:
                raise refuse.withheld(piece.column, piece.position)
    for column in (*(use.column for use in context.uses), *shown):
        if column is not None and column.is_withheld:
            raise refuse.withheld(column, None)
