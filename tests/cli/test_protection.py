from __future__ import annotations

import pytest


def test_protect_verify_unprotect(prepared, run):
    done = run("protect", "--table", "public.users", "--column", "email")
    assert done.status == 0, done
    assert "sealed: public.users.email (id 1), 2 values and 0 NULLs" in done.out
    assert "indexes: users_email_key" in done.out
    assert "public.users.age is named in the rules and holds plaintext" in run("verify").out
    assert "already sealed: public.users.email" in run("protect", "--all").out
    verified = run("verify")
    assert verified.status == 0, verified
    assert "every value opens" in verified.out
    assert run("unprotect", "--table", "users", "--column", "email").status == 0
    assert prepared.execute("SELECT email FROM public.users ORDER BY id").fetchall() == [
        ("ada@example.com",),
        ("bo@example.com",),
    ]


def test_a_dry_run_shows_the_steps(prepared, run):
    done = run("protect", "--all", "--dry-run")
    assert done.status == 0
    assert "LOCK TABLE" in done.out
    assert prepared.execute("SELECT pg_catalog.count(*) FROM pgcrypt.columns").fetchone() == (0,)


def test_one_obstacle_keeps_all_as_they_are(prepared, run):
    prepared.execute("ALTER TABLE public.users ADD CHECK (age > 0)")
    assert run("protect", "--all", "--dry-run").status == 2
    done = run("protect", "--all")
    assert done.status == 2
    assert "the CHECK would see ciphertext" in done.err
    assert prepared.execute("SELECT pg_catalog.count(*) FROM pgcrypt.columns").fetchone() == (0,)


@pytest.mark.parametrize(
    "arguments", [[], ["--table", "users"], ["--all", "--table", "users"], ["--table", "users", "--column", "id"]]
)
def test_what_is_wanted_must_be_clear(prepared, run, arguments):
    assert run("protect", *arguments).status == 2


def test_verify_finds_a_damaged_value(prepared, run):
    assert run("protect", "--all").status == 0
    prepared.execute(
        "UPDATE public.users SET age = overlay(age::bytea PLACING '\\x00'::bytea FROM 30)::pgcrypt.sealed_2"
    )
    done = run("verify")
    assert done.status == 1
    assert "public.users.age: values do not open, at ctid (0," in done.out
