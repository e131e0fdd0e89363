"""What compiled code reads and seals the values of a column with: for Binds (`binders`) and COPY (`copy_rows`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgcrypt_proxy.crypto.envelope import FLAG_EQ, FLAG_EQCI
from pgcrypt_proxy.crypto.keyring import Keyring, SealContext
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.values.modifiers import VARHDRSZ
from pgcrypt_proxy.values.types import LogicalType

TEXT, CONVERT = 0, 8
#: How compiled code reads a type; the numbers are seal.h's. Any other type is read by its codec.
READS = {"text": TEXT, "varchar": TEXT, "int2": 1, "int4": 2, "int8": 3, "bool": 4, "uuid": 5, "bytea": 6, "date": 7}


def sealing(column: ProtectedColumn, keyring: Keyring, convert: Callable[[bytes], Any]) -> tuple[int, Any] | None:
    """The active key's id, and the column as fast.native seals it. None where a key is not at hand.

    `convert` is called with what compiled code does not read by itself.
    """
    flags = (FLAG_EQ if "equality" in column.search else 0) | (FLAG_EQCI if column.is_folded else 0)
    context = SealContext(column.id, column.data_class)
    found = keyring.native_seals(context, flags, column.index_domain, column.index_generation)
    if found is None:
        return None
    key_id, (head, *keys, bound) = found
    return key_id, (read_of(column.type), head, *keys, column.is_folded_upper, bound, _limit(column.type), convert)


def read_of(type_: LogicalType) -> int:
    """Which of READS, or CONVERT."""
    return CONVERT if type_.domain is not None else READS.get(type_.name, CONVERT)


def _limit(type_: LogicalType) -> int:
    """How many characters a text may have, -1 for any number."""
    return type_.typmod - VARHDRSZ if type_.typmod >= VARHDRSZ else -1
