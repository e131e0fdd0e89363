from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgcrypt_proxy.cli import learn as learn_module
from pgcrypt_proxy.cli.supposing import lacking
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.values.types import type_by_name

pytestmark = pytest.mark.one_server

SCRIPT = """\
-- what the application does
SELECT id FROM users WHERE email = 'ada@secret';
SELECT id FROM users WHERE email = 'bo@secret';
SELECT text FROM notes WHERE id = 4711;
SELECT text FROM notes WHERE id = 4712;
SELECT text FROM notes WHERE id IN (1, 2, 3);
INSERT INTO users (id, email, age) VALUES (1, 'secret', 41);
SELECT id FROM users WHERE age = 42;
SELECT id FROM users WHERE age = 43 AND lower(email) = 'secret';
SELECT id FROM users WHERE email LIKE 'secret%';
SELECT id FROM users WHERE email LIKE 'secret2%';
SELECT 'secret wrong syntax;
"""


@pytest.fixture
def learn(prepared, run, tmp_path: Path):
    """Runs `learn` on a file with that text."""

    def learn(text: str, *arguments: str):
        path = tmp_path / "statements"
        path.write_text(text)
        done = run("learn", str(path), *arguments)
        assert "secret" not in done.out + done.err
        return done

    return learn


def test_counts_templates_reasons_and_search_terms(run, learn):
    assert run("protect", "--all").status == 0
    done = learn(SCRIPT)
    assert done.status == 1, done
    out = [" ".join(line.split()) for line in done.out.splitlines()]
    assert out[0].endswith("statements, read as sql: 11 statements, 8 templates")
    assert out[1:4] == ["untouched 4", "rewritten 3", "refused 4"]
    assert "2 SELECT text FROM notes WHERE id = ? (line 4)" in out
    assert "1 SELECT text FROM notes WHERE id IN (?, ...) (line 6)" in out
    assert "2 SELECT id FROM users WHERE email = ? (line 2)" in out
    assert "2 SELECT id FROM users WHERE email LIKE ? (line 10)" in out
    assert 'LIKE is not possible on protected column "public.users.email" (SQLSTATE 0A000), 2 statements' in out
    assert 'protected column "public.users.age" is not searchable (SQLSTATE 0A000), 2 statements' in out
    at = out.index("search terms, with which 2 of the refused statements would pass:")
    assert out[at + 1 :] == [
        "public.users.age: search: [equality] (2 statements)",
        "public.users.email: search: [equality, equality_casefold] (1 statements)",
    ]
    assert "1 statements cannot be parsed" in done.err


def test_columns_count_as_sealed_before_they_are(learn):
    done = learn("SELECT email, age FROM public.users WHERE email = 'x';UPDATE users SET age = 1 WHERE age = 2")
    assert done.status == 1
    assert "as if it were sealed: public.users.email" in done.out
    assert "public.users.age: search: [equality]" in done.out


def test_views_and_children_of_columns_that_wait_are_judged_as_they_will_be(prepared, learn):
    prepared.execute(
        "CREATE VIEW public.people AS SELECT id, email AS mail FROM public.users;"
        "CREATE VIEW public.above AS SELECT mail FROM public.people WHERE id > 1;"
        "CREATE VIEW public.ada AS SELECT id FROM public.users WHERE email = 'ada';"
        "CREATE TABLE public.members () INHERITS (public.users);"
        "CREATE TABLE public.guests () INHERITS (public.members)"
    )
    passes = (
        "SELECT mail FROM people WHERE mail = 'x'; SELECT mail FROM above; INSERT INTO people VALUES (1, 'x');"
        "SELECT email FROM members WHERE email = 'x'; UPDATE guests SET email = 'x', age = 4"
    )
    done = learn(passes)
    assert done.status == 0, done
    assert " ".join(done.out.split()).count("as if it were sealed:") == 2
    assert "rewritten 5" in " ".join(done.out.split())
    done = learn("SELECT id FROM ada; SELECT upper(mail) FROM above; SELECT max(email) FROM guests")
    assert "refused 3" in " ".join(done.out.split())


def test_nothing_refused_is_status_0(learn):
    done = learn("LOG:  statement: SELECT 1\nLOG:  execute s: SELECT email FROM users WHERE email = $1\n")
    assert done.status == 0
    assert "read as log: 2 statements" in done.out
    assert "refused:" not in done.out


