"""What the process of a proxy may leave behind."""

from __future__ import annotations

import subprocess
import sys


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
