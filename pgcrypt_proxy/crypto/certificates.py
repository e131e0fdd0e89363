"""What logins need of X.509 certificates: the channel binding of RFC 5929, and the names in a client's.

Chains and dates are verified by TLS itself, before anything here is asked.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

_SAN_KINDS: tuple[tuple[str, type[x509.DNSName] | type[x509.RFC822Name] | type[x509.UniformResourceIdentifier]], ...]
_SAN_KINDS = (("DNS", x509.DNSName), ("EMAIL", x509.RFC822Name), ("URI", x509.UniformResourceIdentifier))


def end_point_binding(der: bytes) -> bytes | None:
    """tls-server-end-point of a certificate: its digest by its signature's algorithm, SHA-256 for MD5 and SHA-1.

    None for signatures without such an algorithm (Ed25519), for which RFC 5929 has no binding.
    """
    try:
        algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    if algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(der)
    return digest.finalize()


def names(der: bytes) -> tuple[str, ...]:
    """The names that a certificate gives its holder: `CN=...`, `DNS=...`, `EMAIL=...`, `URI=...`.

    A subject with several common names has none: which one was meant cannot be known.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        found = [f"CN={common[0].value}"] if len(common) == 1 and isinstance(common[0].value, str) else []
        found += _alternative_names(certificate)
    except ValueError:  # what cannot be read names nobody
        return ()
    return tuple(found)


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [f"{label}={name}" for label, kind in _SAN_KINDS for name in extension.value.get_values_for_type(kind)]


def pem_to_der(pem: bytes) -> bytes:
    """The first certificate of a PEM file. Raises ValueError."""
    return x509.load_pem_x509_certificates(pem)[0].public_bytes(serialization.Encoding.DER)
