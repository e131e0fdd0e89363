"""The third source: sqlsmith, which reads the plain twin's catalog and makes up statements for it.

It only writes them down (`--dry-run`); they are made independent of the order
of rows, and those that call functions of which the two servers may have
different answers are left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import psycopg

from tests.conformance.shapes import Filling, Variant
from tests.fuzz.checker import Question
from tests.fuzz.mutate import tree_of
from tests.fuzz.samples import Sample
from tests.fuzz.spelling import TOKEN
from tests.helpers.twins import Form

LONGEST = 6000
BATCH = 1000
_NOT_IMMUTABLE = (
    "SELECT DISTINCT proname FROM pg_catalog.pg_proc WHERE provolatile <> 'i' OR proname ~ '^(pg_|lo_|hash)'"
)
_NULLARY = """
SELECT proname, min(prorettype::regtype::text) FROM pg_catalog.pg_proc
WHERE pronargs = 0 AND prorettype::regtype::text NOT IN ('void', 'trigger', 'record', 'cstring', 'internal')
GROUP BY proname HAVING count(*) = 1
"""
#: Aggregates and windows that depend on the order of rows, and what shows a statement's own surroundings.
_UNFIT = re.compile(
    r"\b(row_number|ntile|lag|lead|first_value|last_value|nth_value|array_agg|string_agg|xmlagg|json\w*agg\w*"
    r"|percentile\w*|mode|any_value|range_agg|current_\w+|localtime\w*|session_user|user|float[48]|avg|stddev\w*|var\w+|corr"
    r"|regr\w+|covar\w+|oidvector\w*|users_email_key|ctid|xmin|tableoid)\b"
)


def why_not() -> str | None:
    """Why there is no sqlsmith, None when there is."""
    return None if shutil.which("sqlsmith") else "sqlsmith is not installed (Debian: apt-get install sqlsmith)"


def from_sqlsmith(plain_dsn: str, first_seed: int) -> Iterator[Sample]:
    """Statements without end."""
    with psycopg.connect(plain_dsn) as connection:
        unfit = {name for (name,) in connection.execute(_NOT_IMMUTABLE)}
        nullary = dict(connection.execute(_NULLARY).fetchall())
    seed = first_seed
    while True:
        command = [
            "sqlsmith",
            f"--target={plain_dsn}",
            "--dry-run",
            "--exclude-catalog",
            f"--max-queries={BATCH}",
            f"--seed={seed}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for number, raw in enumerate(done.stdout.split(";\n")):
            text = _settled(raw.strip(), nullary)
            if text and len(text) < LONGEST and not _UNFIT.search(text) and not unfit.intersection(_calls(text)):
                yield _sample(f"sqlsmith {seed}:{number}", text, number)
        seed += 1


def _settled(text: str, nullary: dict[str, str]) -> str:
    """The statement with nothing in it that depends on chance."""
    text = re.sub(r"(\(select \w+ from [\w.]+) (limit 1 offset \d+\))", r"\1 order by id \2", text)
    text = re.sub(r"\blimit (?!1 offset)\d+", "limit 100000", text)
    text = re.sub(r"tablesample (system|bernoulli) \([\d.]+\)", r"tablesample \1 (100)", text)
    text = re.sub(r"\s+for (update|share|no key update|key share)( nowait| skip locked)?\s*$", "", text)
    return re.sub(
        r"pg_catalog\.(\w+)\(\)",
        lambda match: f"cast(null as {nullary[match[1]]})" if match[1] in nullary else match[0],
        text,
    )


def _calls(text: str) -> set[str]:
    return set(re.findall(r"\b(\w+)\(", text))


def _sample(name: str, text: str, number: int) -> Sample:
    form = (Form.SIMPLE, Form.EXTENDED, Form.PREPARED)[number % 3]
    is_write = re.match(r"select\b", text) is None
    question = Question(text, Variant(Filling.LITERAL, form), is_write=is_write)
    is_touching = re.search(r"public\.users|orders|v_users", text) is not None
    return Sample(
        name, tree_of(TOKEN.findall(text)), question, frozenset({f"sqlsmith: {text.split()[0]}"}), is_touching
    )
