"""Fixtures that every test may use: real PostgreSQL servers, and hypothesis profiles.

`PGCRYPT_TEST_SERVER=embedded|debian` chooses the server, `HYPOTHESIS_PROFILE=fast|deep`
how many examples a property gets, and `PGCRYPT_TEST_NO_SKIPS=1` (CI) makes a
skipped test a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import hypothesis
import pytest

from pgcrypt_proxy import fast
from tests.helpers import descriptors, servers, thinning
from tests.helpers.certificates import Authority
from tests.helpers.servers import PostgresServer

SERVER_FIXTURES = {"postgres", "tls_postgres"}

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

#: How many descriptors a worker may hold in the end: pytest's own, and what Python opens once for all.
MAX_DESCRIPTORS = 60

#: A skip whose reason starts so is about the server under test, not about a missing tool.
NOT_APPLICABLE = "not applicable: "

# The same examples every time, so that a failure belongs to the change; `make fuzz` explores.
# How long making them up takes is the machine's affair.
UNTIMED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("fast", max_examples=50, derandomize=True, **UNTIMED)
hypothesis.settings.register_profile("deep", max_examples=5000, **UNTIMED)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thin",
        action="store_true",
        help="for another server than the usual one: each shape of the conformance corpus in one of its variants only,"
        " and no test that is marked one_server",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    thinning.count_for(node)


def pytest_report_header() -> str:
    return f"postgres: {servers.chosen_flavour()}, rows: {fast.BUILD}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
    if config.getoption("--thin"):
        thinning.leave_out(config, items, (item for item in items if item.get_closest_marker("one_server")))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judge_skip((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judge_skip((yield))


def _judge_skip(report: Report) -> Report:
    """Where skips are not allowed, a skipped test is a failed one."""
    if os.environ.get("PGCRYPT_TEST_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if NOT_APPLICABLE not in reason:
            report.outcome = "failed"
            report.longrepr = f"skipped although skips are not allowed here: {reason}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _few_descriptors() -> Iterator[None]:
    """What tests open, they close. Set up first, so torn down last, when nothing of theirs is left."""
    yield
    left = descriptors.held()
    assert len(left) <= MAX_DESCRIPTORS, f"left open: {left}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of this run (one for each pytest-xdist worker)."""
    with servers.running(servers.chosen_flavour()) as server:
        yield server


@pytest.fixture(scope="session")
def plain_server() -> Iterator[PostgresServer]:
    """A second server, for plain twins: plaintext is on it, and nobody looks for it there."""
    with servers.running(servers.chosen_flavour()) as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The name of a fresh database, dropped after the test."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def create_database(postgres: PostgresServer) -> Iterator[Callable[[], str]]:
    """Creates as many fresh databases as a test wants; all are dropped after it."""
    created: list[str] = []

    def create() -> str:
        created.append(postgres.create_database())
        return created[-1]

    yield create
    for name in created:
        postgres.drop_database(name)


@pytest.fixture(scope="session")
def certificate_authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def tls_postgres(certificate_authority: Authority) -> Iterator[PostgresServer]:
    """A server that takes TLS, its certificate issued for localhost and 127.0.0.1.

    Always Debian's: the embedded one is built without TLS.
    """
    issued = certificate_authority.issue("localhost", "localhost", "127.0.0.1")
    files = {
        "server.crt": issued.certificate,
        "server.key": issued.private_key,
        "root.crt": certificate_authority.certificate,
    }
    settings = {"ssl": "on", "ssl_ca_file": "root.crt"}
    try:
        servers.bin_dir_of("debian")
    except servers.ServerUnavailable as unavailable:
        pytest.skip(str(unavailable))
    with servers.running("debian", settings, files=files) as server:
        yield server
