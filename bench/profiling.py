"""Where the proxy's time goes: one workload under py-spy, or cProfile where that is not installed, and under perf."""

from __future__ import annotations

import pstats
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

SHOWN = 20
PY_SPY_RATE = 500
PERF_RATE = 997
_PERF_LINE = re.compile(r"^\s*([\d.]+)%\s+(\S.*?)\s*$")
#: What runs the loop has all samples below it.
_ALWAYS = re.compile(r"pgcrypt_proxy/(cli/|server/run\.py)")
_PACKAGE = re.compile(r"^.*?((?:site-packages/|lib/python[\d.]+/|pgcrypt_proxy/).*)$")

#: `serve` under cProfile; its statistics are written when it ends.
UNDER_CPROFILE = """
import cProfile, sys
from pgcrypt_proxy.cli import main
path = sys.argv.pop(1)
profile = cProfile.Profile()
try:
    profile.runcall(main)
finally:
    profile.dump_stats(path)
"""


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of one kind, the greatest first."""

    title: str
    about: str
    lines: list[tuple[float, str]]


def find_py_spy() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def py_spy(program: str, pid: int, seconds: int, folder: Path, title: str, work: Callable[[], None]) -> list[Profile]:
    """Functions by the samples in which they themselves ran, and in which they or what they call did.

    Nothing where py-spy may not look.
    """
    output = folder / f"py-spy-{pid}.raw"
    command = [program, "record", "--pid", str(pid), "--duration", str(seconds), "--rate", str(PY_SPY_RATE)]
    command += ["--format", "raw", "--function", "--nonblocking", "--output", str(output)]
    with _beside(command) as done:
        work()
    if done.wait() != 0 or not output.exists():
        return []
    lines = output.read_text().splitlines()
    about = f"py-spy, {PY_SPY_RATE} samples a second: what is written in C counts for the function that called it."
    return [
        Profile(f"{title}, functions by their own time", about, top(innermost(lines))),
        Profile(f"{title}, functions with what they call", about, top(anywhere(lines), _total(lines))),
    ]


def innermost(lines: Iterable[str]) -> Counter[str]:
    """py-spy's raw form: frames with ; between, and a count; counted by the innermost frame."""
    found: Counter[str] = Counter()
    for frames, count in _stacks(lines):
        found[_shortened(frames[-1])] += count
    return found


def anywhere(lines: Iterable[str]) -> Counter[str]:
    """Counted by each frame of the product, once for a stack."""
    found: Counter[str] = Counter()
    for frames, count in _stacks(lines):
        for frame in {_shortened(frame) for frame in frames}:
            if "(pgcrypt_proxy/" in frame and not _ALWAYS.search(frame):
                found[frame] += count
    return found


def _total(lines: Iterable[str]) -> int:
    return sum(count for _, count in _stacks(lines))


def _stacks(lines: Iterable[str]) -> Iterable[tuple[list[str], int]]:
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if count.isdigit():
            yield stack.split(";"), int(count)


def top(counted: Counter[str], total: int = 0) -> list[tuple[float, str]]:
    total = total or sum(counted.values()) or 1
    return [(count / total * 100, what) for what, count in counted.most_common(SHOWN)]


def cprofile(path: Path, title: str) -> Profile:
    """Functions by their own time, from a file of cProfile's."""
    counted: Counter[str] = Counter()
    stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    for (file, line, name), (_, _, own, _, _) in stats.items():
        counted[_shortened(f"{name} ({file}:{line})")] += int(own * 1e6)
    about = "cProfile: functions by their own time. It makes Python's calls look dearer than they are."
    return Profile(f"{title}, functions by their own time", about, top(counted))


def perf(pid: int, seconds: int, folder: Path, title: str, work: Callable[[], None]) -> list[Profile]:
    """By library and by function in C, the kernel's work for the proxy included; nothing where perf may not look."""
    program = shutil.which("perf")
    if program is None:
        return []
    data = folder / "perf.data"
    record = [program, "record", "--quiet", "-F", str(PERF_RATE), "-p", str(pid), "-o", str(data)]
    with _beside([*record, "--", "sleep", str(seconds)]) as recording:
        work()
    if recording.wait() != 0:
        return []
    found = []
    for what, keys in (("libraries", "dso"), ("functions in C", "dso,symbol")):
        command = [program, "report", "-i", str(data), "--stdio", "--sort", keys, "--percent-limit", "0.3"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = perf_lines(done.stdout.splitlines())[:SHOWN]
        if lines:
            found.append(Profile(f"{title}, {what}", f"perf, {PERF_RATE} samples a second of CPU time.", lines))
    return found


def perf_lines(lines: Iterable[str]) -> list[tuple[float, str]]:
    found = (_PERF_LINE.match(line) for line in lines if not line.startswith("#"))
    return [(float(m[1]), re.sub(r"\s+", " ", m[2]).removesuffix(" - -")) for m in found if m]


def _shortened(frame: str) -> str:
    """Without the part of the path that only says where this machine keeps things."""
    name, bracket, place = frame.partition(" (")
    match = _PACKAGE.match(place)
    return f"{name}{bracket}{match[1].replace('site-packages/', '') if match else place}"


def _beside(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
