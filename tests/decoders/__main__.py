"""`python -m tests.decoders --minutes N [TARGET...]`: bytes that atheris makes up, N minutes for every decoder.

What libFuzzer finds new goes to build/decoders/TARGET, a crash to
build/decoders/TARGET-crash-*: put it into corpus/TARGET, and mend what it shows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
BUILD = Path("build/decoders")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.decoders", description=__doc__)
    parser.add_argument("targets", nargs="*", help="by default all")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--max-bytes", type=int, default=1024)
    parser.add_argument("--only", metavar="TARGET", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.only:
        return _fuzz(options.only, options)
    from tests.decoders.targets import TARGETS

    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = []
    for name in options.targets or TARGETS:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "tests.decoders", "--only", name]
        command += ["--minutes", str(options.minutes), "--max-bytes", str(options.max_bytes)]
        if subprocess.run(command, check=False, env={**os.environ, "PGCRYPT_ROWS": "python"}).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return bool(failed)


def _fuzz(name: str, options: argparse.Namespace) -> int:
    try:
        import atheris
    except ImportError:
        print("atheris is missing: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["pgcrypt_proxy"]):
        from tests.decoders.targets import TARGETS
    found = BUILD / name
    found.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-max_total_time={round(60 * options.minutes)}",
        f"-max_len={options.max_bytes}",
        f"-artifact_prefix={BUILD}/{name}-",
        "-timeout=25",
        "-rss_limit_mb=4096",
        "-verbosity=0",
        "-print_final_stats=1",
        str(found),
        str(CORPUS / name),
    ]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
