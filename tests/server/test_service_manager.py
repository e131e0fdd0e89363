"""sd_notify's datagrams. What a whole proxy says is tested with its process."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pgcrypt_proxy.server.service_manager import ServiceManager


def test_words_arrive_at_a_path_and_at_an_abstract_address(tmp_path: Path) -> None:
    for name, place in (
        (str(tmp_path / "s"), str(tmp_path / "s")),
        (f"@pgcrypt-{os.getpid()}", f"\0pgcrypt-{os.getpid()}"),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(place)
            ServiceManager({"NOTIFY_SOCKET": name}).ready("serving")
            assert manager.recv(100) == b"READY=1\nSTATUS=serving"


def test_nobody_who_listens_is_no_error(tmp_path: Path) -> None:
    ServiceManager({}).ready("serving")
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nowhere")}).stopping()


def test_a_full_manager_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "s"))
        told = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "s")})
        for _ in range(1000):
            told.tell("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_when_it_is_ours(environment: dict[str, str], seconds: float | None) -> None:
    assert ServiceManager(environment).watchdog_s == seconds
