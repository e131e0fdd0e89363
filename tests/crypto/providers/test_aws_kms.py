"""AWS KMS: what each of its answers leads to, replicas in their order, and keys that never leave it."""

from __future__ import annotations

import sys
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.stub import Stubber

from pgcrypt_proxy.crypto.providers import aws_kms, make_provider, make_wrapped
from pgcrypt_proxy.crypto.providers.aws_kms import AwsKmsProvider, Place
from pgcrypt_proxy.crypto.providers.retrying import Attempts
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable
from tests.crypto.providers.conftest import kms_options
from tests.helpers.fake_kms import OTHER_REGION, FakeKms
from tests.helpers.gate import Gate

CONTEXT = {"data_class": "pii", "tenant": "", "kind": "dek"}
SENT = {"data_class": "pii", "tenant": "=", "kind": "dek"}
WRAPPED = b"blob"


class Clock:
    """Time that passes in `sleep` only."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def stubbed(clock: Clock, count: int = 1) -> tuple[AwsKmsProvider, list[Stubber]]:
    clients = [
        boto3.client("kms", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        for _ in range(count)
    ]
    places = [Place(f"key-{number}", client) for number, client in enumerate(clients)]
    stubs = [Stubber(client) for client in clients]
    for stub in stubs:
        stub.activate()
    return AwsKmsProvider(places, Attempts(5, clock=clock, sleep=clock.sleep)), stubs


def expect_decrypt(stub: Stubber, key_id: str = "key-0") -> None:
    sent = {"KeyId": key_id, "CiphertextBlob": WRAPPED, "EncryptionContext": SENT}
    stub.add_response("decrypt", {"Plaintext": bytes(32), "KeyId": key_id}, sent)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDeniedException", "denies access"),
        ("DisabledException", "is disabled"),
        ("KMSInvalidStateException", "pending deletion"),
        ("NotFoundException", "no such key"),
        ("InvalidCiphertextException", "does not open"),
        ("IncorrectKeyException", "another key encryption key"),
        ("ExpiredTokenException", "credentials"),
        ("SomethingNewException", "refuses the request"),
    ],
)
def test_a_refusal_is_not_asked_again_nor_elsewhere(clock: Clock, code: str, says: str) -> None:
    provider, (first, second) = stubbed(clock, 2)
    first.add_client_error("decrypt", code, "User planted-arn is not authorized", http_status_code=400)
    expect_decrypt(second, "key-1")
    with pytest.raises(KeyUnavailable, match=says) as caught:
        provider.unwrap(WRAPPED, CONTEXT)
    assert caught.value.hint
    assert "planted" not in caught.value.message + str(caught.value.detail) + caught.value.hint
    assert clock.pauses == []
    first.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("KMSInternalException", 500),
        ("DependencyTimeoutException", 503),
        ("KeyUnavailableException", 500),
        ("Unheard-of", 502),
    ],
)
def test_what_may_pass_is_asked_again_after_a_pause(clock: Clock, code: str, status: int) -> None:
    provider, (stub,) = stubbed(clock)
    for _ in range(2):
        stub.add_client_error("decrypt", code, http_status_code=status)
    expect_decrypt(stub)
    assert provider.unwrap(WRAPPED, CONTEXT) == bytes(32)
    assert len(clock.pauses) == 2


def test_the_deadline_holds(clock: Clock) -> None:
    provider, (stub,) = stubbed(clock)
    for _ in range(1000):
        stub.add_client_error("decrypt", "ThrottlingException", http_status_code=400)
    with pytest.raises(KeyUnavailable, match="cannot be reached or is overloaded") as caught:
        provider.unwrap(WRAPPED, CONTEXT)
    assert clock.now < 5
    assert "ThrottlingException" in str(caught.value.detail)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ReadTimeoutError(endpoint_url="https://planted"),
        exceptions.ConnectTimeoutError(endpoint_url="https://planted"),
        exceptions.EndpointConnectionError(endpoint_url="https://planted"),
        exceptions.SSLError(endpoint_url="https://planted", error=""),
    ],
)
def test_without_a_connection_the_replica_is_asked(clock: Clock, error: Exception) -> None:
    class Unreachable:
        def decrypt(self, **_: Any) -> None:
            raise error

    working, (second,) = stubbed(clock)
    provider = AwsKmsProvider((Place("key-9", Unreachable()), *working._places), working._attempts)
    expect_decrypt(second)
    assert provider.unwrap(WRAPPED, CONTEXT) == bytes(32)
    assert clock.pauses == []


def test_without_credentials(monkeypatch: pytest.MonkeyPatch, kms: FakeKms) -> None:
    provider = make_provider("aws-kms", kms_options(kms.create_key(), kms.endpoint))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    provider = make_provider("aws-kms", kms_options("alias/x", kms.endpoint, region="us-east-1"))
    with pytest.raises(KeyUnavailable, match="no AWS credentials"):
        provider.unwrap(WRAPPED, CONTEXT)


def test_what_is_no_key_is_refused(clock: Clock) -> None:
    provider, (stub,) = stubbed(clock)
    stub.add_response("decrypt", {"Plaintext": b"short"})
    with pytest.raises(KeyUnavailable, match="another length"):
        provider.unwrap(WRAPPED, CONTEXT)


def test_a_replica_opens_what_the_primary_wrapped(kms: FakeKms, gates: Any) -> None:
    arn = kms.create_key(multi_region=True)
    replica = kms.replicate(arn)
    both = make_provider("aws-kms", kms_options(arn, kms.endpoint, replicas=replica))
    wrapped = make_wrapped(both, CONTEXT)
    elsewhere = make_provider("aws-kms", kms_options(replica, kms.endpoint))
    assert isinstance(elsewhere, AwsKmsProvider)
    assert elsewhere._places[0].client.meta.region_name == OTHER_REGION
    key = both.unwrap(wrapped, CONTEXT)
    assert elsewhere.unwrap(wrapped, CONTEXT) == key
    # the first region is gone: the same provider goes on by the replica
    gate: Gate = gates(kms.endpoint)
    first = make_provider("aws-kms", kms_options(arn, f"http://127.0.0.1:{gate.port}"))
    assert isinstance(first, AwsKmsProvider)
    split = AwsKmsProvider((*first._places, *elsewhere._places), Attempts(2))
    gate.mode = "shut"
    assert split.unwrap(wrapped, CONTEXT) == key
    assert split.unwrap(split.wrap(key, CONTEXT), CONTEXT) == key


def test_keys_move_to_another_kek_within_kms(kms: FakeKms) -> None:
    old, new = (make_provider("aws-kms", kms_options(kms.create_key(), kms.endpoint)) for _ in range(2))
    assert isinstance(new, AwsKmsProvider)
    wrapped = make_wrapped(old, CONTEXT)
    moved = new.rewrap(wrapped, CONTEXT, old.kek_id)
    assert new.unwrap(moved, CONTEXT) == old.unwrap(wrapped, CONTEXT)
    with pytest.raises(KeyUnavailable):
        old.unwrap(moved, CONTEXT)


def test_an_alias_is_a_name_too(kms: FakeKms) -> None:
    kms.client().create_alias(AliasName="alias/pgcrypt", TargetKeyId=kms.create_key())
    provider = make_provider("aws-kms", kms_options("alias/pgcrypt", kms.endpoint, region="us-east-1"))
    assert provider.unwrap(provider.wrap(bytes(32), CONTEXT), CONTEXT) == bytes(32)
    assert provider.kek_id == "alias/pgcrypt"


def test_empty_values_and_equals_signs_stay_apart() -> None:
    values = ["", "=", "==", "a", "=a"]
    sent = {aws_kms._context("", {"a": value})["EncryptionContext"]["a"] for value in values}
    assert len(sent) == len(values)
    assert all(sent)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, 'needs the option "key_id"'),
        ({"key_id": "alias/x", "key": "y"}, 'has no option "key"'),
        ({"key_id": "alias/x", "deadline_s": "soon"}, '"deadline_s"'),
        ({"key_id": "alias/x", "deadline_s": "61"}, '"deadline_s"'),
        ({"key_id": "alias/x"}, "do not lead to AWS"),
        ({"key_id": "alias/x", "region": "us-east-1", "endpoint_url": "nonsense"}, "do not lead to AWS"),
        ({"key_id": "alias/x", "region": "us-east-1", "replicas": "alias/y"}, "no ARN"),
        ({"key_id": "alias/x", "profile": "no-such-profile"}, "do not lead to AWS"),
    ],
)
def test_wrong_options_are_said(monkeypatch: pytest.MonkeyPatch, options: dict[str, str], says: str) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(ConfigError, match=says):
        make_provider("aws-kms", options)


def test_without_boto3_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigError, match="needs the package boto3") as caught:
        make_provider("aws-kms", {"key_id": "alias/x", "region": "us-east-1"})
    assert "pgcrypt-proxy[aws]" in str(caught.value.hint)
