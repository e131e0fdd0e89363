"""`import` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from pgcrypt_proxy.ops.online.fill import Filler
from tests.cli.test_online import say_phase

KEY = Fernet.generate_key()


@pytest.fixture
def tokens(prepared, tmp_path):
    """public.users.email holds Fernet tokens; the key is in a file."""
    prepared.execute("DROP TABLE public.users; CREATE TABLE public.users (id int PRIMARY KEY, email bytea, age int)")
    for number, text in enumerate(("ada@example.com", "bo@example.com"), 1):
        prepared.execute("INSERT INTO public.users VALUES (%s, %s)", [number, Fernet(KEY).encrypt(text.encode())])
    secret(tmp_path, KEY + b"\n")
    return prepared


def secret(folder: Path, content: bytes, mode: int = 0o600) -> None:
    (folder / "secret").write_bytes(content)
    (folder / "secret").chmod(mode)


def test_a_column_is_looked_at_and_imported(tokens, run, tmp_path):
    arguments = ("import", "users.email", "--from", "fernet", "--secret-file", str(tmp_path / "secret"))
    looked = run(*arguments, "--dry-run")
    assert looked.status == 0, looked
    assert "public.users.email: 2 of 2 values open" in looked.out
    assert tokens.execute("SELECT count(*) FROM pgcrypt.columns").fetchone() == (0,)
    done = run(*arguments)
    assert done.status == 0, done
    assert "imported: public.users.email (id 1), 2 values and 0 NULLs" in done.out
    assert "must not decrypt the column itself any more" in done.err
    assert "finding: public.users.email" not in run("verify").out
    (row,) = tokens.execute("SELECT email::bytea::text FROM public.users WHERE id = 1").fetchall()
    assert run("open", "--column", "users.email", stdin=row[0]).out == "ada@example.com\n"
    again = run(*arguments)
    assert again.status == 2
    assert "is of type pgcrypt.sealed_1" in again.err


def test_what_does_not_open_is_named_and_nothing_is_changed(tokens, run, monkeypatch):
    monkeypatch.setenv("OLD_KEY", Fernet.generate_key().decode())
    before = tokens.execute("SELECT * FROM public.users ORDER BY id").fetchall()
    for more in (["--dry-run"], []):
        done = run("import", "users.email", "--from", "fernet", "--secret-variable", "OLD_KEY", *more)
        assert done.status == 2
        assert "2 of 2 values do not open" in done.err
        assert "id 1: it does not open under that secret, or was damaged" in done.err
    assert tokens.execute("SELECT * FROM public.users ORDER BY id").fetchall() == before
    assert tokens.execute("SELECT count(*) FROM pgcrypt.columns").fetchone() == (0,)


def test_what_is_in_the_way(tokens, run, tmp_path):
    tokens.execute("CREATE VIEW public.mails AS SELECT email FROM public.users")
    arguments = ("import", "users.email", "--from", "fernet", "--secret-file", str(tmp_path / "secret"))
    assert (run(*arguments, "--dry-run").status, run(*arguments).status) == (2, 2)
    assert "drop the view first" in run(*arguments).err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "where is the secret?"),
        (["--secret-file", "secret", "--secret-variable", "OLD_KEY"], "where is the secret?"),
        (["--secret-file", "missing"], "cannot be read: No such file"),
        (["--secret-file", "shared"], "may be read or written by others"),
        (["--secret-file", "long"], "is too long"),
        (["--secret-variable", "MISSING"], "the environment has no variable MISSING"),
        (["--secret-file", "secret", "--padding", "pkcs5"], "form fernet has no padding"),
    ],
)
def test_the_secret_comes_from_a_file_or_the_environment(tokens, run, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    for name, mode, size in (("shared", 0o644, 44), ("long", 0o600, 70_000)):
        (tmp_path / name).write_bytes(b"x" * size)
        (tmp_path / name).chmod(mode)
    done = run("import", "users.email", "--from", "fernet", *arguments)
    assert (done.status, said in " ".join(done.err.split())) == (2, True), done


def test_which_form_must_be_said(tokens, run, tmp_path):
    assert 'there is no form ""' in run("import", "users.email", "--secret-file", str(tmp_path / "secret")).err


class TestOnline:
    @pytest.fixture
    def arguments(self, tokens, tmp_path):
        say_phase(tmp_path, "importing")
        return "import", "--online", "users.email", "--from", "fernet", "--secret-file", str(tmp_path / "secret")

    def test_it_is_made_ready_and_cut_over(self, arguments, tokens, run, tmp_path):
        looked = run(*arguments, "--dry-run")
        assert (looked.status, "2 of 2 values open" in looked.out) == (0, True)
        ready = run(*arguments, "--jobs", "2", "--max-lag", "5", "--batch-blocks", "4")
        assert (ready.status, "ready: public.users.email (id 1), 2 values" in ready.out) == (0, True), ready
        assert "run the same command with --cut-over" in " ".join(ready.err.split())
        assert "holds what the application encrypts itself" in run("check").out
        assert "is on its way by import --online" in run("protect", "users.email").err
        tokens.execute("INSERT INTO public.users VALUES (3, %s)", [Fernet(KEY).encrypt(b"cy@example.com")])
        done = run(*arguments, "--cut-over")
        assert (done.status, "imported: public.users.email (id 1), 1 values" in done.out) == (0, True), done
        assert done.out.startswith("cut over: public.users.email\n")
        assert "take `phase` out of the rule, and reload the proxies" in " ".join(done.err.split())
        assert "withheld: public.users.email is imported, and no value of it passes" in run("check").out
        assert "cut over" not in ready.out
        assert run(*arguments, "--cut-over").out == "already sealed: public.users.email\n"
        say_phase(tmp_path, "")
        assert "withheld" not in run("check").out
        assert "finding: public.users.email" not in run("verify").out
        (row,) = tokens.execute("SELECT email::bytea::text FROM public.users WHERE id = 3").fetchall()
        assert run("open", "--column", "users.email", stdin=row[0]).out == "cy@example.com\n"

    def test_what_does_not_open_is_named_and_the_columns_stay(self, arguments, tokens, run):
        tokens.execute("UPDATE public.users SET email = 'sown' WHERE id = 2")
        for more in (["--dry-run"], [], ["--cut-over"]):
            done = run(*arguments, *more)
            assert (done.status, "id 2: it does not open under that secret" in done.err) == (2, True), done
            assert "sown" not in done.out + done.err
        assert run(*arguments[:3], "--abandon").out == "abandoned: public.users.email is as it was\n"
        assert tokens.execute("SELECT count(*) FROM pgcrypt.columns").fetchone() == (0,)

    def test_stopped_by_hand(self, arguments, run, monkeypatch):
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Filler, "batch", interrupted)
        done = run(*arguments)
        assert done.status == 130
        assert "To go on from here: the same command" in done.err
        assert "pgcrypt-proxy import --online public.users.email --abandon" in " ".join(done.err.split())

    def test_the_rule_must_say_it(self, arguments, run, tmp_path):
        say_phase(tmp_path, "sealing")
        assert "does not say phase: importing" in run(*arguments).err
        assert "is for --online" in run(*(a for a in arguments if a != "--online"), "--cut-over").err
        assert "is for --online" in run("import", "users.email", "--abandon").err