def test_json(learn):
    text = "queryid,query,calls\n1,SELECT id FROM users WHERE email LIKE $1,7\n2,SELECT count(*) FROM notes,5\n"
    done = learn(text, "--json")
    assert done.status == 1
    made = json.loads(done.out)
    assert (made["format"], made["statements"]) == ("csv", 12)
    assert made["untouched"] == {
        "statements": 5,
        "templates": [{"template": "SELECT count(*) FROM notes", "statements": 5, "line": 3}],
    }
    assert made["rewritten"] == {"statements": 0, "templates": []}
    (reason,) = made["refused"]["reasons"]
    assert (reason["statements"], reason["sqlstate"]) == (7, "0A000")
    assert reason["templates"][0]["template"] == "SELECT id FROM users WHERE email LIKE $1"
    assert made["supposed_sealed"] == ["public.users.email", "public.users.age"]
    assert (made["search"], made["answerable_with_search"]) == ([], 0)


def test_partitions_ask_for_terms_of_the_column_with_the_rule(prepared, run, learn):
    assert run("protect", "--all").status == 0
    prepared.execute("CREATE TABLE public.members () INHERITS (public.users)")
    done = learn("SELECT id FROM members WHERE age = 5", "--json")
    assert json.loads(done.out)["search"] == [{"column": "public.users.age", "mode": "equality", "statements": 1}]
    assert json.loads(done.out)["answerable_with_search"] == 1


def test_a_log_as_the_server_writes_it(postgres, prepared, run, tmp_path: Path):
    before = postgres.log_path.stat().st_size  # what other tests had logged would take long to read
    prepared.execute("SET log_statement = 'all'; SET log_min_duration_statement = 0")
    prepared.execute("SELECT text FROM notes\n WHERE text = 'two\nlines'")
    prepared.execute("SELECT email FROM users WHERE email = %s AND id = %s", ["x", 4])
    prepared.execute("SELECT id FROM users ORDER BY age")
    log = tmp_path / "server.log"
    with postgres.log_path.open("rb") as stream:
        stream.seek(before)
        log.write_bytes(stream.read())
    done = run("learn", str(log), "--json")
    made = json.loads(done.out)
    assert made["format"] == "log"
    untouched = {one["template"] for one in made["untouched"]["templates"]}
    assert "SELECT text FROM notes WHERE text = ?" in untouched
    rewritten = {one["template"] for one in made["rewritten"]["templates"]}
    assert "SELECT email FROM users WHERE email = $1 AND id = $2" in rewritten
    refused = {one["template"] for reason in made["refused"]["reasons"] for one in reason["templates"]}
    assert "SELECT id FROM users ORDER BY age" in refused


def test_names_follow_the_search_path(prepared, learn):
    prepared.execute("CREATE SCHEMA other; CREATE TABLE other.users (id int, email text)")
    sql = "SELECT upper(email) FROM users"
    assert learn(sql, "--search-path", "public").status == 1
    assert learn(sql, "--search-path", "other").status == 0


def test_templates_are_bounded(learn, monkeypatch):
    monkeypatch.setattr(learn_module, "MAX_TEMPLATES", 3)
    text = "".join(f"SELECT text AS a{number} FROM notes;" for number in range(10))
    out = " ".join(learn(text).out.split())
    assert "untouched 10" in out
    assert "7 (further templates)" in out


def test_standard_input(prepared, run):
    assert "standard input, read as sql: 1 statements" in run("learn", "-", stdin="SELECT 1").out


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "is empty"), ("\0", "is no text file"), ("-- nothing\n", "no statement was found")],
)
def test_bad_files_give_one_clear_line(learn, text, problem):
    done = learn(text)
    assert done.status == 2
    assert problem in done.err
    assert done.out == ""


def test_a_missing_file(prepared, run, tmp_path):
    done = run("learn", str(tmp_path / "nowhere"))
    assert (done.status, done.out) == (2, "")
    assert "nowhere cannot be read" in done.err


def test_the_refusals_for_want_of_a_term_are_known_as_such():
    column = ProtectedColumn(1, "public", "users", "email", 1, 1, 1, type_by_name("text"), "pii")
    assert lacking(refuse.needs_search(column, 1)) == ("public.users.email", "equality")
    for mode in ("equality_casefold", "equality_upper"):
        assert lacking(refuse.needs_folded(column, "ILIKE", mode, 1)) == ("public.users.email", mode)
    assert lacking(refuse.construct(column, "LIKE")) is None
