"""A pytest plugin for asyncpg's tests: those that connect to a database that they created use the one that is served.

A proxy serves one database. In every place the tests are the same, so what they compare stays comparable.
"""

from __future__ import annotations

import os
from typing import Any

from asyncpg import _testbase

_spec_of_case = _testbase.ClusterTestCase.get_connection_spec.__func__


def _in_one_database(cls: type[_testbase.ClusterTestCase], kwargs: dict[str, Any] = {}) -> dict[str, Any]:  # noqa: B006
    spec: dict[str, Any] = _spec_of_case(cls, kwargs)
    if spec.get("database") in ("asyncpg_intro_test", "testdb"):
        spec["database"] = os.environ["PGDATABASE"]
    return spec


_testbase.ClusterTestCase.get_connection_spec = classmethod(_in_one_database)
