"""Columns with tenants beside a table in use: each value under the key of the tenant that its row has at the time."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError, KeyNotLoaded, PgcryptError
from pgcrypt_proxy.ops import erasure, protect
from pgcrypt_proxy.ops.fresh_keys import FreshKeys
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.online import moves, of_tenants, scrub, swap
from pgcrypt_proxy.ops.online.engine import Run
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.policy.model import Rule, TenantRule
from tests.ops.conftest import RuleMaker
from tests.ops.online.test_engine import begun, rows
from tests.ops.online.test_reindex import flags, rotation

SCHEMA = """
CREATE TABLE public.events (id int PRIMARY KEY, "who is" int, email text UNIQUE);
INSERT INTO public.events SELECT n, n % 3, 'sown' || n FROM generate_series(1, 30) n;
INSERT INTO public.events VALUES (31, NULL, NULL);
"""


@pytest.fixture
def events(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute(SCHEMA)
    return connection


@pytest.fixture
def ruled(rule: RuleMaker) -> Rule:
    return rule("public.events.email", "text", ("equality",), tenant=TenantRule("who is"))


def owners(connection: psycopg.Connection, column: str = "email") -> dict[int, str]:
    """By the row's id, whose key its envelope names."""
    return dict(
        rows(
            connection,
            f"SELECT e.id, k.tenant FROM public.events e JOIN pgcrypt.keyring k"
            f" ON int4send(k.id) = substr(e.{column}::bytea, 3, 4)",
        )
    )


RIGHT = {n: str(n % 3) for n in range(1, 31)}


def test_there_and_back(events, store, sealing, opening, verified, ruled) -> None:
    assert sealing(ruled).to_the_end().values == 30
    assert owners(events) == RIGHT
    assert verified(ruled) == 30
    opening(ruled).to_the_end()
    assert rows(events, "SELECT count(*) FROM public.events WHERE email = 'sown' || id") == [(30,)]


def test_reindexed_under_the_key_of_the_same_tenant(events, store, verified, rule, ruled) -> None:
    other = rule("public.others.email", "text", ("equality",), index_domain=ruled.index_domain)
    by_setting = rule(
        "public.jobs.email", "text", ("equality",), index_domain=ruled.index_domain, tenant=TenantRule("")
    )
    for name in ("others", "jobs"):
        events.execute(f"CREATE TABLE public.{name} AS SELECT id, email FROM public.events".encode())
    protect.protect(events, store, ruled, Options())
    protect.protect(events, store, other, Options())
    protect.protect(events, store, by_setting, Options(tenant="acme"))
    events.execute('UPDATE public.events SET "who is" = 7 WHERE id = 3')  # what a value is sealed for stays
    done = rotation(events, store, ruled, other, by_setting).to_the_end()
    assert sum(outcome.values for outcome in done) == 90
    assert owners(events) == RIGHT
    assert flags(events, "events") == flags(events, "others") == flags(events, "jobs") == {0x21}
    joined = "SELECT count(*) FROM public.events e JOIN public.jobs j ON pgcrypt.eq(e.email) = pgcrypt.eq(j.email)"
    assert rows(events, joined) == [(30,)]
    events.execute('UPDATE public.events SET "who is" = 0 WHERE id = 3')
    assert verified(ruled, other, by_setting) == 90


def test_made_plain_for_whomever_it_was_sealed(events, store, opening, rule) -> None:
    by_setting = rule("public.events.email", "text", ("equality",), tenant=TenantRule(""))
    protect.protect(events, store, by_setting, Options(tenant="acme"))
    assert set(owners(events).values()) == {"acme"}
    opening(by_setting).to_the_end()
    assert rows(events, "SELECT count(*) FROM public.events WHERE email = 'sown' || id") == [(30,)]


def test_a_row_that_changes_hands_is_sealed_for_the_new_tenant(events, sealing, verified, ruled, monkeypatch) -> None:
    begun(events, sealing(ruled), monkeypatch)
    events.execute('UPDATE public.events SET "who is" = 9 WHERE id = 3')
    assert rows(events, "SELECT id FROM public.events WHERE pgcrypt_next_1 IS NULL ORDER BY 1") == [(3,), (31,)]
    sealing(ruled).to_the_end()
    assert owners(events) == RIGHT | {3: "9"}
    assert verified(ruled) == 30


