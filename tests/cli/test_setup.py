from __future__ import annotations

from pgcrypt_proxy.ops import install


def test_init_makes_schema_and_keys_once(prepared, run):
    assert "up to date" in run("init").out
    rows = prepared.execute("SELECT kind, data_class, state FROM pgcrypt.keyring ORDER BY id").fetchall()
    assert rows == [("index", "", "active"), ("dek", "pii", "active")]
    again = run("init", "--dry-run")
    assert again.out == ""
    assert "Nothing to do" in again.err


def test_a_dry_run_prints_sql_and_changes_nothing(postgres, database, run):
    done = run("init", "--dry-run")
    assert done.status == 0
    assert "CREATE SCHEMA pgcrypt;" in done.out
    with postgres.connect(database) as connection:
        assert connection.execute("SELECT pg_catalog.to_regnamespace('pgcrypt')").fetchone() == (None,)


def test_init_without_rules_makes_the_schema(run, monkeypatch):
    monkeypatch.delenv("PGCRYPT_RULES")
    done = run("init")
    assert done.status == 0
    assert "installed" in done.out


def test_init_upgrades_an_older_schema(postgres, database, run, tmp_path):
    assert run("keygen", str(tmp_path / "keyring.kek")).status == 0
    with postgres.connect(database) as connection:
        connection.execute(install.sql_text("schema.sql").encode())
    assert run("keys").err.startswith(
        "error: reading the keyring: the database has no pgcrypt schema, or one of another"
    )
    assert "ALTER TABLE pgcrypt.keyring" in run("init", "--dry-run").out
    done = run("init")
    assert done.out.splitlines()[0] == "schema pgcrypt upgraded from version 1 to 6"
    assert "restart every proxy" in done.err
    assert "up to date" in run("init").out


def test_check_before_and_after(prepared, run):
    before = run("check")
    assert before.status == 1
    assert "rules.yaml:5: public.users.email is not sealed yet" in before.out
    assert run("protect", "--all").status == 0
    after = run("check")
    assert after.status == 0, after
    assert "sealed: public.users.email (text, pii, id 1)" in after.out


def test_check_says_what_is_plain_for_now(prepared, run, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(rules.read_text().replace("column: email,", "column: email, phase: sealing,"))
    assert run("protect", "--table", "public.users", "--column", "age").status == 0
    done = run("check")
    assert done.status == 0, done
    assert "plain: public.users.email is plain for now" in done.out
    assert "the phase of its rule is sealing" in done.out


def test_check_names_file_line_and_spelling(prepared, run, tmp_path):
    (tmp_path / "rules.yaml").write_text(
        "version: 1\nkeyring: {provider: file, path: keyring.kek}\ncolumns:\n"
        "  - {table: public.users, column: emial, type: text}\n"
        "  - {table: public.user, column: email, type: text}\n"
        "  - {table: public.users, column: age, type: bigint}\n"
    )
    done = run("check")
    assert done.status == 1
    assert "rules.yaml:4: table public.users has no column emial; did you mean email?" in done.out
    assert "rules.yaml:5: there is no table public.user; did you mean public.users?" in done.out
    assert "its type is integer, the rule" in done.out


def test_check_shows_what_leads_to_protected_columns(prepared, run, tmp_path):
    assert run("protect", "--all").status == 0
    prepared.execute(
        "CREATE VIEW public.people AS SELECT email AS mail, id FROM public.users;"
        "CREATE VIEW public.ordered AS SELECT email FROM public.users ORDER BY email;"
        "CREATE FUNCTION public.touch() RETURNS void LANGUAGE sql AS 'UPDATE public.users SET id = id'"
    )
    done = run("check")
    assert done.status == 0
    assert "view: public.people.mail shows public.users.email\n" in done.out
    assert "refused: public.ordered is made from protected columns" in done.out
    assert "refused: function touch may touch protected tables" in done.out
    with (tmp_path / "rules.yaml").open("a") as rules:
        rules.write("safe_functions: [public.touch, public.tuch]\n")
    done = run("check")
    assert done.status == 1
    assert "rules.yaml:7: there is no function public.tuch; did you mean public.touch?" in done.out
    assert "function touch may" not in done.out


def test_check_without_init_says_so(run, tmp_path):
    done = run("check")
    assert done.status == 2
    assert "hint: Run `pgcrypt-proxy init`" in done.err


def test_a_database_that_is_not_there(run, monkeypatch):
    monkeypatch.setenv("PGCRYPT_DATABASE_URL", "postgresql://secret-user:secret@127.0.0.1:1/x")
    done = run("check")
    assert done.status == 2
    assert "cannot connect to the database" in done.err
    assert "secret@" not in done.err
