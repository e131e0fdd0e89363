"""A suite's files are those of the sdist that is known, and no others."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests.suites import sources
from tests.suites.catalogue import ASYNCPG
from tests.suites.suite import Suite


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Of an sdist that was fetched already."""
    archive = tmp_path / "sdists" / f"asyncpg-{sources.version_of(ASYNCPG)}.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("tests/test_one.py", "testsuite/other.py", "asyncpg/__init__.py"):
            member = tarfile.TarInfo(f"asyncpg-1/{name}")
            tar.addfile(member, io.BytesIO())
    known = hashlib.sha256(archive.read_bytes()).hexdigest()
    return dataclasses.replace(ASYNCPG, sha256={sources.version_of(ASYNCPG): known})


def test_only_the_parts_that_are_needed_are_unpacked(suite: Suite, tmp_path: Path) -> None:
    folder = sources.unpacked(suite, tmp_path)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.py")] == ["tests/test_one.py"]
    assert sources.unpacked(suite, tmp_path) == folder


def test_another_sdist_is_not_taken(suite: Suite, tmp_path: Path) -> None:
    other = dataclasses.replace(suite, sha256={sources.version_of(suite): "0" * 64})
    with pytest.raises(sources.SourceUnavailable):
        sources.unpacked(other, tmp_path)
    assert not list(tmp_path.rglob("*.py"))
    assert not list(tmp_path.rglob("*.tar.gz"))
