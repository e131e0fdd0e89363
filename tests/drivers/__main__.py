"""`python -m tests.drivers`: ask all drivers, and say what is wrong; `--docs` writes docs/drivers.md."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.drivers import docs
from tests.drivers.forms import NAMES, database, run
from tests.drivers.kinds import KINDS
from tests.helpers import servers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drivers", description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write docs/drivers.md from what happens")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        servers.running(servers.chosen_flavour()) as server,
        tempfile.TemporaryDirectory() as folder,
        database(server, Path(folder)) as (db, kinds),
    ):
        told = {name: run(name, db, kinds) for name in NAMES}
    wrong = 0
    for name, types in told.items():
        for type_, made in types.items():
            problem = made.problem()
            wrong += problem is not None
            if problem is not None or made.plain.error:
                print(f"{name}, {type_}: {problem or made.plain.error}")
    print(f"{len(NAMES)} forms, {len(kinds)} types: {wrong} wrong")
    if options.docs and not wrong:
        if len(kinds) < len(KINDS):
            print("the page wants all types: a server with pgvector")
            return 1
        docs.PAGE.write_text(docs.page(told))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