def test_the_tenants_column_stays_while_values_are_sealed(events, sealing, ruled, monkeypatch) -> None:
    begun(events, sealing(ruled), monkeypatch)
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        events.execute('ALTER TABLE public.events DROP COLUMN "who is"')


def test_what_tenant_it_is_must_be_known(events, sealing, ruled, monkeypatch) -> None:
    events.execute("INSERT INTO public.events VALUES (40, NULL, 'sown40')")
    with pytest.raises(ConfigError, match="1 rows have a value and no who is"):
        sealing(ruled).to_the_end()
    assert moves.every(events) == []
    events.execute('UPDATE public.events SET "who is" = 1 WHERE id = 40')
    begun(events, sealing(ruled), monkeypatch)
    events.execute('UPDATE public.events SET "who is" = NULL WHERE id = 40')
    with pytest.raises(ConfigError, match="a row has a value, and no tenant in who is") as caught:
        sealing(ruled).to_the_end()
    assert "public.events.email, row (" in (caught.value.detail or "")
    events.execute('UPDATE public.events SET "who is" = 2 WHERE id = 40')
    sealing(ruled).to_the_end()
    assert owners(events)[40] == "2"


@pytest.mark.parametrize(
    ("ddl", "changed", "says"),
    [
        ("", TenantRule(""), "whose the values are that are written meanwhile is not known"),
        (
            "ALTER TABLE public.events ADD COLUMN g int GENERATED ALWAYS AS (id % 2) STORED",
            TenantRule("g"),
            "g is a generated column",
        ),
        ("", TenantRule("nobody"), "there is no column nobody of type text"),
        ("INSERT INTO pgcrypt.erased_tenants (tenant, erased_by) VALUES ('2', 'x')", None, "tenant 2 is being erased"),
    ],
)
def test_what_is_in_the_way(events, sealing, rule, ruled, ddl, changed, says) -> None:
    if ddl:
        events.execute(ddl)
    other = ruled if changed is None else rule("public.events.email", "text", ("equality",), tenant=changed)
    with pytest.raises(ConfigError, match=says):
        sealing(other).to_the_end()
    assert moves.every(events) == []


def test_an_erased_tenants_rows_are_in_the_way(events, store, sealing, opening, ruled) -> None:
    protect.protect(events, store, ruled, Options())
    erasure.erase(events, "1", sleep=lambda _: None)
    for again in (opening(ruled), rotation(events, store, ruled)):
        with pytest.raises(ConfigError, match="the keys of 10 values were destroyed"):
            again.to_the_end()
    assert moves.every(events) == []
    events.execute('DELETE FROM public.events WHERE "who is" = 1')
    opening(ruled).to_the_end()
    events.execute("INSERT INTO public.events VALUES (1, 1, 'sown1')")
    with pytest.raises(ConfigError, match="1 values are of tenants that were erased"):
        sealing(ruled).to_the_end()


def test_no_tenant_is_erased_whose_values_may_be_plain(events, store, sealing, opening, ruled, monkeypatch) -> None:
    for run in (sealing, opening):
        begun(events, run(ruled), monkeypatch)
        with pytest.raises(ConfigError, match="has tenants, and is on its way by"):
            erasure.erase(events, "1", sleep=lambda _: None)
        run(ruled).to_the_end()
        if run is sealing:
            assert set(rows(events, "SELECT state FROM pgcrypt.keyring WHERE tenant <> ''")) == {("active",)}
    assert erasure.erase(events, "1", sleep=lambda _: None)["values"] == 0


@pytest.mark.parametrize("is_behind", [False, True])
@pytest.mark.parametrize("kind", ["sealing", "opening", "reindexing"])
@pytest.mark.parametrize(("home", "step"), [(Run, "_first_pass"), (swap, "swap"), (scrub, "vacuum")])
def test_stopped_at_any_step_it_goes_on(
    events, store, sealing, opening, verified, ruled, monkeypatch, kind, home, step, is_behind
) -> None:
    if kind != "sealing":
        protect.protect(events, store, ruled, Options())
    real = getattr(home, step)

    def stop(*arguments: Any) -> None:
        if is_behind:
            real(*arguments)
        raise ConfigError("stopped here")

    def run() -> None:
        made = sealing(ruled) if kind == "sealing" else opening(ruled)
        (rotation(events, store, ruled) if kind == "reindexing" else made).to_the_end()

    with monkeypatch.context() as patched:
        patched.setattr(home, step, stop)
        with pytest.raises(ConfigError, match="stopped here"):
            run()
    assert len(moves.every(events)) == 1
    run()
    assert moves.every(events) == []
    if kind == "opening":
        assert rows(events, "SELECT count(*) FROM public.events WHERE email = 'sown' || id") == [(30,)]
    else:
        assert owners(events) == RIGHT
        assert verified(ruled) == 30


