"""What profilers print becomes shares, without this machine's paths."""

from __future__ import annotations

import cProfile
from pathlib import Path

from bench.profiling import anywhere, cprofile, innermost, perf_lines, top

STACKS = [
    "main (/x/pgcrypt_proxy/cli/app.py:1);feed (/x/pgcrypt_proxy/server/connection.py:10) 3",
    "main (/x/pgcrypt_proxy/cli/app.py:1) 1",
    "run (/x/site-packages/uvloop/__init__.py:5);feed (/y/pgcrypt_proxy/server/connection.py:10);f (built-in:0) 4",
    "",
]
FEED = "feed (pgcrypt_proxy/server/connection.py:10)"


def test_py_spy_counts_the_innermost_frame() -> None:
    assert top(innermost(STACKS)) == [
        (50.0, "f (built-in:0)"),
        (37.5, FEED),
        (12.5, "main (pgcrypt_proxy/cli/app.py:1)"),
    ]


def test_py_spy_counts_the_product_wherever_it_is() -> None:
    assert top(anywhere(STACKS), 8) == [(87.5, FEED)]


def test_perf_report() -> None:
    lines = ["# Overhead  Shared Object", "", "    59.38%  libpython3.11.so.1.0", "    28.80%  [kernel.kallsyms]  "]
    lines += ["     3.21%  libpython3.11.so.1.0  [.] _PyType_Lookup      -      -"]
    assert perf_lines(lines) == [
        (59.38, "libpython3.11.so.1.0"),
        (28.8, "[kernel.kallsyms]"),
        (3.21, "libpython3.11.so.1.0 [.] _PyType_Lookup"),
    ]


def test_cprofile_by_own_time(tmp_path: Path) -> None:
    profile = cProfile.Profile()
    profile.runcall(lambda: sum(i * i for i in range(200_000)))
    profile.dump_stats(tmp_path / "stats")
    found = cprofile(tmp_path / "stats", "a sum").lines
    assert abs(sum(share for share, _ in found) - 100) < 1
    assert any("<genexpr>" in where for _, where in found[:2])
