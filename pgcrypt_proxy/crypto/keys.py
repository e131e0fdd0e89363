"""Key material that shows itself nowhere: not in repr, pickles or tracebacks' locals."""

from __future__ import annotations

from typing import NoReturn

KEY_LENGTH = 32


class SecretKey:
    """256 bits of key material in a buffer that can be overwritten."""

    __slots__ = ("_bytes",)

    def __init__(self, material: bytes | bytearray) -> None:
        if len(material) != KEY_LENGTH:
            raise ValueError("a key has 32 bytes")
        self._bytes = bytearray(material)

    def reveal_key(self) -> bytes:
        """The key's bytes, for the primitives only. Raises ValueError after `zeroise`."""
        if not self._bytes:
            raise ValueError("the key was zeroised")
        return bytes(self._bytes)

    def zeroise(self) -> None:
        """Overwrite the material. Copies that a primitive made are beyond Python's reach."""
        for index in range(len(self._bytes)):
            self._bytes[index] = 0
        self._bytes = bytearray()

    def __repr__(self) -> str:
        return "SecretKey(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be pickled")
