"""What pgbench runs: TPC-B and select-only as it has them built in, a CRUD mix, and a lookup by an indexed value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.places import Contestant
from bench.tables import Sizes

SIMPLE, EXTENDED, PREPARED = "simple", "extended", "prepared"
SELECT_ONLY, TPCB, CRUD, LOOKUP = "select-only", "TPC-B", "CRUD mix", "lookup"


@dataclass(frozen=True, slots=True)
class Script:
    """One file of a workload. `text` has {own} or {kind} for tables, and [name] for a variable that is text."""

    name: str
    text: str
    weight: int = 1

    def write(self, folder: Path, contestant: Contestant, protocol: str, sizes: Sizes) -> Path:
        """A file for one contestant. The simple protocol puts values into the text, so there they need quotes."""
        text = self.text.format(
            own=contestant.own,
            kind=contestant.kind,
            accounts=sizes.branches * sizes.accounts_each,
            **{field: getattr(sizes, field) for field in sizes.__slots__},
        )
        before, after = ("':", "'") if protocol == SIMPLE else (":", "")
        text = text.replace("[", before).replace("]", after)
        path = folder / f"{self.name}-{contestant.own}-{protocol}.sql"
        path.write_text(text)
        return path


WORKLOADS: dict[str, tuple[Script, ...]] = {
    SELECT_ONLY: (
        Script(
            "select-only",
            r"""\set aid random(1, {accounts})
SELECT abalance FROM tpcb_{own}_accounts WHERE aid = :aid;
""",
        ),
    ),
    TPCB: (
        Script(
            "tpcb",
            r"""\set aid random(1, {accounts})
\set bid random(1, {branches})
\set tid random(1, {branches} * 10)
\set delta random(-5000, 5000)
BEGIN;
UPDATE tpcb_{own}_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM tpcb_{own}_accounts WHERE aid = :aid;
UPDATE tpcb_{own}_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE tpcb_{own}_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO tpcb_{own}_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
""",
        ),
    ),
    CRUD: (
        Script(
            "select",
            r"""\set id random(1, {users})
SELECT id, email, first_name, last_name, born, visits FROM crud_{own} WHERE id = :id;
""",
            50,
        ),
        Script(
            "search",
            r"""\set email 1000000000000000000 + random(1, {users})
SELECT id, email, first_name, last_name, born, visits FROM crud_{own} WHERE email = [email];
""",
            20,
        ),
        Script(
            "update",
            r"""\set id random(1, {users})
\set name random(1, 1000000000)
UPDATE crud_{own} SET first_name = [name], visits = visits + 1 WHERE id = :id;
""",
            15,
        ),
        Script(
            "insert",
            r"""\set email 2000000000000000000 + random(1, 1000000000000)
\set first random(1, 1000000000)
\set last random(1, 1000000000)
INSERT INTO crud_{own} (email, first_name, last_name, born, visits)
VALUES ([email], [first], [last], '1990-01-01', 0);
""",
            15,
        ),
    ),
    LOOKUP: (
        Script(
            "lookup",
            r"""\set email 1000000000000000000 + random(1, {looked_up})
SELECT id, name FROM looked_up_{kind} WHERE email = [email];
""",
        ),
    ),
}
