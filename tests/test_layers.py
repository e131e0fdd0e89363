"""The layers hold: imports point down only, and every module can be imported by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Imports one module in each forked child. The parent has other packages loaded
# already, which is what makes this fast, but nothing of pgcrypt_proxy.
IMPORT_EACH_ALONE = """
import importlib, os, sys, traceback
for name in ("cryptography.hazmat.primitives.ciphers.aead", "pglast", "prometheus_client", "psycopg",
             "rich.console", "structlog", "typer", "uvloop", "yaml"):
    importlib.import_module(name)
failed = []
for name in sys.argv[1:]:
    assert not any(loaded.startswith("pgcrypt_proxy") for loaded in sys.modules)
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        failed.append(name)
print(*failed)
"""

# A package with the product's name and layers in which one import points up.
UPWARD = {
    "errors.py": "import pgcrypt_proxy.wire.codes\n",
    "wire/codes.py": "",
    "session/run.py": "import socket\n",
    "wire/tree.py": "import pglast\n",
    "sql/seal.py": "import cryptography\n",
    "policy/rows.py": "import psycopg\n",
}


def _module_names() -> list[str]:
    found = []
    for path in sorted(ROOT.glob("pgcrypt_proxy/**/*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return [name for name in found if not name.endswith("__main__")]


def _lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=directory,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(directory), "PATH": "/usr/bin:/bin"},
    )


def test_imports_point_down_only() -> None:
    done = _lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kept, 0 broken" in done.stdout


def test_an_import_that_points_up_is_found(tmp_path: Path) -> None:
    for layer in ("cli", "sqlalchemy", "server", "ops", "session", "sql", "wire", "crypto", "policy", "values", "fast"):
        (tmp_path / "pgcrypt_proxy" / layer).mkdir(parents=True)
        (tmp_path / "pgcrypt_proxy" / layer / "__init__.py").touch()
    (tmp_path / "pgcrypt_proxy" / "__init__.py").touch()
    for name, text in UPWARD.items():
        (tmp_path / "pgcrypt_proxy" / name).write_text(text)
    done = _lint_imports(tmp_path)
    assert done.returncode == 1
    assert "0 kept, 5 broken" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)  # a process for each module
def test_every_module_can_be_imported_alone() -> None:
    names = _module_names()
    assert "pgcrypt_proxy.errors" in names
    done = subprocess.run([sys.executable, "-c", IMPORT_EACH_ALONE, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], done.stderr
