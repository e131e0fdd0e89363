"""Roles without privileges of their own kind, and dumps made while a column is on its way."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import psycopg
import pytest

from pgcrypt_proxy.errors import ConfigError
from pgcrypt_proxy.ops import install
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.online import engine, indexes, moves
from pgcrypt_proxy.ops.online.checks import Target
from pgcrypt_proxy.ops.online.engine import Run
from pgcrypt_proxy.ops.verify import verify
from pgcrypt_proxy.policy.model import KeyringSettings, Policy
from tests.ops.conftest import OpenProvider
from tests.ops.online.test_engine import rows


def test_an_owner_who_is_no_superuser(postgres, database, rule):
    ruled = replace(rule("public.t.v", "text", ("equality",)), phase="sealing")
    with postgres.connect(database) as admin:
        admin.execute("CREATE ROLE plain_owner LOGIN")
        admin.execute(
            f"GRANT CREATE ON DATABASE {database} TO plain_owner; GRANT CREATE ON SCHEMA public TO plain_owner"
        )
        try:
            with (
                connect(postgres.dsn(database, "plain_owner")) as own,
                connect(postgres.dsn(database, "plain_owner")) as other,
            ):
                install.install(own)
                own.execute("CREATE TABLE public.t (id int PRIMARY KEY, v text UNIQUE NOT NULL)")
                own.execute("INSERT INTO public.t SELECT i, 'v' || i FROM generate_series(1, 300) i")
                store = KeyringStore(other, OpenProvider())
                Run(own, store, Target(ruled, True)).to_the_end()
                report = verify(own, store, Policy(1, KeyringSettings("file", {}), (ruled,)))
                assert (report.is_sound, report.columns[0].opened) == (True, 300)
                own.execute(
                    "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                    "CREATE TRIGGER f BEFORE UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()"
                )
                with pytest.raises(ConfigError, match="has triggers on UPDATE, which would fire"):
                    Run(own, store, Target(replace(ruled, phase="opening"), False)).to_the_end()
                assert moves.every(own) == []
        finally:
            admin.execute("DROP OWNED BY plain_owner CASCADE; DROP ROLE plain_owner")


@pytest.mark.parametrize("where", ["before the pass", "behind the pass", "behind the swap"])
def test_a_dump_from_meanwhile_goes_on_where_it_is_restored(
    postgres, database, create_database, connection: psycopg.Connection, store, sealing, rule, monkeypatch, where
):
    connection.execute("CREATE TABLE public.t (id int PRIMARY KEY, v text UNIQUE NOT NULL, note text)")
    connection.execute("INSERT INTO public.t SELECT i, 'v' || i FROM generate_series(1, 1500) i")
    ruled = replace(rule("public.t.v", "text", ("equality",)), phase="sealing")
    home, step = {
        "before the pass": (Run, "_first_pass"),
        "behind the pass": (engine, "switch"),
        "behind the swap": (engine.scrub, "keep_not_null"),
    }[where]

    def stop(*_: object) -> None:
        raise ConfigError("stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(home, step, stop)
        with pytest.raises(ConfigError, match="stopped here"):
            sealing(ruled).to_the_end()
    if where != "behind the swap":
        connection.execute("UPDATE public.t SET v = v || '!' WHERE id <= 10")
    target = create_database()
    dump = subprocess.run([postgres.bin_dir / "pg_dump", postgres.dsn(database)], capture_output=True, check=True)
    restore = [postgres.bin_dir / "psql", "-v", "ON_ERROR_STOP=1", "-q", postgres.dsn(target)]
    subprocess.run(restore, input=dump.stdout, capture_output=True, check=True)
    policy = Policy(1, KeyringSettings("file", {}), (ruled,))
    with connect(postgres.dsn(target)) as restored, connect(postgres.dsn(target)) as own:
        (move,) = moves.every(restored)
        assert bool(indexes.own(restored, move)) is (where == "behind the pass")
        again = KeyringStore(own, OpenProvider())
        Run(restored, again, Target(ruled, True)).to_the_end()
        report = verify(restored, again, policy)
        assert (report.is_sound, report.columns[0].opened) == (True, 1500)
        assert moves.every(restored) == []
        assert rows(restored, "SELECT column_name, shown_after FROM pgcrypt.shown_order") == [("v", "id")]
