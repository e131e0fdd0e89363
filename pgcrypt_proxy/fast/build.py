"""Compiles native.c. Run at installation, and by hand: `python pgcrypt_proxy/fast/build.py [FILE [FLAG...]]`.

Needs a C compiler and Python's headers, nothing else; imports nothing of the
package, because it runs before the package can be imported.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

FOLDER = Path(__file__).parent
TARGET = FOLDER / "native.abi3.so"
FLAGS = (
    "-std=c11 -O2 -fPIC -shared -Wall -Wextra -fstack-protector-strong -D_FORTIFY_SOURCE=2"
    " -fvisibility=hidden -Wl,-z,relro,-z,now"
)


def compile_native(target: Path = TARGET, extra: tuple[str, ...] = ()) -> str | None:
    """Make `target`; returns what the compiler says when it cannot. What was there before is gone either way."""
    target.unlink(missing_ok=True)
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    unfinished = target.with_suffix(f".{os.getpid()}.so")
    command = [
        *shlex.split(compiler),
        *FLAGS.split(),
        *extra,
        f"-I{sysconfig.get_path('include')}",
        str(FOLDER / "native.c"),
        "-o",
        str(unfinished),
        "-ldl",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - the installation's own compiler
    except OSError as error:
        return f"{compiler}: {error.strerror}"
    if done.returncode:
        unfinished.unlink(missing_ok=True)
        return done.stderr.strip() or f"{compiler} failed"
    unfinished.replace(target)
    return None


if __name__ == "__main__":
    made = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    sys.exit(compile_native(made, tuple(sys.argv[2:])))
