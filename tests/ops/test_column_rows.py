from __future__ import annotations

import pytest

from pgcrypt_proxy.errors import OpenError
from pgcrypt_proxy.ops import column_rows
from pgcrypt_proxy.ops.column_rows import Digest


def digest(key: bytes | None, *values: bytes) -> Digest:
    made = Digest(key)
    for value in values:
        made.add(value)
    return made


def test_order_does_not_matter_and_values_do():
    first = digest(None, b"a", b"b", b"b")
    assert first.agrees(digest(first.key, b"b", b"a", b"b"))
    for other in ((b"a", b"b"), (b"a", b"a", b"b"), (b"ab", b"b", b""), (b"a", b"b", b"b", b"")):
        assert not first.agrees(digest(first.key, *other))
    assert not first.agrees(digest(None, b"a", b"b", b"b")), "each digest has a key of its own"


def test_an_error_names_the_row():
    def fail(value: bytes) -> bytes:
        raise OpenError("no envelope", detail="Column x.")

    with pytest.raises(OpenError) as caught:
        list(column_rows.mapped([(b"\0\0\0\7\0\3", b"secret")], fail))
    assert caught.value.detail == "Row (7,3). Column x."


def test_pairs_go_out_and_come_back(connection):
    connection.execute("CREATE TABLE public.t (a text)")
    connection.execute("INSERT INTO public.t SELECT 'v' || i FROM generate_series(1, 7) i")
    with connection.transaction():
        connection.execute("CREATE TEMP TABLE s (row tid, value text) ON COMMIT DROP")
        query = "SELECT pg_catalog.tidsend(ctid), pg_catalog.textsend(a) FROM public.t"
        sizes = []
        for batch in column_rows.batches(connection, query, size=3):
            sizes.append(len(batch))
            column_rows.stage(connection, "pg_temp.s", batch)
        same = connection.execute("SELECT pg_catalog.count(*) FROM public.t JOIN s ON t.ctid = row AND a = value")
        assert same.fetchone() == (7,)
    assert sizes == [3, 3, 1]
