"""Rotation, resealing, destruction and their trail, as somebody does them by hand."""

from __future__ import annotations

import re

import pytest


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pgcrypt_proxy.ops.key_rotation.LET_GO_S", 0.01)
    monkeypatch.setattr("pgcrypt_proxy.cli.key_life.LET_GO_S", 0.01)


def key_lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if " dek " in line]


def test_the_life_of_a_key(prepared, run):
    assert run("protect", "--all").status == 0
    done = run("rotate", "dek", "--data-class", "pii")
    assert done.status == 0
    assert "data class pii: key 3 is active, key 2 is retired" in done.out
    assert "nothing is sealed under the old keys any more" in done.out
    assert run("destroy", "2", "--yes").err.splitlines()[0] == "error: key 2 is needed by 3 stored envelopes"
    counted = run("keys", "--count").out
    assert [(line[0], line[4], line[-1]) for line in key_lines(counted)] == [
        ("2", "retired", "3"),
        ("3", "active", "0"),
    ]
    assert "key 2: public.users.email: 2" in counted
    assert "public.users.email: 2 values under key 2" in run("reseal", "--dry-run").out
    done = run("reseal")
    assert done.status == 0
    assert (
        done.out
        == run("reseal", "--status").out + "every value of the columns in the rules is sealed under an active key\n"
    )
    unsure = run("destroy", "2")
    assert unsure.status == 2
    assert "to destroy it, say --yes" in unsure.err
    assert run("destroy", "2", "--yes").out == "key 2 is destroyed\n"
    assert [line[4] for line in key_lines(run("keys").out)] == ["destroyed", "active"]
    assert run("verify").status == 0
    row = prepared.execute("SELECT wrapped FROM pgcrypt.keyring WHERE id = 2").fetchone()
    assert row == (None,)


def test_rotation_of_what_is_not_there(prepared, run):
    done = run("rotate", "dek", "--data-class", "nosuch")
    assert done.status == 2
    assert "Data classes: pii" in done.err


def test_a_new_kek(prepared, run, tmp_path):
    assert run("protect", "--all").status == 0
    assert run("keygen", str(tmp_path / "new.kek")).status == 0
    rules = tmp_path / "rules.yaml"
    old = rules.read_text()
    rules.write_text(old.replace("keyring.kek", "new.kek"))
    assert run("check").status == 2
    rules.write_text(
        old.replace(
            "{provider: file, path: keyring.kek}",
            "\n  provider: file\n  path: new.kek\n  previous:\n    - {provider: file, path: keyring.kek}",
        )
    )
    assert run("check").status == 0
    done = run("rotate", "kek")
    assert done.status == 0
    assert done.out.startswith("2 keys are wrapped by file ")
    (tmp_path / "keyring.kek").unlink()
    rules.write_text(old.replace("keyring.kek", "new.kek"))
    assert run("check").status == 0
    assert run("verify").status == 0


def test_the_trail_is_shown_and_verified(prepared, run):
    shown = run("audit", "show", "--last", "3").out
    assert "key_generated" in shown
    assert "data key of data class pii, generation 1" in shown
    assert len(run("audit", "show", "--key", "2").out.splitlines()) == 2
    done = run("audit", "verify")
    assert done.status == 0
    head = re.search(r"^head: (\S+)$", done.out, re.MULTILINE)
    assert head
    assert run("rotate", "dek").status == 0
    assert run("audit", "verify", "--head", head[1]).status == 0
    prepared.execute("ALTER TABLE pgcrypt.audit DISABLE TRIGGER ALL")
    prepared.execute("DELETE FROM pgcrypt.audit WHERE id = 2")
    broken = run("audit", "verify", "--head", head[1])
    assert broken.status == 1
    assert "finding: event 2 is missing" in broken.out


def test_a_new_index_key(prepared, run, tmp_path):
    assert run("protect", "--all").status == 0
    refused = run("rotate", "index")
    assert refused.status == 2
    assert "does not say phase: reindexing" in refused.err
    assert run("rotate", "index", "--table", "users").status == 2
    rules = tmp_path / "rules.yaml"
    rules.write_text(rules.read_text().replace("[equality]}", "[equality], phase: reindexing}"))
    assert run("rotate", "index", "--abandon").err.startswith("error: no column is being reindexed")
    shown = run("rotate", "index", "--dry-run")
    assert (shown.status, "users_email_key" in shown.out) == (0, True)
    assert "key 1, index generation 1: public.users.email\n" in run("keys").out
    done = run("rotate", "index", "--table", "users", "--column", "email")
    assert done.status == 0, done.err
    assert done.out.startswith("made the index key of generation 2\nreindexed: public.users.email (id 3), 2 values in")
    listed = run("keys").out
    assert "key 1, index generation 1: no column\n" in listed
    assert "key 3, index generation 2: public.users.email\n" in listed
    assert run("verify").status == 0
    assert run("destroy", "1", "--yes").out == "key 1 is destroyed\n"
    assert run("destroy", "3", "--yes").err.startswith("error: key 3 is the active index key")
    assert run("verify").status == 0
    assert run("audit", "verify").status == 0
