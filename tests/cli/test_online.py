"""protect and unprotect with --online, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgcrypt_proxy.ops.online.fill import Filler
from tests.cli.conftest import RULES

PLAIN = [("ada@example.com",), ("bo@example.com",)]


def say_phase(folder: Path, phase: str) -> None:
    said = f", phase: {phase}" if phase else ""
    (folder / "rules.yaml").write_text(RULES.replace("search: [equality]}", f"search: [equality]{said}}}"))


def test_there_and_back(prepared, run, tmp_path):
    say_phase(tmp_path, "sealing")
    done = run("protect", "--online", "users.email", "--jobs", "2", "--max-lag", "5", "--batch-blocks", "4")
    assert done.status == 0, done
    assert "sealed: public.users.email (id 1), 2 values" in done.out
    assert "indexes: users_email_key" in done.out
    assert "take `phase` out of the rule" in done.err
    assert run("protect", "--online", "users.email").out == "already sealed: public.users.email\n"
    say_phase(tmp_path, "")
    assert run("verify").out.count("finding") == 1  # age is not sealed yet
    say_phase(tmp_path, "opening")
    done = run("unprotect", "--online", "--table", "public.users", "--column", "email")
    assert done.status == 0, done
    assert "plain again: public.users.email (id 1), 2 values" in done.out
    assert "remove the rule" in done.err
    assert prepared.execute("SELECT email FROM public.users ORDER BY id").fetchall() == PLAIN


@pytest.mark.parametrize(("command", "phase"), [("protect", "sealing"), ("unprotect", "opening")])
def test_the_rule_must_say_it(prepared, run, command, phase):
    if command == "unprotect":
        assert run("unprotect", "--online", "users.email").out == "already plain: public.users.email\n"
        assert run("protect", "users.email").status == 0
    done = run(command, "--online", "users.email")
    assert done.status == 2
    assert f"does not say phase: {phase}" in done.err
    assert "reload every proxy (SIGHUP)" in done.err
    assert prepared.execute("SELECT count(*) FROM pgcrypt.moves").fetchone() == (0,)


def test_a_dry_run_says_what_is_in_the_way(prepared, run, tmp_path):
    say_phase(tmp_path, "sealing")
    assert "index users_email_key: CREATE UNIQUE INDEX" in run("protect", "--online", "users.email", "--dry-run").out
    prepared.execute("CREATE VIEW public.mails AS SELECT email FROM public.users")
    done = run("protect", "--online", "users.email", "--dry-run")
    assert (done.status, "drop the view first" in done.out) == (2, True)
    assert run("protect", "--online", "users.email").status == 2
    assert prepared.execute("SELECT count(*) FROM pgcrypt.moves").fetchone() == (0,)


def test_stopped_and_abandoned(prepared, run, tmp_path, monkeypatch):
    say_phase(tmp_path, "sealing")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Filler, "batch", interrupted)
        done = run("protect", "--online", "users.email")
    assert done.status == 130
    assert "To go on from here: pgcrypt-proxy protect --online public.users.email" in done.err
    assert "is on its way by protect --online" in run("protect", "users.email").err
    done = run("protect", "--online", "users.email", "--abandon")
    assert (done.status, done.out) == (0, "abandoned: public.users.email is as it was\n")
    assert prepared.execute("SELECT * FROM public.users ORDER BY id").fetchall()[0] == (1, "ada@example.com", 41)
    assert run("protect", "--online", "users.email", "--abandon").status == 2
    assert run("protect", "--abandon", "users.email").status == 2


@pytest.mark.parametrize("arguments", [[], ["users"], ["users.email", "--table", "notes", "--column", "text"]])
def test_which_column_must_be_clear(prepared, run, arguments):
    assert "which column?" in run("protect", "--online", *arguments).err
