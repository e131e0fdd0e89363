"""Provider `aws-kms`: the KEK in AWS KMS, in one region or in several by multi-region keys.

The wrapped key is KMS's CiphertextBlob; the context is KMS's encryption context,
so CloudTrail shows what each call was for, and a key policy can ask for it.
Places are asked in their order: the next one only when one cannot be reached,
since a refusal (access denied, key disabled) is an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgcrypt_proxy.crypto.keys import KEY_LENGTH
from pgcrypt_proxy.crypto.providers.options import Options
from pgcrypt_proxy.crypto.providers.retrying import Attempts, TryAgain
from pgcrypt_proxy.errors import ConfigError, KeyUnavailable

OPTIONS = (
    "key_id",
    "replicas",
    "region",
    "endpoint_url",
    "profile",
    "connect_timeout_s",
    "read_timeout_s",
    "deadline_s",
)

#: Codes that may be over in a moment (KMS API reference, "Common errors" and each operation's).
_TRANSIENT = frozenset(
    (
        "ThrottlingException",
        "Throttling",
        "RequestThrottled",
        "TooManyRequestsException",
        "LimitExceededException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "KMSInternalException",
        "InternalFailure",
        "InternalError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "RequestTimeoutException",
    )
)
_NOT_THIS_KEY = "Use the KEK with which the keyring was made; `pgcrypt-proxy keys` shows its id."
_CREDENTIALS = "AWS does not accept the credentials", "Renew the credentials of the proxy's AWS identity."
#: Codes that no repetition changes: what happened, and what to do.
_REFUSALS: dict[str, tuple[str, str]] = {
    "AccessDeniedException": (
        "AWS KMS denies access to the key encryption key",
        "Allow the proxy's identity kms:Decrypt and kms:GenerateDataKeyWithoutPlaintext in the key's policy.",
    ),
    "NotFoundException": ("AWS KMS has no such key", "Check key_id and region under keyring in the rules."),
    "DisabledException": ("the key encryption key is disabled in AWS KMS", "Enable it: aws kms enable-key."),
    "KMSInvalidStateException": (
        "the key encryption key is in a state in which it cannot be used (pending deletion, or import)",
        "If it is pending deletion, cancel that at once: aws kms cancel-key-deletion, then enable-key.",
    ),
    "InvalidCiphertextException": ("a key of the keyring does not open under this key encryption key", _NOT_THIS_KEY),
    "IncorrectKeyException": ("a key of the keyring was wrapped by another key encryption key", _NOT_THIS_KEY),
    "InvalidKeyUsageException": ("the KMS key is not for encryption", "It must be a symmetric ENCRYPT_DECRYPT key."),
    "UnrecognizedClientException": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidSignatureException": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "MissingAuthenticationTokenException": _CREDENTIALS,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A key by the name it has in one region, and that region's client."""

    key_id: str
    client: Any


class AwsKmsProvider:
    """Keys wrapped by AWS KMS. `places` are the key and its replicas, the preferred one first."""

    name = "aws-kms"

    def __init__(self, places: Sequence[Place], attempts: Attempts) -> None:
        self._places = tuple(places)
        self._attempts = attempts

    @property
    def kek_id(self) -> str:
        """The key's id, ARN or alias as the rules name it."""
        return self._places[0].key_id

    def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """`key` under the KEK, bound to `context` (Encrypt)."""
        answer = self._ask("encrypt", lambda key_id: {"KeyId": key_id, "Plaintext": key, **_context("", context)})
        return bytes(answer["CiphertextBlob"])

    def make_wrapped(self, context: Mapping[str, str]) -> bytes:
        """A new key that exists unwrapped nowhere but in KMS (GenerateDataKeyWithoutPlaintext)."""
        answer = self._ask(
            "generate_data_key_without_plaintext",
            lambda key_id: {"KeyId": key_id, "KeySpec": "AES_256", **_context("", context)},
        )
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """What `wrap` was given (Decrypt, by this key only)."""
        answer = self._ask(
            "decrypt", lambda key_id: {"KeyId": key_id, "CiphertextBlob": wrapped, **_context("", context)}
        )
        key = bytes(answer["Plaintext"])
        if len(key) != KEY_LENGTH:
            raise KeyUnavailable("a key of the keyring has another length than keys have", hint=_NOT_THIS_KEY)
        return key

    def rewrap(self, wrapped: bytes, context: Mapping[str, str], old_kek_id: str) -> bytes:
        """The same key under this KEK, without leaving KMS (ReEncrypt)."""
        answer = self._ask(
            "re_encrypt",
            lambda key_id: {
                "CiphertextBlob": wrapped,
                "SourceKeyId": old_kek_id,
                "DestinationKeyId": key_id,
                **_context("Source", context),
                **_context("Destination", context),
            },
        )
        return bytes(answer["CiphertextBlob"])

    def _ask(self, operation: str, arguments: Callable[[str], dict[str, Any]]) -> Mapping[str, Any]:
        calls = [lambda place=place: _call(place, operation, arguments) for place in self._places]
        try:
            return self._attempts.run(calls)
        except TryAgain as again:
            raise KeyUnavailable(
                "AWS KMS cannot be reached or is overloaded",
                detail=f"The last answer: {again.reason}.",
                hint="It is tried again by itself; check the network and https://health.aws.amazon.com.",
            ) from None

    def __repr__(self) -> str:
        return f"AwsKmsProvider({self.kek_id})"