def test_abandoned(events, store, sealing, ruled, monkeypatch) -> None:
    begun(events, sealing(ruled), monkeypatch)
    sealing(ruled).abandon()
    events.execute('ALTER TABLE public.events DROP COLUMN "who is"')
    assert rows(events, "SELECT count(*) FROM public.events WHERE email = 'sown' || id") == [(30,)]
    assert moves.every(events) == []


def test_the_rule_names_the_same_tenants_to_the_end(events, sealing, rule, ruled, monkeypatch) -> None:
    begun(events, sealing(ruled), monkeypatch)
    with pytest.raises(ConfigError, match="the rule was changed while") as caught:
        sealing(rule("public.events.email", "text", ("equality",))).to_the_end()
    assert "tenant {column: who is}" in (caught.value.detail or "")


def test_a_rotated_key_seals_nothing_more(events, store, sealing, verified, ruled, monkeypatch) -> None:
    """Not even in a run that has it in memory."""
    real, old = Run._caught_up, set[int]()

    def rotated(self: Run, *arguments: Any) -> None:
        if not old:
            (found,) = rotate_deks(store, tenant="1", sleep=_no_sleep)
            old.add(found.old_id)
            self.connection.execute("UPDATE public.events SET email = email || 'x' WHERE id IN (1, 4)")
        real(self, *arguments)

    monkeypatch.setattr(Run, "_caught_up", rotated)
    sealing(ruled).to_the_end()
    keys = rows(events, 'SELECT id, substr(email::bytea, 3, 4) FROM public.events WHERE "who is" = 1 ORDER BY id')
    assert {n for n, key in keys if int.from_bytes(key) in old} == set(range(1, 31, 3)) - {1, 4}
    assert verified(ruled) == 30


def _no_sleep(_: float) -> None:
    return None


@pytest.mark.parametrize("kind", ["sealing", "opening"])
def test_few_keys_are_loaded_for_one_batch(events, store, sealing, opening, ruled, monkeypatch, kind) -> None:
    monkeypatch.setattr(of_tenants, "MAX_NEW_KEYS", 7)
    events.execute("INSERT INTO public.events SELECT n, n, 'sown' || n FROM generate_series(50, 99) n")
    if kind == "opening":
        protect.protect(events, store, ruled, Options())
    asked: list[int] = []
    real = FreshKeys.fetch

    def fetch(self: FreshKeys, wanted: KeyNotLoaded) -> None:
        asked.append(len(wanted.key_ids) + len(wanted.seals))
        real(self, wanted)

    monkeypatch.setattr(FreshKeys, "fetch", fetch)
    run = sealing(ruled) if kind == "sealing" else opening(ruled)
    assert run.to_the_end().values == 80
    assert max(asked) == 7
    assert sum(asked) == 53


def test_nobody_waits_for_a_key_under_the_tables_lock(events, sealing, verified, ruled, monkeypatch) -> None:
    real, tries = swap.swap, 0

    def late(*arguments: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            events.execute("INSERT INTO public.events VALUES (50, 50, 'sown50')")
        try:
            real(*arguments)
        except swap.NotYet:
            assert rows(events, "SELECT FROM pgcrypt.keyring WHERE tenant = '50'") == []
            raise

    monkeypatch.setattr(swap, "swap", late)
    sealing(ruled).to_the_end()
    assert tries == 2
    assert owners(events)[50] == "50"
    assert verified(ruled) == 31


def test_what_is_made_is_compared(events, sealing, ruled, monkeypatch) -> None:
    """A value under another tenant's key is not stored, though it opens."""
    functions = of_tenants.functions

    def broken(*arguments: Any) -> Any:
        make, reopen = functions(*arguments)
        return lambda read: (make(read)[0], make(read[:4] + b"8" + read[5:])[1]), reopen

    monkeypatch.setattr(of_tenants, "functions", broken)
    with pytest.raises(PgcryptError, match="a new value is not the old one"):
        sealing(ruled).to_the_end()
    assert rows(events, "SELECT count(pgcrypt_next_1) FROM public.events") == [(0,)]
