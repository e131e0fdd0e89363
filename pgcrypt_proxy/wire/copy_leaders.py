"""Rows of COPY data of which one field is read before the others are replaced: it says how they are."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from pgcrypt_proxy.wire.copy_binary import BinaryReplacer
from pgcrypt_proxy.wire.copy_format import CopyDataError
from pgcrypt_proxy.wire.copy_lines import LineReplacer

_LENGTH = struct.Struct("!i")
#: Gets the value of the leading field, None for NULL, or for what is none, which the row's own checks tell.
OnLeader = Callable[[bytes | None], None]


class LedLines(LineReplacer):
    """Text and CSV: every line is split by itself."""

    def __init__(self, leader: int, on_leader: OnLeader, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._leader = leader
        self._on_leader = on_leader

    def _rows(self, buffer: bytes, at: int, kept: int, out: list[bytes]) -> tuple[int, int]:
        return at, kept

    def _whole_line(self, buffer: bytes, at: int, end: int, kept: int, out: list[bytes]) -> int:
        if not self._is_header and end - at <= self._max_row_bytes:
            self._on_leader(self._led(buffer, at, end))
        return super()._whole_line(buffer, at, end, kept, out)

    def _led(self, buffer: bytes, at: int, end: int) -> bytes | None:
        try:
            spans = self._split(buffer, at, end)
        except CopyDataError:
            return None
        if len(spans) <= self._leader:
            return None
        raw = buffer[slice(*spans[self._leader])]
        return self._coder.decode(raw) if self._coder.is_value(raw, self._leader) else None


class LedTuples(BinaryReplacer):
    """The binary format."""

    def __init__(self, leader: int, on_leader: OnLeader, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._leader = leader
        self._on_leader = on_leader

    def _fields(self, buffer: bytes, at: int, fields: list[tuple[int, int, int]]) -> int:
        end = super()._fields(buffer, at, fields)
        if end <= len(buffer):
            self._on_leader(self._led(buffer, at))
        return end

    def _led(self, buffer: bytes, at: int) -> bytes | None:
        for _ in range(self._leader):
            length: int = _LENGTH.unpack_from(buffer, at)[0]
            at += _LENGTH.size + max(length, 0)
        length = _LENGTH.unpack_from(buffer, at)[0]
        at += _LENGTH.size
        return None if length < 0 else buffer[at : at + length]
