"""A provider whose calls are counted and timed, and whose mistakes are an outage rather than the end of upkeep.

Tells operation and outcome, never a key or context.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from pgcrypt_proxy.crypto import providers
from pgcrypt_proxy.crypto.providers import KekProvider
from pgcrypt_proxy.errors import KeyUnavailable, PgcryptError

T = TypeVar("T")
OnCall = Callable[[str, str, float], None]  # operation, status, seconds


class Metered:
    """Does what `provider` does, and tells `on_call` of every call, failed ones too."""

    def __init__(self, provider: KekProvider, on_call: OnCall, clock: Callable[[], float] = time.perf_counter) -> None:
        self._provider = provider
        self._on_call = on_call
        self._clock = clock

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def kek_id(self) -> str:
        return self._provider.kek_id

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        return self._metered("wrap", lambda: self._provider.wrap(key, context))

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return self._metered("unwrap", lambda: self._provider.unwrap(wrapped, context))

    def make_wrapped(self, context: Mapping[str, str]) -> bytes:
        return self._metered("generate", lambda: providers.make_wrapped(self._provider, context))

    def _metered(self, operation: str, call: Callable[[], T]) -> T:
        started, status = self._clock(), "error"
        try:
            answer = call()
            status = "ok"
            return answer
        except PgcryptError:
            raise
        except Exception as error:  # of a provider that is somebody else's, say; its text may hold anything
            raise KeyUnavailable(f'key provider "{self.name}" failed: {type(error).__name__}') from None
        finally:
            self._on_call(operation, status, self._clock() - started)
