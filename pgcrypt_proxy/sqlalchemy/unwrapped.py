"""The one error that leaves this package. SQLAlchemy would wrap others in one that shows the statement's parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DontWrapMixin

from pgcrypt_proxy.errors import PgcryptError


class SealedColumnError(DontWrapMixin, PgcryptError):
    """Something about a sealed column or its keys; `code` is the SQLSTATE that the proxy would give."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.detail, self.hint) if part)


def as_it_is(error: PgcryptError) -> SealedColumnError:
    """The same error, for applications."""
    return SealedColumnError(error.message, detail=error.detail, hint=error.hint, sqlstate=error.code)


@contextlib.contextmanager
def unwrapped() -> Iterator[None]:
    """Whatever the product raises leaves as SealedColumnError, without the error behind it."""
    try:
        yield
    except SealedColumnError:
        raise
    except PgcryptError as error:
        raise as_it_is(error) from None
