"""What a session tells metrics and logs: names and numbers, never a value, text or key."""

from __future__ import annotations

from typing import Protocol

from pgcrypt_proxy.errors import PgcryptError


class Observer(Protocol):
    """Implemented by `server.metrics`; tests use a recording one."""

    def operations(self, operation: str, data_class: str, count: int, seconds: float) -> None:
        """`count` values went through `operation` (seal, open, term) in `seconds` all together."""

    def failed(self, operation: str, error: PgcryptError, column: str = "") -> None:
        """An operation failed; `column` is the qualified name."""

    def statement(self, disposition: str, seconds: float, count: int = 1) -> None:
        """Statement texts were planned: untouched, rewritten or refused; `seconds` is the planning time of each."""

    def refused(self, refusal: PgcryptError) -> None:
        """A statement was refused."""

    def text(self, sql: str) -> None:
        """A statement text was planned. It holds values: they must not be kept."""


class SilentObserver:
    """An Observer that drops everything."""

    def operations(self, operation: str, data_class: str, count: int, seconds: float) -> None:
        pass

    def failed(self, operation: str, error: PgcryptError, column: str = "") -> None:
        pass

    def statement(self, disposition: str, seconds: float, count: int = 1) -> None:
        pass

    def refused(self, refusal: PgcryptError) -> None:
        pass

    def text(self, sql: str) -> None:
        pass
