"""Channel bindings and names of certificates."""

from __future__ import annotations

import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from pgcrypt_proxy.crypto.certificates import end_point_binding, names, pem_to_der
from tests.helpers.certificates import Authority

NOW = datetime.datetime.now(datetime.UTC)


def certificate(
    *common_names: str, algorithm: object = hashes.SHA256(), key: object = None, san: object = None
) -> bytes:
    made = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in common_names])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(made.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + datetime.timedelta(1))
    if san is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return builder.sign(made, algorithm).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("algorithm", "digest"), [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")]
)
def test_the_signatures_digest_binds(algorithm: hashes.HashAlgorithm, digest: str) -> None:
    der = certificate("x", algorithm=algorithm)
    assert end_point_binding(der) == hashlib.new(digest, der).digest()


def test_no_binding() -> None:
    assert end_point_binding(certificate("x", algorithm=None, key=ed25519.Ed25519PrivateKey.generate())) is None
    assert end_point_binding(b"no certificate") is None


def test_names() -> None:
    san = [
        x509.DNSName("a.test"),
        x509.RFC822Name("a@a.test"),
        x509.UniformResourceIdentifier("spiffe://a/b"),
    ]
    assert names(certificate("anna", san=san)) == (
        "CN=anna",
        "DNS=a.test",
        "EMAIL=a@a.test",
        "URI=spiffe://a/b",
    )
    assert names(certificate("anna", "bert")) == ()
    assert names(certificate()) == ()
    assert names(b"none") == ()
    assert names(certificate("an\0na")) in ((), ("CN=an\0na",))


def test_the_first_certificate_of_a_file() -> None:
    authority = Authority()
    issued = authority.issue("x")
    der = pem_to_der(issued.certificate + authority.certificate)
    assert names(der) == ("CN=x",)
    with pytest.raises(ValueError):
        pem_to_der(b"none")
