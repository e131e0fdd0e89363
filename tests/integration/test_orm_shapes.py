"""What Django and SQLAlchemy do by themselves is supported, or is refused as docs/applications.md says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pgcrypt_proxy.demo import scenario
from tests.helpers.proxies import sealed_demo
from tests.helpers.servers import PostgresServer

pytestmark = pytest.mark.one_server

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "applications.md"
_ROW = re.compile(r"\| `(?P<shape>.+)` \| (?P<outcome>supported|refused: .+) \|")
#: What the plain database answers otherwise has no place on the page.
_REFUSED = "0A000 "


def documented(heading: str) -> dict[str, str]:
    """The rows of the page's table below `heading`: outcome by shape."""
    section = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {row["shape"]: row["outcome"] for row in map(_ROW.fullmatch, section.splitlines()) if row}


def observed(program: str, host: str, port: int, database: str) -> dict[str, str]:
    """What became of every shape of a program."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"tests.integration.orm.{program}"],
        env=scenario.environment_for(host, port, database),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return {
        name: f"refused: {outcome.removeprefix(_REFUSED)}" if outcome.startswith(_REFUSED) else outcome
        for name, outcome in outcomes.items()
    }


@pytest.mark.parametrize(("program", "heading"), [("django_shapes", "Django"), ("sqlalchemy_shapes", "SQLAlchemy")])
def test_what_the_page_says(
    postgres: PostgresServer, plain_server: PostgresServer, tmp_path: Path, program: str, heading: str
) -> None:
    with plain_server.database() as name:
        scenario.create_tables(plain_server, name)
        plain = observed(program, plain_server.host, plain_server.port, name)
        assert set(plain.values()) == {"supported"}, {n: o for n, o in plain.items() if o != "supported"}
    with sealed_demo(postgres, tmp_path) as (name, _, running):
        sealed = observed(program, "127.0.0.1", running.port, name)
    assert sealed == documented(heading)
