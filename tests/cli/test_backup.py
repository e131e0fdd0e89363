"""`backup` and `restore`, with PostgreSQL's own programs on a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.helpers.fake_s3 import FakeS3

ROWS = "INSERT INTO users SELECT i, 'planted' || i || '@example.com', i FROM generate_series(10, 3000) i"


@pytest.fixture
def sealed(prepared: psycopg.Connection, run) -> psycopg.Connection:
    """A database whose columns are sealed, and hold values."""
    prepared.execute(ROWS)
    prepared.execute("INSERT INTO notes VALUES (1, 'a plain note'), (2, NULL)")
    assert run("protect", "--all").status == 0
    return prepared


@pytest.fixture
def bin_folder(postgres) -> tuple[str, str]:
    return "--bin", str(postgres.bin_dir)


def test_a_backup_restores_and_compares(
    sealed, run, bin_folder, postgres, create_database, tmp_path: Path, monkeypatch
) -> None:
    file = tmp_path / "backup"
    done = run("backup", str(file), *bin_folder)
    assert done.status == 0, done
    assert f"{file.stat().st_size:,} bytes written" in done.err
    assert file.stat().st_mode & 0o777 == 0o600
    raw = file.read_bytes()
    assert raw.startswith(b"PGCRYPTB\x01")
    assert b"users" not in raw
    assert b"plain note" not in raw
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []
    assert "backup_made" in run("audit", "show").out
    target = create_database()
    monkeypatch.setenv("PGCRYPT_DATABASE_URL", postgres.dsn(target))
    done = run("restore", str(file), "--verify", *bin_folder)
    assert done.status == 0, done
    assert "tables with" in done.out
    assert "as they were" in done.out
    done = run("verify")
    assert done.status == 0, done
    with postgres.connect(target) as restored:
        assert restored.execute("SELECT count(*) FROM users").fetchone() == (2993,)
        restored.execute("UPDATE notes SET text = 'another' WHERE id = 1")
        restored.execute("DELETE FROM users WHERE id = 1000")
    done = run("restore", str(file), "--compare-only", *bin_folder)
    assert done.status == 1
    assert done.out.splitlines() == [
        "public.notes has other values than it had",
        "public.users has 2,992 rows, it had 2,993",
    ]


def test_without_the_key_encryption_key_nothing_opens(sealed, run, bin_folder, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    assert run("backup", str(file), *bin_folder).status == 0
    kek = tmp_path / "keyring.kek"
    kek.unlink()
    assert run("keygen", str(kek)).status == 0
    done = run("restore", str(file), "--extract", str(tmp_path / "dump"))
    assert done.status == 2
    assert not (tmp_path / "dump").exists()


def test_a_damaged_backup_leaves_nothing_behind(
    sealed, run, bin_folder, postgres, create_database, tmp_path: Path, monkeypatch
) -> None:
    file = tmp_path / "backup"
    assert run("backup", str(file), *bin_folder, "--", "--compress=0").status == 0
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    target = create_database()
    monkeypatch.setenv("PGCRYPT_DATABASE_URL", postgres.dsn(target))
    done = run("restore", str(file), *bin_folder)
    assert done.status == 2
    assert "is damaged, or was changed" in done.err
    with postgres.connect(target) as empty:
        assert empty.execute("SELECT to_regclass('public.users'), to_regnamespace('pgcrypt')").fetchone() == (
            None,
            None,
        )


def test_a_failing_program_leaves_no_file(sealed, run, bin_folder, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    done = run("backup", str(file), *bin_folder, "--", "--no-such-option")
    assert done.status == 2
    assert "pg_dump failed" in done.err
    assert not file.exists()
    assert not file.with_name("backup.partial").exists()


def test_a_backup_replaces_no_file(sealed, run, bin_folder, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("mine")
    done = run("backup", str(file), *bin_folder)
    assert done.status == 2
    assert "exists already" in done.err
    assert file.read_text() == "mine"


def test_the_password_is_no_argument(sealed, run, tmp_path: Path, postgres, monkeypatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "pg_dump"
    program.write_text('#!/bin/sh\necho "$*" > "$SEEN"; echo "password $PGPASSWORD" >> "$SEEN"; exit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv(
        "PGCRYPT_DATABASE_URL", make_conninfo(os.environ["PGCRYPT_DATABASE_URL"], password="secret-word")
    )
    done = run("backup", str(tmp_path / "backup"), "--bin", str(folder))
    assert done.status == 2
    assert "pg_dump failed with exit status 1" in done.err
    arguments, password = (tmp_path / "seen").read_text().splitlines()
    assert "secret-word" not in arguments
    assert password == "password secret-word"


def test_programs_that_are_not_there(sealed, run, tmp_path: Path) -> None:
    done = run("backup", str(tmp_path / "backup"), "--bin", str(tmp_path))
    assert done.status == 2
    assert "pg_dump was not found" in done.err


def test_standard_output_and_input(sealed, bin_folder, tmp_path: Path) -> None:
    command = ["-c", "from pgcrypt_proxy.cli import main; main()"]
    with (tmp_path / "backup").open("wb") as stream:
        subprocess.run([sys.executable, *command, "backup", "-", *bin_folder], stdout=stream, check=True)
    with (tmp_path / "backup").open("rb") as stream:
        done = subprocess.run(
            [sys.executable, *command, "restore", "-", "--extract", "-"], stdin=stream, capture_output=True, check=True
        )
    assert done.stdout.startswith(b"PGDMP")
    assert b"planted" not in done.stdout


def test_a_base_backup_is_the_cluster(sealed, run, bin_folder, tmp_path: Path, postgres) -> None:
    file = tmp_path / "base"
    done = run("backup", str(file), "--base", *bin_folder)
    assert done.status == 0, done
    done = run("restore", str(file), *bin_folder)
    assert done.status == 2
    assert "whole cluster" in done.err
    assert run("restore", str(file), "--extract", str(tmp_path / "base.tar")).status == 0
    with tarfile.open(tmp_path / "base.tar") as archive:
        names = archive.getnames()
    assert "PG_VERSION" in names
    assert "backup_label" in names


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with FakeS3(["backups"]) as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.usefixtures("s3")
def test_s3(sealed, run, bin_folder, tmp_path: Path) -> None:
    done = run("backup", "s3://backups/day/1", *bin_folder)
    assert done.status == 0, done
    assert run("restore", "s3://backups/day/1", "--extract", str(tmp_path / "dump")).status == 0
    assert (tmp_path / "dump").read_bytes().startswith(b"PGDMP")
    done = run("restore", "s3://backups/day/2", "--extract", str(tmp_path / "other"))
    assert done.status == 2
    assert "NoSuchKey" in done.err
    done = run("backup", "s3://no-such-bucket/day/1", *bin_folder)
    assert done.status == 2
    assert "NoSuchBucket" in done.err
