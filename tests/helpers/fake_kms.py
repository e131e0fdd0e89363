"""AWS KMS as moto plays it, over HTTP on loopback, with keys whose ids have AWS's form."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.kms import models
from moto.server import ThreadedMotoServer

ACCOUNT = "123456789012"
REGION, OTHER_REGION = "us-east-1", "eu-west-1"


def _key_id(multi_region: bool = False) -> str:
    """moto's own ids of multi-region keys are longer than its wrapped form has room for; AWS's are not."""
    return f"mrk-{uuid.uuid4().hex}" if multi_region else str(uuid.uuid4())


class FakeKms:
    """A server and an administrator's clients to it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def client(self, region: str = REGION) -> Any:
        return boto3.client("kms", region_name=region, endpoint_url=self.endpoint)

    def create_key(self, *, multi_region: bool = False) -> str:
        """The new key's ARN."""
        made = self.client().create_key(MultiRegion=multi_region)
        return str(made["KeyMetadata"]["Arn"])

    def replicate(self, arn: str) -> str:
        """The ARN of the key's replica in the other region."""
        # in the server's own process: its ReplicateKey takes no ids of AWS's form
        backend = models.kms_backends[ACCOUNT][REGION]
        return str(backend.replicate_key(arn.rsplit("/", 1)[1], OTHER_REGION).arn)


@contextlib.contextmanager
def running(patch: pytest.MonkeyPatch) -> Iterator[FakeKms]:
    """The server, and credentials in the environment for as long as it runs."""
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        patch.delenv(name, raising=False)
    patch.setattr(models, "generate_key_id", _key_id)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield FakeKms(f"http://{host}:{port}")
    finally:
        server.stop()
