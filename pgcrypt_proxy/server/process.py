"""What the operating system is told about a process of the proxy."""

from __future__ import annotations

import contextlib
import ctypes
import resource

_PR_SET_DUMPABLE = 4
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Smaller blocks are not mapped one by one, and so much free memory is kept. What is read at once is 256 KB: glibc
#: gives that back to the system after each read, and then each page of the next one is a fault.
_MAPPED_BYTES, _KEPT_BYTES = 1 << 20, 4 << 20


def forbid_core_dumps() -> None:
    """No memory image of this process on disk, and no reading of it by others of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def keep_memory() -> None:
    """A few megabytes of freed memory stay with this process; only glibc knows how."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
