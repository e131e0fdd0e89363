"""What the figures depend on: the machine, the versions, and which code of the proxy runs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from pgcrypt_proxy import __version__
from pgcrypt_proxy.fast import BUILD


def describe(server_version: str, programs: dict[str, str | Path | None]) -> dict[str, str]:
    """In the order of the report. `programs` are asked for their versions."""
    found = {
        "pgcrypt-proxy": __version__,
        "row code": BUILD,
        "event loop": f"uvloop {metadata.version('uvloop')}",  # the proxy has no other
        "Python": platform.python_version(),
        "PostgreSQL": f"{server_version}, fsync and synchronous_commit off, autovacuum off",
        **{name: _version(program) for name, program in programs.items() if program},
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
    }
    return found


def load() -> str:
    """How busy the machine is by itself: asked before anything starts."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or sys.platform)


def _version(program: str | Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]
