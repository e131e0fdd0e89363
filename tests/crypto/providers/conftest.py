"""One harness for each provider, so that the contract is asked of all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pgcrypt_proxy.crypto import providers
from pgcrypt_proxy.crypto.providers import KekProvider, make_provider
from pgcrypt_proxy.crypto.providers.file import FileProvider
from pgcrypt_proxy.crypto.providers.local import new_key_text
from tests.helpers import fake_kms
from tests.helpers.fake_vault import FakeVault, TransitKey
from tests.helpers.gate import Gate

BOUND_S = 2.0


@dataclass
class Harness:
    """`provider` and `stranger`, which has another KEK; `gate` stands before what they reach over a network."""

    provider: KekProvider
    stranger: KekProvider
    gate: Gate | None = None
    secrets: tuple[str, ...] = ()


@pytest.fixture(scope="session")
def kms() -> Iterator[fake_kms.FakeKms]:
    with pytest.MonkeyPatch.context() as patch, fake_kms.running(patch) as running:
        yield running


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    made = FakeVault(keys={"pgcrypt": TransitKey(), "derived": TransitKey(derived=True), "other": TransitKey()})
    made.start()
    yield made
    made.stop()


@pytest.fixture
def gates() -> Iterator[Callable[[str], Gate]]:
    """Makes a gate before the server of a URL."""
    made: list[Gate] = []

    def before(url: str) -> Gate:
        made.append(Gate(urlsplit(url).hostname or "", urlsplit(url).port or 0))
        return made[-1]

    yield before
    for gate in made:
        gate.stop()


def _file(tmp_path: Path) -> Harness:
    return Harness(FileProvider.create(tmp_path / "a.kek"), FileProvider.create(tmp_path / "b.kek"))


def _env(monkeypatch: pytest.MonkeyPatch) -> Harness:
    texts = new_key_text(), new_key_text()
    monkeypatch.setenv("KEK_A", texts[0])
    monkeypatch.setenv("KEK_B", texts[1])
    made = (make_provider("env", {"variable": name}) for name in ("KEK_A", "KEK_B"))
    return Harness(*made, secrets=texts)


def kms_options(key_id: str, url: str, **more: str) -> dict[str, str]:
    return {
        "key_id": key_id,
        "endpoint_url": url,
        "connect_timeout_s": "0.3",
        "read_timeout_s": "0.3",
        "deadline_s": "0.6",
        **more,
    }


def _aws_kms(kms: fake_kms.FakeKms, gates: Callable[[str], Gate]) -> Harness:
    gate = gates(kms.endpoint)
    made = (make_provider("aws-kms", kms_options(kms.create_key(), f"http://127.0.0.1:{gate.port}")) for _ in "ab")
    return Harness(*made, gate=gate)


def _vault(vault: FakeVault, gates: Callable[[str], Gate], tmp_path: Path, key: str) -> Harness:
    gate, token = gates(vault.address), vault.make_token()
    (tmp_path / "token").write_text(token)
    options = {
        "address": f"http://127.0.0.1:{gate.port}",
        "token_file": str(tmp_path / "token"),
        "timeout_s": "0.3",
        "deadline_s": "0.6",
    }
    made = (make_provider("vault", {**options, "key": name}) for name in (key, "other"))
    return Harness(*made, gate=gate, secrets=(token,))


class Plugin(FileProvider):
    """A provider as somebody else's package would bring one."""

    @classmethod
    def make(cls, options: Mapping[str, str]) -> Plugin:
        made = cls.create(options["path"])
        made.name = "plugin"
        assert isinstance(made, Plugin)
        return made


def install_plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata of an installed package that names the plugin as an entry point."""
    info = folder / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{providers.ENTRY_POINT_GROUP}]\nplugin = {__name__}:Plugin.make\nbroken = no_such_module:make\n"
    )
    monkeypatch.syspath_prepend(str(folder))


def _plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    install_plugin(tmp_path, monkeypatch)
    made = (make_provider("plugin", {"path": str(tmp_path / name)}) for name in "ab")
    return Harness(*made)


@pytest.fixture(params=["file", "env", "aws-kms", "vault", "vault-derived", "plugin"])
def harness(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    get = request.getfixturevalue
    match request.param:
        case "file":
            return _file(tmp_path)
        case "env":
            return _env(monkeypatch)
        case "aws-kms":
            return _aws_kms(get("kms"), get("gates"))
        case "vault":
            return _vault(get("vault"), get("gates"), tmp_path, "pgcrypt")
        case "vault-derived":
            return _vault(get("vault"), get("gates"), tmp_path, "derived")
        case _:
            return _plugin(tmp_path, monkeypatch)
