"""The project keeps its own habits: small documented files, recorded decisions, no silent skips."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pgcrypt_proxy

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
MAX_LINES = 450
MODULES = sorted(ROOT.glob("pgcrypt_proxy/**/*.py"))
RECORDS = sorted(ROOT.glob("docs/adr/[0-9]*.md"))

SKIPPING_TEST = """
import pytest

def test_skips():
    pytest.skip({reason!r})
"""


def test_modules_were_found() -> None:
    assert ROOT / "pgcrypt_proxy" / "errors.py" in MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "say what it knows and what it must not know"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_changelog_begins_with_what_is_not_released_or_with_this_version() -> None:
    versions = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] in {"Unreleased", pgcrypt_proxy.__version__}


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in RECORDS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 5


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_decision_record_says_decision_reason_and_consequence(path: Path) -> None:
    text = path.read_text()
    title, decision = re.match(r"# (\d{4})\. [^\n]+\n\n(.+?)\n\n", text, re.DOTALL).groups()  # type: ignore[union-attr]
    assert path.name.startswith(title)
    assert not decision.startswith(("#", "Status"))
    for heading in ("## Why", "## Consequences"):
        assert heading in text
    assert re.search(r"^Status: (proposed|accepted|superseded by \d{4})", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("no_skips", "reason", "exit_status"),
    [
        ("", "no such tool here", 0),
        ("1", "no such tool here", 1),
        ("1", "not applicable: this server has no TLS", 0),
    ],
)
def test_a_skip_fails_where_skips_are_not_allowed(tmp_path: Path, no_skips: str, reason: str, exit_status: int) -> None:
    test = tmp_path / "test_skipping.py"
    test.write_text(SKIPPING_TEST.format(reason=reason))
    command = ["-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml"]
    done = subprocess.run(
        [sys.executable, *command, f"--rootdir={ROOT}", str(test)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PGCRYPT_TEST_NO_SKIPS": no_skips},
    )
    assert done.returncode == exit_status, done.stdout + done.stderr
    assert reason in done.stdout


def locked() -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each pinned package."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=[a-zA-Z0-9])", LOCK.read_text().strip()):
        name, version = re.match(r"([\w.-]+)==([\w.!+-]+)", entry).groups()  # type: ignore[union-attr]
        found[name.lower().replace("_", "-")] = version, entry.count("--hash=sha256:")
    return found


def test_everything_that_is_installed_is_pinned_by_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["aws"], *extras["vault"], *extras["sqlalchemy"]]
    pinned = locked()
    for text in [*wanted, *project["build-system"]["requires"]]:
        requirement = Requirement(text)
        version, _ = pinned[requirement.name.lower()]
        assert requirement.specifier.contains(version, prereleases=True), text
    assert [name for name, (_, hashes) in pinned.items() if not hashes] == []


def test_the_image_installs_nothing_but_what_is_pinned() -> None:
    installs = re.findall(r"bin/pip install (.+)", (ROOT / "Dockerfile").read_text())
    assert len(installs) == 2
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation ." in installs[1]
