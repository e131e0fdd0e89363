"""Python's values and PostgreSQL's text form, as psycopg has them, for every logical type. Knows no keys."""

from __future__ import annotations

from functools import lru_cache
from threading import get_ident
from typing import Any

import psycopg
from psycopg import abc, pq
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer
from psycopg.types import TypeInfo
from psycopg.types.json import Json, Jsonb

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.types import LogicalType, type_by_name

_WRAPPERS = {"json": Json, "jsonb": Jsonb}


class _BytesDumper(Dumper):
    """psycopg's own asks libpq, which without a connection escapes for a literal and doubles quotes."""

    oid = type_by_name("bytea").oid

    def dump(self, obj: Any) -> bytes:
        return b"\\x" + bytes(obj).hex().encode()


class _Context:
    """What psycopg asks for how to adapt: its own adapters, and besides them arrays of one type; no connection."""

    def __init__(self, type_: LogicalType) -> None:
        self.adapters = AdaptersMap(psycopg.adapters)
        self.connection: Any = None
        for bytes_like in (bytes, bytearray, memoryview):
            self.adapters.register_dumper(bytes_like, _BytesDumper)
        element = type_.element
        if element is not None and self.adapters.types.get(type_.oid) is None:
            TypeInfo(element.sql, element.parameter_oid, type_.oid).register(self)


@lru_cache(maxsize=1024)
def _transformer(type_: LogicalType, _thread: int) -> abc.Transformer:
    """psycopg's adaptation for a type; it remembers what it found, so each thread has its own."""
    return Transformer(_Context(type_))


def written(type_: LogicalType, value: Any) -> bytes:
    """A Python value in PostgreSQL's text form. Raises InvalidValue for what psycopg cannot send."""
    if not isinstance(value, str) or type_.name in _WRAPPERS:
        value = _wrapped(type_, value)
    try:
        dumper = _transformer(type_, get_ident()).get_dumper(value, PyFormat.TEXT)
        made = dumper.dump(value)
    except (psycopg.Error, UnicodeEncodeError, ValueError, TypeError, AttributeError):
        made = None
    if made is None:
        raise InvalidValue(f"a Python value of type {type(value).__name__} is no {type_}", sqlstate="42804") from None
    return bytes(made)


def _wrapped(type_: LogicalType, value: Any) -> Any:
    """The value with what is JSON in it marked as such."""
    if type_.element is not None and isinstance(value, list | tuple):
        return [None if item is None else _wrapped(type_.element, item) for item in value]
    wrapper = _WRAPPERS.get(type_.name)
    return value if wrapper is None or isinstance(value, Json | Jsonb) else wrapper(value)


def read(type_: LogicalType, text: bytes) -> Any:
    """The Python value of a text form. Raises InvalidValue for values that Python's type lacks, as `infinity`."""
    try:
        return _transformer(type_, get_ident()).get_loader(type_.oid, pq.Format.TEXT).load(text)
    except (psycopg.Error, ValueError, OverflowError):
        raise InvalidValue(
            f"a stored value is {type_}, but Python's type has no such value", sqlstate="22008"
        ) from None
