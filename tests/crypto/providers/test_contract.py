"""What every provider must do, whoever holds the KEK."""

from __future__ import annotations

import base64
import logging
import os
import time
import traceback

import pytest

from pgcrypt_proxy.crypto import providers
from pgcrypt_proxy.crypto.keyring import wrap_context
from pgcrypt_proxy.errors import KeyUnavailable
from tests.crypto.providers.conftest import BOUND_S, Harness

CONTEXT = wrap_context(bytes(16), "dek", "pii", "", 3)


def test_what_is_wrapped_unwraps(harness: Harness) -> None:
    key = os.urandom(32)
    one, two = harness.provider.wrap(key, CONTEXT), harness.provider.wrap(key, CONTEXT)
    assert one != two
    assert key not in one
    assert harness.provider.unwrap(one, CONTEXT) == harness.provider.unwrap(two, dict(reversed(CONTEXT.items()))) == key


def test_new_keys_come_wrapped(harness: Harness) -> None:
    one, two = (providers.make_wrapped(harness.provider, CONTEXT) for _ in range(2))
    keys = [harness.provider.unwrap(wrapped, CONTEXT) for wrapped in (one, two)]
    assert {len(key) for key in keys} == {32}
    assert keys[0] != keys[1]


@pytest.mark.parametrize("change", [*CONTEXT, "missing", "more"])
def test_another_context_does_not_unwrap(harness: Harness, change: str) -> None:
    wrapped = harness.provider.wrap(bytes(32), CONTEXT)
    changed = dict(CONTEXT)
    if change == "missing":
        del changed["kind"]
    else:
        changed[change] = changed.get(change, "") + "="
    with pytest.raises(KeyUnavailable):
        harness.provider.unwrap(wrapped, changed)


def test_damaged_bytes_do_not_unwrap(harness: Harness) -> None:
    wrapped = harness.provider.wrap(bytes(32), CONTEXT)
    changed = bytearray(wrapped)
    changed[len(wrapped) // 2] ^= 1
    for damaged in (bytes(changed), wrapped[:-1], wrapped[: len(wrapped) // 2], b"", b"\xff" * len(wrapped)):
        with pytest.raises(KeyUnavailable):
            harness.provider.unwrap(damaged, CONTEXT)


def test_another_kek_does_not_unwrap(harness: Harness) -> None:
    assert harness.provider.kek_id != harness.stranger.kek_id
    with pytest.raises(KeyUnavailable):
        harness.stranger.unwrap(harness.provider.wrap(bytes(32), CONTEXT), CONTEXT)


@pytest.mark.parametrize("mode", ["shut", "silent"])
def test_an_outage_is_said_in_time_and_passes(harness: Harness, mode: str) -> None:
    if harness.gate is None:
        pytest.skip("not applicable: this KEK is in the process's memory")
    key = os.urandom(32)
    wrapped = harness.provider.wrap(key, CONTEXT)
    harness.gate.mode = mode  # type: ignore[assignment]
    started = time.monotonic()
    for use in (
        lambda: harness.provider.unwrap(wrapped, CONTEXT),
        lambda: harness.provider.wrap(key, CONTEXT),
        lambda: providers.make_wrapped(harness.provider, CONTEXT),
    ):
        with pytest.raises(KeyUnavailable) as caught:
            use()
        assert caught.value.code == "58030"
    assert time.monotonic() - started < 3 * BOUND_S
    harness.gate.mode = "open"
    assert harness.provider.unwrap(wrapped, CONTEXT) == key


def test_keys_show_themselves_nowhere(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    key = b"planted!" * 4
    with caplog.at_level(logging.DEBUG):
        wrapped = harness.provider.wrap(key, CONTEXT)
        harness.provider.unwrap(wrapped, CONTEXT)
        shown = [repr(harness.provider), str(harness.provider), harness.provider.kek_id]
        try:
            harness.provider.unwrap(wrapped, {"kind": "other"})
        except KeyUnavailable as error:
            shown += [*traceback.format_exception(error), error.message, str(error.detail), str(error.hint)]
    shown.append(caplog.text)
    needles = ["planted!", key.hex(), base64.b64encode(key).decode()[:40], *harness.secrets]
    for text in shown:
        for needle in needles:
            assert needle not in text
