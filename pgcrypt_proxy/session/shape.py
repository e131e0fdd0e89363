"""DDL of this session that others do not see yet: what its tables are is asked of the server, in its own transaction.

Behind every statement that may change protected tables, and behind every end of
a transaction with such, the next statement waits for one question. The answer
makes a catalog for this session, which is in force until the shared one is
known to be newer: loaded after the last such statement, at rest.
"""

from __future__ import annotations

import itertools

from pgcrypt_proxy.session.link import Link
from pgcrypt_proxy.session.question import Question
from pgcrypt_proxy.session.reply_queue import Request
from pgcrypt_proxy.session.statements import RESERVED_PREFIX
from pgcrypt_proxy.sql import shape
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.wire.frontend import Bind, Close, Execute, Parse
from pgcrypt_proxy.wire.rows import split

OWN_NAME = RESERVED_PREFIX + b"_shape"
TEXT_ARRAY_OID = 1009
#: Versions of such catalogs; the shared ones count from 1.
_VERSIONS = itertools.count(1 << 40)


class ShapeQuestion(Question):
    """Asked behind `sent` reshaping statements; takes the answers in order."""

    def __init__(self, base: Catalog, sent: int) -> None:
        super().__init__()
        self.base = base
        self.sent = sent
        self._results: list[list[tuple[bytes | None, ...]]] = []

    def ask(self, link: Link) -> None:
        names = link.encoding.encoded(_array(shape.asked_names(self.base)))
        requests: list[tuple[Request, bytes]] = []
        for sql, oids, parameters in (
            (shape.RELATIONS, (TEXT_ARRAY_OID,), (names,)),
            (shape.UNIQUE_TERMS, (), ()),
        ):
            requests += [
                (Request.PARSE, Parse(OWN_NAME, sql.encode(), oids).encode()),
                (Request.BIND, Bind(OWN_NAME, OWN_NAME, (), parameters, ()).encode()),
                (Request.EXECUTE, Execute(OWN_NAME, 0).encode()),
                (Request.CLOSE, Close(ord("P"), OWN_NAME).encode()),
                (Request.CLOSE, Close(ord("S"), OWN_NAME).encode()),
            ]
        self.send(link, requests)

    def on_reply(self, raw: bytes) -> None:
        if raw[0] == ord("1"):
            self._results.append([])
        elif raw[0] == ord("D"):
            self._results[-1].append(tuple(split(raw[5:])))
        super().on_reply(raw)

    def catalog(self, link: Link) -> Catalog:
        """The catalog that the answers make."""
        codec = link.encoding.codec or "ascii"
        relations, terms = (
            [tuple(None if value is None else value.decode(codec) for value in row) for row in rows]
            for rows in self._results
        )
        return shape.apply(self.base, relations, terms, next(_VERSIONS))


def _array(names: list[str]) -> str:
    """An array literal of texts."""
    quoted = (name.replace("\\", "\\\\").replace('"', '\\"') for name in names)
    return "{" + ",".join(f'"{name}"' for name in quoted) + "}"
