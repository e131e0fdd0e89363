"""Our code and an independent implementation agree, both ways, on every byte that is stored."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pgcrypt_proxy.crypto import keyring as keyring_module
from pgcrypt_proxy.crypto.deks import Dek
from pgcrypt_proxy.crypto.envelope import SealContext, parse
from pgcrypt_proxy.crypto.keyring import KeyRecord, Keyring
from pgcrypt_proxy.crypto.keys import SecretKey
from pgcrypt_proxy.crypto.providers.local import PREFIX, LocalKek
from pgcrypt_proxy.crypto.terms import TermMaker

FOLDER = Path(__file__).parent / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text())
ENVELOPES = VECTORS["envelopes"]


def raw(value: str) -> bytes:
    return bytes.fromhex(value)


@pytest.fixture(scope="module")
def independent() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class OpenKek:
    """A provider whose wrapped keys are the keys."""

    name = "open"
    kek_id = "none"

    def wrap(self, key: bytes, context: object) -> bytes:
        return key

    def unwrap(self, wrapped: bytes, context: object) -> bytes:
        return wrapped


def keyring(case: dict[str, Any]) -> Keyring:
    records = [
        KeyRecord(case["key_id"], "dek", case["data_class"], case["tenant"], 1, "active", raw(VECTORS["dek"]), ""),
        KeyRecord(1, "index", "", "", VECTORS["index_generation"], "active", raw(VECTORS["index_root"]), ""),
    ]
    made = Keyring.unlock(raw(VECTORS["keyring_id"]), records, OpenKek())
    if case["tenant"]:
        dek = Dek.of(records[0], raw(VECTORS["dek"]))
        dek.granted = 1
        made.tenants.put(dek, time.monotonic())
    else:
        made.grant_seals(case["key_id"], 1)
    return made


def context(case: dict[str, Any]) -> SealContext:
    return SealContext(case["column_id"], case["data_class"], case["tenant"])


def test_the_generator_is_right_about_gcm(independent: ModuleType) -> None:
    # NIST, "The Galois/Counter Mode of Operation (GCM)", test case 16
    key = raw("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
    plaintext = raw(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    aad = raw("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    made = independent.gcm_encrypt(key, raw("cafebabefacedbaddecaf888"), plaintext, aad)
    assert made[-16:] == raw("76fc6ece0f4e1768cddf8853bb2d551b")
    assert made[:16] == raw("522dc1f099567d07f47f37a32a84427d")


def test_the_vectors_are_what_the_generator_writes(independent: ModuleType) -> None:
    assert (FOLDER / "vectors.json").read_text() == independent.text()


@pytest.mark.parametrize("case", ENVELOPES)
def test_sealing_gives_the_vector(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "fresh_nonce", lambda: raw(case["nonce"]))
    ring = keyring(case)
    terms = [raw(t) for t in case["terms"]]
    assert ring.seal(
        context(case), raw(case["plaintext"]), terms, case["flags"] & 3, VECTORS["index_generation"]
    ) == raw(case["envelope"])


@pytest.mark.parametrize("case", ENVELOPES)
def test_the_vector_opens(case: dict[str, Any]) -> None:
    ring, envelope = keyring(case), raw(case["envelope"])
    if case["tenant"]:
        assert ring.open_of_tenant(context(case), envelope) == (raw(case["plaintext"]), case["tenant"])
    else:
        assert ring.open(context(case), envelope) == raw(case["plaintext"])


@pytest.mark.parametrize("case", ENVELOPES)
def test_the_fields_are_the_vectors(case: dict[str, Any]) -> None:
    made = parse(raw(case["envelope"]))
    assert (made.flags, made.key_id, made.nonce.hex()) == (case["flags"], case["key_id"], case["nonce"])
    assert [t.hex() for t in made.terms] == case["terms"]
    assert context(case).aad(raw(VECTORS["keyring_id"])).hex() == case["bound"]


@pytest.mark.parametrize("case", [c for c in ENVELOPES if c["modes"]])
def test_terms_are_the_vectors(case: dict[str, Any]) -> None:
    maker = TermMaker(SecretKey(raw(VECTORS["index_root"])))
    plaintext = raw(case["plaintext"])
    keys = {"eq": b"t" + plaintext, "eqci": b"c" + plaintext.decode().lower().encode()}
    assert [maker.term(mode, VECTORS["index_domain"], keys[mode]).hex() for mode in case["modes"]] == case["terms"]


def test_a_wrapped_key_is_the_vectors() -> None:
    kek = LocalKek("file", SecretKey(raw(VECTORS["kek"])))
    assert kek.unwrap(raw(VECTORS["wrapped_dek"]), VECTORS["wrap_context"]).hex() == VECTORS["dek"]


def test_the_script_of_the_description_opens_a_value(tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs" / "envelope.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    (tmp_path / "open_value.py").write_text(script)
    import base64

    case = ENVELOPES[1]
    arguments = [
        PREFIX + base64.b64encode(raw(VECTORS["kek"])).decode(),
        VECTORS["keyring_id"],
        VECTORS["wrapped_dek"],
        str(case["column_id"]),
        case["envelope"],
    ]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "open_value.py"), *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == case["plaintext"]
    assert case["envelope"] in document.replace("\n", "").replace(" ", "")
