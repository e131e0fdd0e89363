"""Compiled code is built where it can be, chosen by a variable, and nobody needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgcrypt_proxy import fast
from pgcrypt_proxy.fast.build import compile_native

SAY = "from pgcrypt_proxy import fast; print(fast.BUILD)"


def said(choice: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PGCRYPT_ROWS": choice}
    return subprocess.run([sys.executable, "-c", SAY], env=environment, capture_output=True, text=True)


def test_python_can_be_forced() -> None:
    assert said("python").stdout == "python\n"


def test_a_choice_that_there_is_not() -> None:
    assert 'it can be "compiled" or "python"' in said("fast").stderr


def test_compiled_is_what_it_says_or_an_error() -> None:
    done = said("compiled")
    assert done.stdout == "compiled\n" or "ImportError" in done.stderr


def test_it_is_used_where_it_was_built() -> None:
    if not (Path(fast.__file__).parent / "native.abi3.so").exists():
        pytest.skip("not applicable: there is no compiled code")
    assert said("").stdout == "compiled\n"


@pytest.mark.parametrize("compiler", ["/nonexistent/cc", "false"])
def test_without_a_compiler_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    monkeypatch.setenv("CC", compiler)
    target = tmp_path / "native.abi3.so"
    target.write_bytes(b"of an older source")
    assert compile_native(target)
    assert list(tmp_path.iterdir()) == []
