"""The sdists that suites come from: fetched once by pip into a cache, proved by their hash, never committed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.suites.suite import Suite

CACHE = Path(__file__).parents[2] / "build" / "suites"


class SourceUnavailable(Exception):
    """The sdist could not be had, or is not the one that is known."""


def version_of(suite: Suite) -> str:
    """The installed version, whose tests are run."""
    return importlib.metadata.version(suite.distribution)


def unpacked(suite: Suite, cache: Path = CACHE) -> Path:
    """The folder with the suite's files. Raises SourceUnavailable."""
    version = version_of(suite)
    folder = cache / f"{suite.distribution}-{version}"
    if folder.exists():
        return folder
    archive = _fetched(suite, version, cache)
    known = suite.sha256.get(version)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if known is None:
        print(f"{archive.name}: no hash is known of this version, {found} was taken")
    elif found != known:
        archive.unlink()
        raise SourceUnavailable(f"{archive.name} has the hash {found}, not {known}")
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _, _, path = member.name.partition("/")
            if any(path == part or path.startswith(f"{part}/") for part in suite.parts):
                member.name = path
                tar.extract(member, partial, filter="data")
    partial.rename(folder)
    return folder


def _fetched(suite: Suite, version: str, cache: Path) -> Path:
    target = cache / "sdists"
    pattern = f"{suite.distribution}-{version}.tar.gz"
    if not (target / pattern).exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += [f"--no-binary={suite.distribution}", f"--dest={target}", f"{suite.distribution}=={version}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SourceUnavailable(f"pip could not fetch {pattern}:\n{done.stdout}{done.stderr}")
    return target / pattern
