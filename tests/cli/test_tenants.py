"""Tenants by hand: sealed for them, their keys shown and rotated, one of them erased, and its certificate checked."""

from __future__ import annotations

import json

import pytest

RULES = """\
version: 1
keyring: {provider: file, path: keyring.kek}
columns:
  - {table: public.users, column: email, type: text, search: [equality], tenant: {column: age}}
  - {table: public.notes, column: text, type: text, tenant: {setting: pgcrypt.tenant}}
"""


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgcrypt_proxy.ops.key_rotation.LET_GO_S", 0.01)
    monkeypatch.setattr("pgcrypt_proxy.ops.erasure.LET_GO_S", 0.01)


@pytest.fixture
def sealed(prepared, run, tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    prepared.execute("UPDATE public.users SET age = 7 WHERE age IS NULL; INSERT INTO public.notes VALUES (1, 'note')")
    assert run("protect", "--table", "users", "--column", "email").status == 0
    return prepared


def test_a_setting_needs_a_tenant(sealed, run):
    done = run("protect", "--table", "notes", "--column", "text")
    assert done.status == 2
    assert "give --tenant" in done.err
    assert run("protect", "--table", "notes", "--column", "text", "--tenant", "acme").status == 0
    assert run("verify").status == 0


def test_keys_of_tenants_are_shown_when_they_are_asked_for(sealed, run):
    out = run("keys").out
    assert "and the keys of 2 tenants: --tenants shows them" in out
    shown = run("keys", "--tenants", "--count").out
    assert [line.split()[3] for line in shown.splitlines() if " dek " in line and " default " in line] == ["41", "7"]
    one = run("keys", "--tenant", "41", "--count").out
    assert "public.users.email: 1" in one
    assert len([line for line in one.splitlines() if " dek " in line]) == 1


def test_rotation_of_one_tenant(sealed, run):
    done = run("rotate", "dek", "--tenant", "41")
    assert done.status == 0
    assert "is active" in done.out
    assert run("rotate", "dek", "--tenant", "nobody").status == 2
    assert run("reseal").status == 0
    states = [line.split()[5] for line in run("keys", "--tenant", "41").out.splitlines() if " dek " in line]
    assert states == ["retired", "active"]


def test_an_erasure_asks_first_and_gives_a_certificate(sealed, run, tmp_path):
    for arguments, says in (
        (("destroy", "--shred"), "what is to be destroyed?"),
        (("destroy", "--tenant", "41"), "what is to be destroyed?"),
        (("destroy",), "which key?"),
        (("destroy", "--shred", "--tenant", "nobody", "--yes"), 'tenant "nobody" has no keys'),
        (("destroy", "--shred", "--tenant", "41"), "to erase tenant 41, say --yes"),
    ):
        done = run(*arguments)
        assert done.status == 2, arguments
        assert says in done.err
    file = tmp_path / "acme.json"
    done = run("destroy", "--shred", "--tenant", "41", "--yes", "--certificate", str(file))
    assert done.status == 0, done.err
    assert "tenant 41: 1 keys, 1 stored values" in done.out
    assert "public.users.email: 1" in done.out
    assert run("audit", "verify").status == 0
    assert run("audit", "certificate", str(file)).out == "tenant 41 was erased as the certificate says\n"
    report = run("verify")
    assert "destroyed" in report.out
    certificate = json.loads(file.read_text())
    file.write_text(json.dumps({**certificate, "values": 0}))
    forged = run("audit", "certificate", str(file))
    assert (forged.status, forged.out) == (1, "finding: its text was changed\n")
    file.write_text("no")
    assert run("audit", "certificate", str(file)).status == 2
    assert run("destroy", "--shred", "--tenant", "41", "--yes").status == 2
    assert run("readmit", "--tenant", "41").status == 0
    assert run("readmit", "--tenant", "41").status == 2


def test_there_and_back_beside_applications(sealed, run, tmp_path):
    def say_phase(phase: str) -> None:
        (tmp_path / "rules.yaml").write_text(RULES.replace("age}}", f"age}}, phase: {phase}}}"))

    say_phase("reindexing")
    assert "index users_email_key" in run("rotate", "index", "--dry-run").out
    say_phase("opening")
    done = run("unprotect", "--online", "users.email")
    assert done.status == 0, done
    assert sealed.execute("SELECT email FROM public.users ORDER BY id").fetchall() == [
        ("ada@example.com",),
        ("bo@example.com",),
    ]
    say_phase("sealing")
    done = run("protect", "--online", "users.email", "--jobs", "2", "--tenant", "41")
    assert (done.status, "leave --tenant out" in done.err) == (2, True), done
    done = run("protect", "--online", "users.email", "--jobs", "2")
    assert done.status == 0, done
    shown = run("keys", "--tenants", "--count").out
    assert [line.split()[3] for line in shown.splitlines() if " dek " in line and " default " in line] == ["41", "7"]


def test_a_setting_says_nothing_of_values_that_are_plain_for_now(sealed, run):
    for arguments in (("notes.text",), ("--dry-run", "notes.text")):
        done = run("protect", "--online", *arguments)
        assert done.status == 2
        assert "protect it without --online, with --tenant" in done.err + done.out
    assert run("protect", "notes.text", "--tenant", "acme").status == 0
