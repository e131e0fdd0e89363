"""What the process of a proxy leaves behind, and what it keeps."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest


def test_no_memory_image_is_ever_written() -> None:
    script = (
        "import ctypes, resource\n"
        "from pgcrypt_proxy.server.process import forbid_core_dumps\n"
        "forbid_core_dumps()\n"
        "PR_GET_DUMPABLE = 3\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "(0, 0) 0"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not applicable: only glibc is told")
def test_memory_for_what_is_read_is_not_given_back_each_time() -> None:
    script = (
        "import resource\n"
        "from pgcrypt_proxy.server.process import keep_memory\n"
        "keep_memory()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "made = [bytearray(256_000) for _ in range(3)]\n"
        "before = faults()\n"
        "for _ in range(100):\n"
        "    del made\n"
        "    made = [bytearray(256_000) for _ in range(3)]\n"
        "print(faults() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 1000  # three blocks are 186 pages