def _context(which: str, context: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The encryption context. Empty values are written `=`, and `=` doubled, because empty ones are not portable."""
    return {
        f"{which}EncryptionContext": {
            name: "=" + value if not value or value.startswith("=") else value for name, value in context.items()
        }
    }


def _call(place: Place, operation: str, arguments: Callable[[str], dict[str, Any]]) -> Mapping[str, Any]:
    """One call. AWS's own texts are not repeated: they may quote identities and keys."""
    from botocore import exceptions

    try:
        answer: Mapping[str, Any] = getattr(place.client, operation)(**arguments(place.key_id))
        return answer
    except exceptions.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _TRANSIENT or (code not in _REFUSALS and status >= 500):
            raise TryAgain(code if code in _TRANSIENT else "a server error") from None
        message, hint = _REFUSALS.get(code, ("AWS KMS refuses the request", "CloudTrail shows why."))
        raise KeyUnavailable(message, detail=f"{code}." if code.isalnum() else None, hint=hint) from None
    except (exceptions.NoCredentialsError, exceptions.CredentialRetrievalError, exceptions.PartialCredentialsError):
        raise KeyUnavailable(
            "there are no AWS credentials",
            hint="Give the proxy an IAM role, or AWS_* variables as boto3 reads them.",
        ) from None
    except (exceptions.HTTPClientError, exceptions.ConnectionError):  # timeouts, refused connections, broken TLS
        raise TryAgain("no connection") from None
    except exceptions.BotoCoreError as error:
        raise KeyUnavailable("the request to AWS KMS could not be made", detail=f"{type(error).__name__}.") from None


def make(options: Mapping[str, str]) -> AwsKmsProvider:
    """The provider with its options (docs/keys.md). Raises ConfigError."""
    given = Options("aws-kms", options, OPTIONS)
    key_ids = [given.needed("key_id"), *given.listed("replicas")]
    attempts = Attempts(given.seconds("deadline_s", 8))
    connect_timeout_s, read_timeout_s = given.seconds("connect_timeout_s", 1), given.seconds("read_timeout_s", 2)
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ModuleNotFoundError:
        raise ConfigError(
            'key provider "aws-kms" needs the package boto3', hint="Run: pip install 'pgcrypt-proxy[aws]'"
        ) from None
    for name in ("boto3", "botocore", "urllib3"):  # at level DEBUG they would log whole answers, keys included
        logging.getLogger(name).setLevel(logging.WARNING)
    config = Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": 1},  # `Attempts` does it, under a deadline
        max_pool_connections=2,
    )
    try:
        session = boto3.session.Session(profile_name=given.text("profile") or None)
        places = [
            Place(
                key_id,
                session.client(
                    "kms",
                    region_name=_region(key_id) or given.text("region") or None,
                    endpoint_url=given.text("endpoint_url") or None,
                    config=config,
                ),
            )
            for key_id in key_ids
        ]
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(
            "the options of key provider aws-kms do not lead to AWS",
            detail=f"{type(error).__name__}.",
            hint="Name the region, or give key_id as an ARN; replicas must be ARNs.",
        ) from None
    for key_id in key_ids[1:]:
        if not _region(key_id):
            raise ConfigError("a replica of key provider aws-kms is no ARN", hint="Its region must be known.")
    return AwsKmsProvider(places, attempts)


def _region(key_id: str) -> str:
    """The region in an ARN: arn:partition:kms:region:account:resource."""
    parts = key_id.split(":")
    return parts[3] if len(parts) >= 6 and parts[0] == "arn" else ""
