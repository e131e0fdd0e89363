"""For which relations a newer catalog matters, and that it says nothing new of the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgcrypt_proxy.ops import catalog_loader, catalog_lookup
from pgcrypt_proxy.policy.load import load
from tests.helpers.proxies import ProtectedDatabase, protected
from tests.helpers.servers import PostgresServer

SCHEMA = "CREATE TABLE users (id int PRIMARY KEY, email text); CREATE TABLE parent (a int); CREATE TYPE made AS (x int)"
COLUMNS = "{table: users, column: email, type: text, search: [equality]}"
TOUCH = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM users; RETURN NEW; END'"

PLAIN = [
    "CREATE TABLE thing (id int PRIMARY KEY, email text)",
    "CREATE TABLE thing (id int REFERENCES users)",
    "CREATE TABLE thing (a int, b int GENERATED ALWAYS AS (a + 1) STORED)",
    "CREATE TABLE other (id int); CREATE VIEW seen AS SELECT * FROM other; CREATE TABLE thing (id int)",
]
NOT_PLAIN = [
    "CREATE VIEW thing AS SELECT email FROM users",
    "CREATE VIEW thing AS SELECT 1 AS one",
    "CREATE MATERIALIZED VIEW thing AS SELECT email FROM users",
    "CREATE TABLE thing (LIKE users)",
    "CREATE TABLE thing (id int, email pgcrypt.sealed)",
    "CREATE TABLE thing () INHERITS (parent)",
    "CREATE TABLE thing () INHERITS (users)",
    "CREATE TABLE thing (id int); CREATE TABLE child () INHERITS (thing)",
    "CREATE TABLE thing (id int) PARTITION BY LIST (id)",
    "CREATE TABLE whole (id int) PARTITION BY LIST (id); CREATE TABLE thing PARTITION OF whole DEFAULT",
    f"CREATE TABLE thing (id int); {TOUCH}; CREATE TRIGGER t BEFORE INSERT ON thing EXECUTE FUNCTION touch()",
    "CREATE TABLE thing (id int); CREATE RULE r AS ON INSERT TO thing DO ALSO DELETE FROM users",
    "CREATE TABLE thing OF made",
    "CREATE SCHEMA far; CREATE VIEW far.thing AS SELECT email FROM users",
    "CREATE TABLE thing (id int); CREATE SCHEMA far; CREATE VIEW far.thing AS SELECT email FROM users",
]
NOT_THERE = [
    "SELECT 1",
    "CREATE TEMPORARY TABLE thing (id int)",
    "CREATE TYPE thing AS (a int)",
    "CREATE SEQUENCE thing",
]


@pytest.fixture(scope="module")
def db(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedDatabase]:
    with protected(postgres, tmp_path_factory.mktemp("lookup"), SCHEMA, COLUMNS) as made:
        yield made


@pytest.mark.parametrize("statements", [*PLAIN, *NOT_PLAIN, *NOT_THERE])
def test_what_matters(db: ProtectedDatabase, statements: str) -> None:
    with db.direct() as direct, direct.transaction(force_rollback=True):
        before = catalog_loader.load(direct, load([db.rules]))
        direct.execute(statements.encode())
        to_untouched = catalog_lookup.matters(direct, ["nothing", "thing"], but_plain=True)
        to_others = catalog_lookup.matters(direct, ["thing"], but_plain=False)
        assert (to_untouched, to_others) == (statements in NOT_PLAIN, statements not in NOT_THERE)
        after = catalog_loader.load(direct, load([db.rules]))
    said = after.by_name.get("thing", ())
    assert bool(said) == to_others
    if not to_untouched:
        assert not any(relation.is_sensitive or relation.write_hazards for relation in said)
        assert after.sensitive_names == before.sensitive_names
        assert after.hazard_names == before.hazard_names
        assert after.tainted_functions == before.tainted_functions


def test_names_are_looked_up_as_the_server_cuts_them(db: ProtectedDatabase) -> None:
    with db.direct() as direct, direct.transaction(force_rollback=True):
        direct.execute(f"CREATE VIEW {'v' * 63} AS SELECT email FROM users")
        assert catalog_lookup.matters(direct, ["v" * 63], but_plain=True)
        assert catalog_lookup.matters(direct, ["v" * 70], but_plain=True)
        assert not catalog_lookup.matters(direct, [], but_plain=False)
