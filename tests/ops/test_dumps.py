"""What PostgreSQL's own tools make of a protected database."""

from __future__ import annotations

import subprocess

from pgcrypt_proxy.ops import audit, protect
from pgcrypt_proxy.ops.connect import connect
from pgcrypt_proxy.ops.key_destruction import destroy
from pgcrypt_proxy.ops.key_rotation import rotate_deks
from pgcrypt_proxy.ops.keyring_store import KeyringStore
from pgcrypt_proxy.ops.protect import Options
from pgcrypt_proxy.ops.verify import verify
from pgcrypt_proxy.policy.model import KeyringSettings, Policy
from tests.ops.conftest import OpenProvider


def test_a_dump_restores_and_opens(postgres, database, create_database, connection, rule):
    connection.execute("CREATE TABLE public.users (id int, email text UNIQUE NOT NULL)")
    connection.execute("INSERT INTO public.users SELECT i, 'user' || i FROM generate_series(1, 50) i")
    ruled = rule("public.users.email", "text", ("equality",))
    with connect(postgres.dsn(database)) as own:
        store = KeyringStore(own, OpenProvider())
        store.ensure_keys(["pii"])
        (rotated,) = rotate_deks(store, sleep=lambda _: None)
        destroy(connection, rotated.old_id)
        protect.protect(connection, store, ruled, Options())
    target = create_database()
    program = postgres.bin_dir / "pg_dump"
    dump = subprocess.run([program, postgres.dsn(database)], capture_output=True, check=True)
    assert b"user7" not in dump.stdout
    restore = [postgres.bin_dir / "psql", "-v", "ON_ERROR_STOP=1", "-q", postgres.dsn(target)]
    subprocess.run(restore, input=dump.stdout, capture_output=True, check=True)
    policy = Policy(1, KeyringSettings("file", {}), (ruled,))
    with connect(postgres.dsn(target)) as restored, connect(postgres.dsn(target)) as own:
        assert audit.verify(restored).problems == ()
        report = verify(restored, KeyringStore(own, OpenProvider()), policy)
        assert audit.verify(restored).events == len(list(audit.events(connection))) + 1
        (index,) = restored.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'").fetchall()
    assert report.is_sound, report
    assert report.columns[0].opened == 50
    assert "UNIQUE INDEX users_email_key" in index[0]
