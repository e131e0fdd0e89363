from __future__ import annotations

import stat


def test_keygen_overwrites_nothing(run, tmp_path):
    path = tmp_path / "new.kek"
    assert run("keygen", str(path)).status == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert run("keygen", str(path)).status == 2
    assert path.read_bytes() == before


def test_keys_are_shown_with_their_use(prepared, run):
    assert run("protect", "--all").status == 0
    done = run("keys", "--count")
    assert done.status == 0
    (dek,) = [line for line in done.out.splitlines() if " dek " in line]
    assert dek.split()[1:5] == ["dek", "pii", "1", "active"]
    assert dek.split()[-1] == "3"
    assert "envelopes" not in run("keys").out


def test_an_old_key_is_said(prepared, run):
    assert "note" not in run("keys").err
    prepared.execute("UPDATE pgcrypt.keyring SET activated_at = now() - interval '200 days'")
    assert run("keys").err == ("note: key 2 has been active for 200 days: pgcrypt-proxy rotate dek --data-class pii\n")


def test_open_prints_one_value(prepared, run):
    assert run("protect", "--all").status == 0
    row = prepared.execute("SELECT email::bytea::text FROM public.users WHERE id = 1").fetchone()
    done = run("open", "--column", "public.users.email", stdin=row[0] + "\n")
    assert (done.status, done.out) == (0, "ada@example.com\n")
    wrong = run("open", "--column", "public.users.age", stdin=row[0])
    assert wrong.status == 2
    assert wrong.out == ""


def test_another_key_file_opens_nothing(prepared, run, tmp_path):
    (tmp_path / "keyring.kek").unlink()
    assert run("keygen", str(tmp_path / "keyring.kek")).status == 0
    done = run("check")
    assert done.status == 2
    assert done.err.startswith("error: ")
