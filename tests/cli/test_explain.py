from __future__ import annotations

import pytest

from pgcrypt_proxy.cli.explain import WORDS
from pgcrypt_proxy.sql.plan import Use


@pytest.fixture
def explain(prepared, run):
    assert run("protect", "--all").status == 0
    return lambda *arguments, **more: run("explain", *arguments, **more)


def test_untouched(explain):
    done = explain("SELECT text FROM public.notes WHERE id = 4711")
    assert done.status == 0
    assert done.out.startswith("untouched")


def test_rewritten_shows_no_protected_literal(explain):
    done = explain("SELECT id, email FROM public.users WHERE email = 'ada@example.com'")
    assert done.out.startswith("rewritten:")
    assert "<term of public.users.email>" in done.out
    assert "result column 1: plain\n" in done.out
    assert "result column 2: opened as public.users.email (text)" in done.out
    assert "ada@" not in done.out + done.err


def test_copy_shows_what_becomes_of_its_columns(explain):
    done = explain("COPY public.users (id, email) FROM STDIN")
    assert "COPY column 1: plain\n" in done.out
    assert "COPY column 2: sealed as public.users.email (text)" in done.out
    assert "COPY column 1: opened as" in explain("COPY (SELECT email FROM public.users) TO STDOUT").out


def test_sealed_parameters_and_literals(explain):
    done = explain("INSERT INTO public.users (id, email, age) VALUES (7, $1, 43)")
    assert "<sealed public.users.age>" in done.out
    assert "parameter $1: sealed public.users.email, from the client's $1" in done.out
    assert "43" not in done.out


def test_refused_points_at_the_place_and_hides_literals(explain):
    sql = "SELECT id FROM public.users WHERE id = 4711 AND email LIKE 'ada%'"
    done = explain(sql)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("refused: ")
    assert "email" in lines[0]
    assert "(SQLSTATE 0A000)" in lines[0]
    caret = lines[2].index("^") - 2
    assert caret in range(sql.index("email"), len(sql))
    assert any(line.startswith("hint: ") for line in lines)
    assert "ada" not in done.out
    assert "4711" not in done.out


def test_names_are_looked_up_in_the_search_path(prepared, explain):
    prepared.execute("CREATE SCHEMA other; CREATE TABLE other.users (id int, email text)")
    sql = "SELECT email FROM users"
    assert explain(sql, "--search-path", "public").out.startswith("rewritten")
    assert explain(sql, "--search-path", "other").out.startswith("untouched")


def test_a_safe_function_may_be_called(prepared, explain, tmp_path):
    prepared.execute("CREATE FUNCTION public.touch() RETURNS void LANGUAGE sql AS 'UPDATE public.users SET id = id'")
    assert explain("SELECT public.touch()").out.startswith('refused: function "touch" may touch protected tables')
    with (tmp_path / "rules.yaml").open("a") as rules:
        rules.write("safe_functions: [public.touch]\n")
    assert explain("SELECT public.touch()").out.startswith("untouched")


def test_several_statements_from_standard_input(explain):
    sql = "UPDATE public.users SET age = 5; SELECT age FROM public.users"
    done = explain("-", "--simple", stdin=sql)
    assert "<sealed public.users.age>" in done.out
    assert "statement 2, result column 1" in done.out


def test_every_use_has_a_word():
    assert {use.name for use in Use} <= set(WORDS)
