"""The example of docs/sqlalchemy.md works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.helpers.proxies import protected
from tests.helpers.servers import PostgresServer
from tests.sqlalchemy.conftest import url

PAGE = Path(__file__).parents[2] / "docs" / "sqlalchemy.md"
SCHEMA = "CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL UNIQUE, born date)"
RULES = """
{table: users, column: email, type: text, search: [equality]}
{table: users, column: born, type: date}
"""


def test_the_example(postgres: PostgresServer, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with protected(postgres, tmp_path, SCHEMA, RULES) as db:
        environment = {
            "PGCRYPT_RULES": str(db.rules),
            "PGCRYPT_DATABASE_URL": db.server.dsn(db.name),
            "DATABASE_URL": url(db),
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (0, "1 ada@example.com 1815-12-10\n"), done.stderr
        with db.connect() as through, db.direct() as direct:
            assert through.execute("SELECT email FROM users").fetchall() == [("ada@example.com",)]
            held = direct.execute("SELECT email FROM users").fetchone()
            assert held is not None
            assert b"ada" not in held[0]
            plan = direct.execute(
                "SET enable_seqscan = off; EXPLAIN SELECT id FROM users WHERE pgcrypt.eq(email) = '\\x00'"
            )
            while plan.nextset():
                pass
            assert "Index" in str(plan.fetchall())
